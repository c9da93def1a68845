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
_CHILD = """
import sys
cpu_s, memory = int(sys.argv[1]), int(sys.argv[2])
code = sys.stdin.read()
try:
    import ctypes
    CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
    ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)  # Linux: a network without a single interface
except Exception:
    pass
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass  # Windows has none: the wall clock remains
exec(compile(code, "solution.py", "exec"), {"__name__": "__main__"})
"""


def passes(code: str, *, cpu_s: int = CPU_S, wall_s: float = WALL_S) -> bool:
    """Whether `code` runs to its end without an exception, within the limits (in seconds)."""
    with tempfile.TemporaryDirectory(prefix="coderls-", ignore_cleanup_errors=True) as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _CHILD, str(cpu_s), str(MEMORY_BYTES)],
                input=code.encode("utf-8", "replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={},
                timeout=wall_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
