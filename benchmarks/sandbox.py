"""Runs Python that a model wrote: in a process of its own, with limits, without a network where that can be had."""

from __future__ import annotations

import subprocess
import sys
import tempfile

CPU_S = 5
#: Beyond the CPU limit, for programs that sleep; large, as the machine may be busy with other things.
WALL_S = 20.0
MEMORY_BYTES = 2 << 30

# Runs first in the new process. Code comes over stdin, so that no file holds it.
_CHILD = f"""
import sys
code = sys.stdin.read()
try:
    import ctypes
    CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
    ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)  # Linux: a network without a single interface
except Exception:
    pass
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, ({CPU_S}, {CPU_S}))
    resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass  # Windows has none: the wall clock remains
exec(compile(code, "solution.py", "exec"), {{"__name__": "__main__"}})
"""


def passes(code: str) -> bool:
    """Whether `code` runs to its end without an exception, within the limits."""
    with tempfile.TemporaryDirectory(prefix="coderls-", ignore_cleanup_errors=True) as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _CHILD],
                input=code.encode("utf-8", "replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={},
                timeout=WALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
