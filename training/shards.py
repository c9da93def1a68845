"""Examples on disk: safetensors files of 16-bit token ids (a vocabulary of up to 65,536)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from coderls.errors import CoderlsError

_IN_ONE = 1 << 24  # tokens of a shard: 32 MB


def write(folder: Path, examples: Iterable[tuple[Sequence[int], int]]) -> None:
    """Write (token ids, place of the first token to learn) in their order, in place of what is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("shard-*.safetensors"):
        old.unlink()
    ids: list[npt.NDArray[np.uint16]] = []
    middles: list[int] = []
    number = held = 0
    for tokens, middle in examples:
        ids.append(np.asarray(tokens, np.uint16))
        middles.append(middle)
        held += len(tokens)
        if held >= _IN_ONE:
            _write(folder, number, ids, middles)
            number, held, ids, middles = number + 1, 0, [], []
    if ids:
        _write(folder, number, ids, middles)


def _write(folder: Path, number: int, ids: list[npt.NDArray[np.uint16]], middles: list[int]) -> None:
    ends = np.cumsum([len(part) for part in ids])
    tensors: dict[str, npt.NDArray[Any]] = {
        "ids": np.concatenate(ids),
        "ends": ends.astype(np.int64),
        "middles": np.asarray(middles, np.int64),
    }
    save_file(tensors, str(folder / f"shard-{number:05}.safetensors"))


@dataclass(frozen=True)
class Shards:
    """All examples of a folder, by number; they are drawn again from the start after the last."""

    ids: npt.NDArray[np.uint16]
    ends: npt.NDArray[np.int64]
    middles: npt.NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> Shards:
        """Read a folder. Raises CoderlsError where it holds no shards."""
        try:
            parts = [load_file(str(path)) for path in sorted(folder.glob("shard-*.safetensors"))]
            offsets = np.cumsum([0, *(len(part["ids"]) for part in parts)])
            return cls(
                np.concatenate([part["ids"] for part in parts]),
                np.concatenate([part["ends"] + offset for part, offset in zip(parts, offsets, strict=False)]),
                np.concatenate([part["middles"] for part in parts]),
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise CoderlsError(
                f"{folder} holds no examples: {error}.", "Make them: python -m training.examples."
            ) from error

    def __len__(self) -> int:
        return len(self.ends)

    def example(self, number: int) -> tuple[npt.NDArray[np.int64], int]:
        """Token ids, and the place of the first that is to be learnt."""
        number %= len(self)
        start = int(self.ends[number - 1]) if number else 0
        return self.ids[start : int(self.ends[number])].astype(np.int64), int(self.middles[number])
