"""How much memory this process really has, beside what was planned."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


def resident_bytes() -> int:
    """Bytes of this process that are in memory now (macOS: the most there were); 0 where the system does not say."""
    if sys.platform == "win32":
        return _windows()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass  # not Linux
    import resource  # noqa: PLC0415  (not there on Windows)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _windows() -> int:
    """WorkingSetSize of PROCESS_MEMORY_COUNTERS (psapi.h)."""

    class Counters(ctypes.Structure):
        _fields_ = (
            ("size", ctypes.c_uint32),
            ("faults", ctypes.c_uint32),
            *((name, ctypes.c_size_t) for name in ("peak", "working", "p1", "p2", "p3", "p4", "page", "peak_page")),
        )

    counters = Counters(size=ctypes.sizeof(Counters))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  (there on Windows only)
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    done = kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size)
    return int(counters.working) if done else 0
