"""HumanEval's hidden lines through llama.cpp's `/infill`: that an exported GGUF does there what it is meant to.

    python -m benchmarks.fim_llama HumanEval-SingleLineInfilling.jsonl.gz nano.gguf --server PATH [--every N] [--spm]

PATH is llama-server. It gets the text before and after the cursor, which stands behind the line's indentation, and is
read up to the first line end, greedily. `--spm`: with llama.cpp's own order of suffix, prefix and mark. Its prompts are
not coderls's (no token healing, and always a mark before the middle), so its figures are not those of coderls either.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.fim_quality import Task, read_tasks
from benchmarks.machine import describe
from benchmarks.shares import Share
from coderls.errors import CoderlsError

_START_S = 120.0
_ANSWER_S = 120.0


def main(argv: Sequence[str] | None = None) -> int:
    """Start the server, ask, count; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fim_llama")
    parser.add_argument("data", type=Path, help="HumanEval-SingleLineInfilling.jsonl.gz")
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--server", default=shutil.which("llama-server"), metavar="PATH", help="llama-server")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one in N of the tasks")
    parser.add_argument("--spm", action="store_true", help="suffix, prefix, mark")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(argv)
    try:
        tasks = read_tasks(args.data)[:: args.every]
        if args.server is None:
            raise CoderlsError("There is no llama-server on the path.", "Name one: --server PATH.")
        command = [args.server, "-m", str(args.gguf), "-t", str(args.threads), "-c", "4096", "-np", "1"]
        with _running([*command, "--spm-infill"] if args.spm else command) as client:
            exact = sum(_is_exact(client, task) for task in tasks)
    except (CoderlsError, OSError, httpx.HTTPError) as error:
        print(f"fim_llama: {error}", file=sys.stderr)
        return 1
    print(f"{args.gguf.name}, {'suffix first' if args.spm else 'prefix first'}: exact {Share(exact, len(tasks))}")
    print(describe(("coderls", "httpx")))
    return 0


@contextmanager
def _running(command: Sequence[str]) -> Iterator[httpx.Client]:
    """A client of the server; it ends with the block. Raises CoderlsError where the server does not come up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as said:
        whole = [*command, "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_ANSWER_S, trust_env=False) as client:
                _wait(client, server)
                yield client
        finally:
            server.terminate()
            server.wait()


def _wait(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    last = time.monotonic() + _START_S
    while time.monotonic() < last and server.poll() is None:
        try:
            if client.get("/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.1)
    raise CoderlsError("llama-server did not start.", "Start it by hand with the same GGUF to see why.")


def _is_exact(client: httpx.Client, task: Task) -> bool:
    line = task.line.rstrip("\n")
    indent = line[: len(line) - len(line.lstrip())]
    body = {
        "input_prefix": task.prompt + indent, "input_suffix": "\n" + task.suffix, "n_predict": 48, "temperature": 0.0,
        "stop": ["\n"],
    }  # fmt: skip
    answer = client.post("/infill", json=body)
    if answer.status_code != httpx.codes.OK:
        raise CoderlsError(f"/infill answered {answer.status_code}: {answer.text[:200]}")
    return str(answer.json()["content"]).strip() == line.strip()


if __name__ == "__main__":
    sys.exit(main())
