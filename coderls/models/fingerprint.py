"""Which model a directory holds, told in one short text: two directories with the same text answer alike."""

from __future__ import annotations

import hashlib
from pathlib import Path

from coderls.errors import ModelNotFound

#: What has a say in the answers of a model.
_SMALL = ("config.json", "tokenizer.json", "generation_config.json", "fim.json", "fake.json")
#: Of files of weights, which can have many gigabytes, so many pieces of so many bytes are read, evenly spaced.
_PIECES, _PIECE_BYTES = 64, 65_536


def fingerprint(folder: Path) -> str:
    """SHA-256 (its first 16 hexadecimal digits) of the small files, and of size and samples of each file of weights.

    Weights that were trained on differ nearly everywhere, so samples tell them apart in a fraction of a second. Raises
    ModelNotFound when the directory or a file in it cannot be read.
    """
    sums = hashlib.sha256()
    try:
        for name in _SMALL:
            file = folder / name
            if file.is_file():
                sums.update(f"{name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
        for file in sorted(folder.glob("*.safetensors")):
            sums.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            _sample(file, sums)
    except OSError as error:
        raise ModelNotFound(f"The model in {folder} cannot be read: {error}.", "Check its files.") from error
    return sums.hexdigest()[:16]


def _sample(file: Path, sums: hashlib._Hash) -> None:
    size = file.stat().st_size
    with file.open("rb") as data:
        for number in range(_PIECES):
            data.seek(max(0, size - _PIECE_BYTES) * number // (_PIECES - 1))
            sums.update(data.read(_PIECE_BYTES))
            if size <= _PIECE_BYTES:
                break
