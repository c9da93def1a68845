"""Writing a repaired text to its file: only if the file is still the one that was read, and in one step."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from coderls.errors import DocumentError

_BOM = b"\xef\xbb\xbf"


def refuse_read_only(path: Path) -> None:
    """Raises DocumentError for a file that may not be written."""
    if not os.access(path, os.W_OK) or not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise DocumentError(f"{path} is read-only.", "Make it writable, or leave out --apply.")


def refuse_links_out(path: Path, root: Path) -> None:
    """Raises DocumentError for a file of the project `root` that is a link out of it: nobody asked to change that."""
    real = Path(os.path.realpath(path))
    if path.absolute().is_relative_to(root) and not real.is_relative_to(os.path.realpath(root)):
        raise DocumentError(f"{path} leads out of {root}, to {real}.", "To change that file, name it.")


def write_back(path: Path, before: str, after: str) -> None:
    """Replace `before` by `after`; line ends, permissions and a byte order mark stay as they are.

    Raises DocumentError when the file holds something else by now, or cannot be written.
    """
    real = Path(os.path.realpath(path))
    try:
        data = real.read_bytes()
        mark = _BOM if data.startswith(_BOM) else b""
        if data != mark + before.encode("utf-8"):
            raise DocumentError(f"{path} has changed meanwhile; nothing was written.", "Run the command again.")
        _replace(real, mark + after.encode("utf-8"))
    except OSError as error:
        raise DocumentError(f"{path} could not be written: {error}.", "Check its permissions and the disk.") from error


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        shutil.copymode(path, name)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
