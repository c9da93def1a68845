"""Whether the editor that started us still lives: a server must not outlive it."""

from __future__ import annotations

import asyncio
import os
import sys

_LOOK_EVERY_S = 2.0


async def outlived(process_id: int, gone: asyncio.Event) -> None:
    """Set `gone` once the process has ended.

    One that is not there at the start is none of this machine (an editor outside of the container, a remote one):
    the caller asks `is_alive` first, and does not watch it; the end of the connection has to do.
    """
    while is_alive(process_id):  # noqa: ASYNC110  no event tells of it on every system
        await asyncio.sleep(_LOOK_EVERY_S)
    gone.set()


def is_alive(process_id: int) -> bool:
    """Whether a process of this id exists. Ids that no process can have are not alive."""
    if process_id <= 0:
        return False
    if sys.platform == "win32":
        return _is_alive_on_windows(process_id)
    try:
        os.kill(process_id, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _is_alive_on_windows(process_id: int) -> bool:
    """`os.kill` would end the process there. Rights and results of the Win32 API, `OpenProcess` and after."""
    import ctypes  # noqa: PLC0415  nobody else needs it

    synchronize, still_running = 0x00100000, 0x00000102  # SYNCHRONIZE, WAIT_TIMEOUT
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(synchronize, False, process_id)
    if not handle:
        return bool(kernel.GetLastError() == 5)  # ERROR_ACCESS_DENIED: it exists
    alive = kernel.WaitForSingleObject(handle, 0) == still_running
    kernel.CloseHandle(handle)
    return bool(alive)
