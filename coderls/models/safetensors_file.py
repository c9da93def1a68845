"""Safetensors files in numpy: bfloat16 read and written, one tensor at a time.

The library's numpy side has no bfloat16, and its writer wants the whole model in memory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coderls.errors import ModelBroken
from coderls.models.safetensors_header import read_header


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
