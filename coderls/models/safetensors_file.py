"""The safetensors format, in numpy: headers checked without reading weights, bfloat16, streamed writing.

The library's numpy side has no bfloat16, and its writer wants the whole model in memory. The format
(https://github.com/huggingface/safetensors, "Format") is a length of 8 bytes, a JSON header, and raw tensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{path} is no safetensors file that can be read: {error}.", "Fetch it again.") from error
    raw.pop("__metadata__", None)
    try:
        entries = {name: _entry(fields, start_of_data) for name, fields in raw.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
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


def read_float32(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of a small bfloat16 or float32 file, as float32. Raises ModelBroken."""
    entries = read_header(path)
    data = path.read_bytes()
    tensors = {}
    for name, entry in entries.items():
        raw = data[entry.start : entry.start + entry.size]
        if entry.dtype == "BF16":
            bits = np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16
            tensors[name] = bits.view(np.float32).reshape(entry.shape)
        elif entry.dtype == "F32":
            tensors[name] = np.frombuffer(raw, dtype="<f4").reshape(entry.shape)
        else:
            raise ModelBroken(f"{name} in {path} is {entry.dtype}; BF16 or F32 was expected.")
    return tensors


def to_bfloat16(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even, as IEEE 754 rounds."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16)


def write_bfloat16(
    path: Path, shapes: Mapping[str, tuple[int, ...]], tensors: Iterable[tuple[str, npt.NDArray[np.floating[Any]]]]
) -> None:
    """Write `tensors`, which come one at a time in the order of `shapes`, rounded to bfloat16.

    Raises ModelBroken when a tensor is not the one whose turn it is.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [position, position + 2 * prod(shape)]}
        position += 2 * prod(shape)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # tensors start at a multiple of 8
    expected = iter(shapes.items())
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for name, values in tensors:
            turn = next(expected, None)
            if turn != (name, values.shape):
                raise ModelBroken(f"{name} {values.shape} came where {turn} was expected.")
            file.write(to_bfloat16(values).astype("<u2", copy=False).tobytes())
        missing = next(expected, None)
    if missing is not None:
        raise ModelBroken(f"{missing[0]} was not in the source.")
