"""The header of a safetensors file: what is in it, and whether it is whole, without reading a weight.

No numpy here: the language server looks at model directories too. The format
(https://github.com/huggingface/safetensors, "Format") is a length of 8 bytes, a JSON header, and raw tensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from coderls.errors import ModelBroken

_MAX_HEADER = 100_000_000
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies: `start` and `size` in bytes from the beginning of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors of a file by name. Raises ModelBroken for a file that is missing, truncated or no safetensors."""
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            start_of_data, raw = _raw_header(file.read(8), file, length)
    except FileNotFoundError as error:
        raise ModelBroken(f"{path} is missing.", "Fetch the model again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBroken(f"{path} is no safetensors file that can be read: {error}.", "Fetch it again.") from error
    raw.pop("__metadata__", None)
    try:
        entries = {name: _entry(fields, start_of_data) for name, fields in raw.items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelBroken(f"The header of {path} makes no sense: {error!r}.", "Fetch it again.") from error
    end = max((entry.start + entry.size for entry in entries.values()), default=start_of_data)
    if length < end:
        raise ModelBroken(f"{path} is truncated: {length:,} of {end:,} bytes are there.", "Fetch it again.")
    return entries


def _raw_header(first: bytes, file: Any, length: int) -> tuple[int, dict[str, Any]]:
    if len(first) < 8:
        raise ValueError("it is shorter than a header")
    (size,) = struct.unpack("<Q", first)
    if size > min(_MAX_HEADER, length - 8):
        raise ValueError("its header is longer than the file")
    raw = json.loads(file.read(size))
    if not isinstance(raw, dict):
        raise ValueError("its header is no object")
    return 8 + size, raw


def _entry(fields: Mapping[str, Any], start_of_data: int) -> Entry:
    begin, end = (int(number) for number in fields["data_offsets"])
    shape = tuple(int(size) for size in fields["shape"])
    dtype = str(fields["dtype"])
    if not 0 <= begin <= end or (dtype in _BYTES and end - begin != prod(shape) * _BYTES[dtype]):
        raise ValueError(f"a {dtype} tensor of shape {shape} in {end - begin} bytes")
    return Entry(dtype=dtype, shape=shape, start=start_of_data + begin, size=end - begin)
