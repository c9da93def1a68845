"""A lock that one process holds at a time, and whose file is gone once nobody does.

filelock leaves its file behind on Unix: removing it would let two processes lock two files of one name. Here a process
that took the lock of a file which was removed meanwhile sees that, and tries again with the file that is there.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows, where filelock removes its file itself
    fcntl = None  # type: ignore[assignment]

_BUSY = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}


class LockFile:
    """The lock of `path` (mode 0600). The system frees it when its holder dies; the file then stays, harmless."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file: int | None = None
        self._other: FileLock | None = None if fcntl is not None else FileLock(self.path, mode=0o600)

    def acquire(self) -> bool:
        """Whether this process holds it now; never waits. Raises OSError where no file can be made or locked."""
        if self._other is not None:
            try:
                self._other.acquire(timeout=0)
            except Timeout:
                return False
            return True
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_nlink:
                    self._file = file
                    return True
            except OSError as error:
                if error.errno in _BUSY:
                    return False
                raise
            finally:
                if self._file != file:
                    os.close(file)

    def release(self) -> None:
        """Give it up, and remove its file. Nothing happens where it is not held."""
        if self._other is not None:
            self._other.release()
        elif self._file is not None:
            with suppress(OSError):  # gone already
                self.path.unlink()
            os.close(self._file)
            self._file = None
