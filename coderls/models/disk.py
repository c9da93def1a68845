"""What building and pulling share: one at a time, enough space, and disk errors in plain words."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from coderls.errors import ModelUnavailable

#: Called with what is being done and a fraction from 0 to 1.
Progress = Callable[[str, float], None]

# Other programs write too; a disk filled to the last byte helps nobody.
MARGIN_BYTES = 32_000_000


@contextmanager
def one_at_a_time(path: Path, say: Progress) -> Iterator[None]:
    """Hold the lock file `path`; the system frees it when its holder dies."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("waiting for another coderls that is at work on this model", 0.0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def free_bytes(folder: Path) -> int:
    """Free space where `folder` is or will be, in bytes."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(needed: int, folder: Path, purpose: str) -> None:
    """Raise ModelUnavailable unless `needed` bytes and a margin are free at `folder`."""
    needed += MARGIN_BYTES
    free = free_bytes(folder)
    if free < needed:
        raise ModelUnavailable(
            f"{purpose} takes {needed / 1e6:,.0f} MB in {folder}; {free / 1e6:,.0f} MB are free there, "
            f"{(needed - free) / 1e6:,.0f} MB too few.",
            "Free some space, or set CODERLS_CACHE to a folder on another disk.",
        )


def disk_error(error: OSError, folder: Path) -> ModelUnavailable:
    """An error of the file system as one for the user."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return ModelUnavailable(
            f"The disk of {folder} became full.",
            "Free some space, or set CODERLS_CACHE to a folder on another disk.",
        )
    return ModelUnavailable(
        f"{folder} cannot be written: {error}.", "Make that folder writable, or set CODERLS_CACHE to another one."
    )
