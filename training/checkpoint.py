"""Checkpoints in pieces of a bounded size: files that fit where large ones do not (repositories, mail, flaky links).

A checkpoint is a folder with `index.json` and `piece-*.safetensors`. Each tensor is cut along its first axis where it
is larger than what is left of a piece. The index is written last, so that a folder without one is an unfinished copy.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from coderls.errors import CoderlsError

MEBIBYTE = 1 << 20
INDEX = "index.json"


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], piece_bytes: int = 60 * 10**6) -> None:
    """Write a checkpoint in place of what is at `folder`; a stop at any time leaves the old or the new one."""
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    pieces: list[dict[str, Tensor]] = [{}]
    room = limit = piece_bytes - 64 * 1024  # for the header
    for name, tensor in tensors.items():
        flat = tensor.detach().to("cpu").contiguous().reshape(-1)
        start = 0
        while start < flat.numel() or (start == 0 and flat.numel() == 0):
            size = flat.element_size()
            if room < min(flat.numel() - start, 4096) * size:
                pieces.append({})
                room = limit
            count = min(flat.numel() - start, room // size)
            pieces[-1][f"{name}@{start}"] = flat[start : start + count].clone()
            room -= count * size
            start += count
            if not flat.numel():
                break
    for number, piece in enumerate(pieces):
        save_file(piece, str(fresh / f"piece-{number:03}.safetensors"))
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    (fresh / INDEX).write_text(json.dumps({"facts": dict(facts), "shapes": shapes}), encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint, or of the one before where a stop left only that. Raises CoderlsError."""
    if not (folder / INDEX).is_file() and (folder.with_name(folder.name + ".old") / INDEX).is_file():
        folder = folder.with_name(folder.name + ".old")
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        parts: dict[str, list[tuple[int, Tensor]]] = {name: [] for name in index["shapes"]}
        for path in sorted(folder.glob("piece-*.safetensors")):
            for key, tensor in load_file(str(path)).items():
                name, _, start = key.rpartition("@")
                parts[name].append((int(start), tensor))
        tensors = {
            name: torch.cat([tensor for _, tensor in sorted(parts[name], key=lambda item: item[0])]).reshape(shape)
            for name, shape in index["shapes"].items()
        }
        return tensors, index["facts"]
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CoderlsError(f"{folder} holds no whole checkpoint: {error!r}.") from error
