"""Reads where the tensors of a GGUF file are, and its single values.

gguf's own reader makes arrays of each of a vocabulary's 98,000 words, which takes three seconds. Lists are passed over
here. Format, version 2 and 3, little-endian: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _LIST = 8, 9
_ALIGNMENT = 32  # where the file does not say another


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor. `shape`: rows before columns; `data`: its bytes as they are stored, [..., bytes of a row]."""

    name: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    data: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class GgufFile:
    """`values` by their keys, without lists; `tensors` in the file's order, mapped into memory."""

    values: Mapping[str, Any]
    tensors: Sequence[GgufTensor]


def read_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file. Raises OSError, and ValueError for one that is cut short or none at all."""
    whole = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    cursor = _Cursor(whole.data)
    try:
        return _read(cursor, whole)
    except (struct.error, LookupError, OverflowError, RecursionError) as error:
        raise ValueError(f"byte {cursor.at}: {error}") from error


def _read(cursor: _Cursor, whole: npt.NDArray[np.uint8]) -> GgufFile:
    if bytes(cursor.taken(4)) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise ValueError(f"version {version} is unknown")
    tensor_count, value_count = cursor.number("Q"), cursor.number("Q")
    values = {}
    for _ in range(value_count):
        key = cursor.text()
        values[key] = cursor.value(cursor.number("I"))
    places = [cursor.tensor() for _ in range(tensor_count)]
    alignment = int(values.get("general.alignment") or _ALIGNMENT)
    if alignment < 1:
        raise ValueError(f"its tensors are aligned to {alignment} bytes")
    start = -(-cursor.at // alignment) * alignment
    return GgufFile(values, [_tensor(whole, start + offset, name, shape, kind) for offset, name, shape, kind in places])


def _tensor(
    whole: npt.NDArray[np.uint8], start: int, name: str, shape: tuple[int, ...], kind: gguf.GGMLQuantizationType
) -> GgufTensor:
    stored = tuple(int(size) for size in gguf.quant_shape_to_byte_shape(shape, kind))
    size = int(np.prod(stored, dtype=object))  # an object: a wrong shape shall not wrap around
    if start + size > len(whole):
        raise ValueError(f"{name} is cut short")
    return GgufTensor(name, shape, kind, whole[start : start + size].reshape(stored))


class _Cursor:
    """Reads on from place `at`."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.at = 0

    def taken(self, size: int) -> memoryview:
        if size > len(self._data) - self.at:
            raise ValueError(f"it is cut short at byte {len(self._data)}")
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, form: str) -> Any:
        """`form`: a letter of `struct`."""
        (found,) = struct.unpack_from(f"<{form}", self._data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def text(self) -> str:
        return str(self.taken(self.number("Q")), "utf-8")

    def value(self, kind: int) -> Any:
        """A value of this type; None for a list, which is passed over."""
        if kind == _STRING:
            return self.text()
        if kind != _LIST:
            return self.number(_SCALARS[kind])
        kind, count = self.number("I"), self.number("Q")
        if kind in _SCALARS:
            self.taken(count * struct.calcsize(f"<{_SCALARS[kind]}"))
        else:
            for _ in range(count):
                self.taken(self.number("Q")) if kind == _STRING else self.value(kind)
        return None

    def tensor(self) -> tuple[int, str, tuple[int, ...], gguf.GGMLQuantizationType]:
        """Where a tensor begins behind the header, its name, shape and type."""
        name = self.text()
        sizes = [int(self.number("Q")) for _ in range(self.number("I"))]
        kind = gguf.GGMLQuantizationType(self.number("I"))
        return int(self.number("Q")), name, tuple(reversed(sizes)), kind
