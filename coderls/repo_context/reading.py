"""Reading a file, or a record, that may be anything."""

from __future__ import annotations

import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from coderls.repo_context.exclusion import Reason


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells without reading that a file is the same as before: time of change (nanoseconds) and size (bytes)."""

    mtime_ns: int
    size: int


@dataclass(frozen=True, slots=True)
class Bytes:
    """What a file held when it was read; `reason` says why there is nothing."""

    data: bytes = b""
    stamp: Stamp = Stamp(0, 0)
    reason: Reason | None = None


def read_regular(path: Path | str, limit: int) -> bytes | None:
    """The bytes of a regular file of at most `limit` bytes; None for anything else: pipes, devices, no access."""
    found = read_stamped(path, limit)
    return None if found.reason else found.data


def read_stamped(path: Path | str, limit: int) -> Bytes:
    """The bytes of a regular file of at most `limit` bytes, and its stamp from before they were read."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return Bytes(reason=Reason.GONE)
    except (OSError, ValueError):
        return Bytes(reason=Reason.UNREADABLE)
    try:
        status = os.fstat(number)
        stamp = Stamp(status.st_mtime_ns, status.st_size)
        if not stat.S_ISREG(status.st_mode):
            return Bytes(stamp=stamp, reason=Reason.UNREADABLE)
        if status.st_size > limit:
            return Bytes(stamp=stamp, reason=Reason.TOO_LONG)
        with open(number, "rb", closefd=False) as file:
            return Bytes(file.read(limit), stamp)
    except OSError:
        return Bytes(reason=Reason.UNREADABLE)
    finally:
        os.close(number)  # `open` leaves it open when it refuses, a folder for example


def unpacked(data: bytes, limit: int) -> bytes:
    """A record without its compression. Raises zlib.error for one that is damaged, or longer than `limit` bytes."""
    unpacking = zlib.decompressobj()
    record = unpacking.decompress(data, limit)
    if not unpacking.eof:
        raise zlib.error("it is cut off, or longer than a record can be")
    return record
