"""Where the databases of the index are, which of them go, and what their errors mean."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from hashlib import blake2b
from pathlib import Path

logger = logging.getLogger(__name__)


def database_path(cache: Path, folder: Path) -> Path:
    """Where the records of workspace folder `folder` are."""
    name = os.path.normcase(os.path.realpath(folder)).encode("utf-8", "surrogateescape")
    return cache / f"{blake2b(name, digest_size=12).hexdigest()}.sqlite"


def drop_unused(cache: Path, days: float = 90.0) -> None:
    """Remove the databases of folders that nobody opened for so long."""
    try:
        for file in cache.glob("*.sqlite"):
            if time.time() - file.stat().st_mtime > days * 86_400:
                remove(file)
    except OSError as error:
        logger.info("The folder %s cannot be tidied: %s", cache, error)


def is_damage(error: Exception) -> bool:
    """Whether the database itself is broken. Other errors are those of its disk: full, not writable, gone."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such" in str(error)
    return isinstance(error, sqlite3.DatabaseError)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another server holds the database just now."""
    return isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in ("locked", "busy"))


def remove(file: Path) -> bool:
    """Remove a database and what SQLite keeps beside it; false where that is not allowed."""
    try:
        for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            name.unlink(missing_ok=True)
    except OSError:
        return False
    return True
