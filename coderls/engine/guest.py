"""The engine is a guest on its user's machine: the editor and what runs in it go first."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path

log = logging.getLogger(__name__)

#: The process's niceness, 0 being an editor's: under full load it gets about a third of the processor time of one
#: beside it, so completions slow down and do not stop. On Linux its priority at the disk follows from this.
NICENESS = 5
#: Where Linux shares the processor out among sessions (as desktops do), niceness counts only within one.
_AUTOGROUP = Path("/proc/self/autogroup")
#: Turns that a thread of PyTorch's waits for the others (GNU's OpenMP, https://gcc.gnu.org/onlinedocs/libgomp/) before
#: it sleeps: some tens of microseconds. With the library's own 300,000 a thread that waits for one which other programs
#: keep from running takes the processor from all (BENCHMARKS.md, "Beside other programs").
_SPINS = "3000"
_BELOW_NORMAL = 0x4000  # BELOW_NORMAL_PRIORITY_CLASS of winbase.h


def stand_back() -> bool:
    """Lower the priority of this process below that of an editor. Threads started later have it too.

    Returns whether that was possible; where it is not, the engine runs like any other program.
    """
    try:
        if sys.platform == "win32":
            kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            kernel.GetCurrentProcess.restype = ctypes.c_void_p
            kernel.SetPriorityClass.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
            return bool(kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL))
        wanted = max(os.nice(0), NICENESS)  # an editor that is nice itself has passed that on
        os.nice(wanted - os.nice(0))
    except OSError as error:
        log.warning("The priority of the engine cannot be lowered: %s", error)
        return False
    _lower_session(wanted)
    return True


def _lower_session(niceness: int) -> None:
    """The same among sessions, where this one is ours alone. Containers may forbid it, kernels may not know it."""
    if sys.platform != "linux" or os.getsid(0) != os.getpid():
        return
    try:
        _AUTOGROUP.write_text(str(niceness), encoding="ascii")
    except FileNotFoundError:
        return
    except OSError as error:
        log.info("The priority of the engine's session cannot be lowered: %s", error)


def wait_briefly() -> None:
    """Have threads that wait for each other sleep soon. Before PyTorch is imported; who has set it knows better."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
