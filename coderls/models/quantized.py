"""Where the quantized copies of models lie: in the cache, one file for each model directory and form.

Their directories may belong to somebody else, so nothing is written into those. A file's name says which directory it
was made from and what was in it: weights that were replaced get a new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from pathlib import Path

from coderls import paths
from coderls.errors import ModelBroken

_SUFFIX = ".safetensors"


def quantized_dir() -> Path:
    """The folder of all quantized copies. Safe to delete."""
    return paths.cache_dir() / "quantized"


def file_for(folder: Path, form: str) -> Path:
    """The file of the model directory `folder` in a form such as "int4-g32", whether it is there or not.

    Raises ModelBroken for a directory that cannot be read.
    """
    try:
        facts = [
            f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}"
            for file in sorted(folder.iterdir())
            if file.suffix == _SUFFIX or file.name == "config.json"
        ]
    except OSError as error:
        raise ModelBroken(f"{folder} cannot be read: {error}.", "Check the folder's permissions.") from error
    return quantized_dir() / f"{_prefix(folder)}{_digest(*facts)}-{form}{_SUFFIX}"


def files_of(folder: Path) -> list[Path]:
    """All files that were made from `folder`, also from weights that it no longer holds."""
    found = quantized_dir()
    return sorted(found.glob(f"{_prefix(folder)}*{_SUFFIX}")) if found.is_dir() else []


def remove_orphans() -> None:
    """Delete the files whose model directories are gone: older builds of the embedded model, say."""
    for file in quantized_dir().glob(f"*{_SUFFIX}"):
        source = _source(file)
        if source and not Path(source).is_dir():
            with contextlib.suppress(OSError):  # in use, on Windows: the next time
                file.unlink()


def _source(file: Path) -> str:
    """The directory that a file says it was made from; empty where it says nothing."""
    try:
        with file.open("rb") as opened:
            (size,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(size, 1 << 24)))
        return str(header["__metadata__"]["source"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return ""


def _prefix(folder: Path) -> str:
    return f"{folder.name}-{_digest(str(folder.resolve()))}-"


def _digest(*facts: str) -> str:
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]
