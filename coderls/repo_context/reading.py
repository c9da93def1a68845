"""Reading a file that may be anything."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path, limit: int) -> bytes | None:
    """The bytes of a regular file of at most `limit` bytes; None for anything else: pipes, devices, no access."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        return None
    try:
        with open(number, "rb") as file:
            status = os.fstat(number)
            return file.read(limit) if stat.S_ISREG(status.st_mode) and status.st_size <= limit else None
    except OSError:
        return None
