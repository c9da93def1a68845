"""Runs a program between whoever started it and itself, and keeps all that is said in a file, for tests that fail.

    python overheard.py FOLDER PROGRAM ARGUMENT…

VS Code as code-server has it writes no log of its extensions (its logger is a native module, which is not built).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path


def main(folder: str, *command: str) -> None:
    """Run it, and leave with its exit code."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    with (Path(folder) / f"overheard-{os.getpid()}.log").open("ab", buffering=0) as log:

        def carry(source: int, target: int, mark: bytes) -> None:
            while data := os.read(source, 65536):
                log.write(b"\n%s %.3f " % (mark, time.time()) + data)
                try:
                    _all(target, data)
                except BrokenPipeError:
                    return
            if target not in (1, 2):
                os.close(target)

        said = [
            threading.Thread(target=carry, args=(child.stdout.fileno(), 1, b"<")),
            threading.Thread(target=carry, args=(child.stderr.fileno(), 2, b"!")),
        ]
        heard = threading.Thread(target=carry, args=(0, child.stdin.fileno(), b">"), daemon=True)
        for thread in (*said, heard):
            thread.start()
        for thread in said:
            thread.join()
        code = child.wait()
        log.write(b"\nended with %d" % code)
    os._exit(code)  # whoever reads standard input may do so for ever


def _all(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


if __name__ == "__main__":
    main(*sys.argv[1:])
