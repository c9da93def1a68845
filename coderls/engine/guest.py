"""The engine is a guest on its user's machine: the editor and what runs in it go first."""

from __future__ import annotations

import ctypes
import logging
import os
import sys

log = logging.getLogger(__name__)

#: The process's niceness, 0 being an editor's: under full load it gets about a third of the processor time of one
#: beside it, so completions slow down and do not stop. On Linux its priority at the disk follows from this.
NICENESS = 5
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
    return True
