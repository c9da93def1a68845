"""A model's weights in int8 or int4 in a file of their own, made once from its bfloat16 directory.

A safetensors file: for each product of `weights.product_parts` the tensors of its form, `layers.0.qkv.q` and so on.
The head is int8 in both forms. It is written product by product, so that a large model needs no memory for it, and
gets its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import struct
import tempfile
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from coderls.engine.model.config import ModelConfig
from coderls.engine.model.forms import WeightForm
from coderls.engine.model.quantize import Int4Weight, Int8Weight, QuantizedWeight, quantize
from coderls.engine.model.weights import Checkpoint, open_checkpoint, product_parts
from coderls.errors import ModelBroken, ModelUnavailable
from coderls.models import quantized
from coderls.models.disk import disk_error, one_at_a_time, require_space

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]

#: Raised when the same weights would be quantized to other numbers.
FORMAT = "coderls-quantized-1"
_NAMES = {torch.int8: "I8", torch.uint8: "U8", torch.bfloat16: "BF16"}
_HEAD = "head"


class StoredWeights:
    """The quantized weights of an open file."""

    def __init__(self, path: Path, form: WeightForm, config: ModelConfig) -> None:
        """Raises ModelBroken for a file that is not whole, or not of this form and model."""
        self.wide = form.wide
        self._path = path
        again = "Delete it: it is made again."
        try:
            file: Any = safe_open(path, framework="pt", device="cpu")
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            made = (file.metadata() or {}).get("format")
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelBroken(f"{path} is damaged: {error}.", again) from error
        if made != FORMAT or found != {name: shape for name, _, shape in _layout(config, form)}:
            raise ModelBroken(f"{path} does not hold these weights in {form.name}.", again)
        self._file = file
        self._names = frozenset(found)

    def weight(self, product: str, device: torch.device) -> QuantizedWeight:
        """See `weights.Narrow`."""

        def read(name: str) -> Tensor:
            tensor = self._file.get_tensor(f"{product}.{name}")
            return cast(Tensor, tensor.to(device) if device.type != "cpu" else tensor.clone())

        if f"{product}.zero" in self._names:
            return Int4Weight(read("q"), read("scale"), read("zero"))
        return Int8Weight(read("q"), read("scale"))


class FreshWeights:
    """The weights of a checkpoint, quantized as they are read: where no file can be kept."""

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig, form: WeightForm) -> None:
        self.wide = form.wide
        self._checkpoint = checkpoint
        self._config = config
        self._form = form

    def weight(self, product: str, device: torch.device) -> QuantizedWeight:
        """See `weights.Narrow`."""
        names = product_parts(self._config)[product]
        whole = self._checkpoint.fused(names, device, torch.float32)
        return quantize(whole, _bits(product, self._form), self._form.group)


def obtain(
    folder: Path, config: ModelConfig, form: WeightForm, progress: Progress | None = None
) -> StoredWeights | FreshWeights:
    """The weights of `folder` in `form`: from the file in the cache, which is made if it is not there.

    Where it cannot be written they are quantized each time. Raises ModelBroken.
    """
    path = quantized.file_for(folder, form.file_name)
    try:
        try:
            return StoredWeights(make(folder, config, form, progress), form, config)
        except ModelBroken as error:
            if not path.exists() or str(path) not in error.what:
                raise
            log.warning("%s", error)
            path.unlink()
            return StoredWeights(make(folder, config, form, progress), form, config)
    except (ModelUnavailable, OSError) as error:
        log.warning("The quantized weights are not kept: %s", error)
        return FreshWeights(open_checkpoint(folder, config), config, form)


def make(folder: Path, config: ModelConfig, form: WeightForm, progress: Progress | None = None) -> Path:
    """Write the file of `folder` in `form` into the cache, unless it is there; two processes write it once.

    Files that were made from weights which the folder no longer holds are deleted. Raises ModelBroken, and
    ModelUnavailable for a disk that is full or cannot be written.
    """
    say = progress or (lambda _detail, _fraction: None)
    path = quantized.file_for(folder, form.file_name)
    if path.is_file():  # whole, or it would not have this name; nothing has to be written, not even a lock
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(path.parent / f".{path.stem}.lock", say):
            if path.is_file():
                return path
            checkpoint = open_checkpoint(folder, config)
            size = sum(prod(shape) * dtype.itemsize for _, dtype, shape in _layout(config, form))
            require_space(size, path.parent, "The quantized copy of the model")
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-", ignore_cleanup_errors=True) as place:
                scratch = Path(place) / path.name
                _write(scratch, checkpoint, config, form, say)
                os.replace(scratch, path)
            same_form = (file for file in quantized.files_of(folder) if file.stem.endswith(f"-{form.file_name}"))
            for old in same_form:
                if old != path:
                    with contextlib.suppress(OSError):  # in use, on Windows
                        old.unlink(missing_ok=True)
            quantized.remove_orphans()
    except OSError as error:
        raise disk_error(error, path.parent) from error
    return path


def _write(path: Path, checkpoint: Checkpoint, config: ModelConfig, form: WeightForm, say: Progress) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "source": str(checkpoint.folder.resolve())}}
    layout = _layout(config, form)
    position = 0
    for name, dtype, shape in layout:
        end = position + prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [position, end]}
        position = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # tensors start at a multiple of 8
    source = FreshWeights(checkpoint, config, form)
    cpu = torch.device("cpu")
    done = 0
    with path.open("wb") as file, torch.inference_mode():
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for product in product_parts(config):
            say("quantizing the weights", done / position)
            for tensor in source.weight(product, cpu).tensors().values():
                file.write(tensor.contiguous().view(torch.uint8).numpy().data)
                done += tensor.nbytes
    say("quantizing the weights", 1.0)


def _layout(config: ModelConfig, form: WeightForm) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
    """Name, dtype and shape of every tensor of the file, in its order."""
    hidden, middle = config.hidden_size, config.intermediate_size
    queries, pairs = config.heads * config.head_dim, config.kv_heads * config.head_dim
    shapes = {
        "qkv": (queries + 2 * pairs, hidden),
        "attention_out": (hidden, queries),
        "gate_up": (2 * middle, hidden),
        "mlp_out": (hidden, middle),
        _HEAD: (config.vocab_size, hidden),
    }
    layout: list[tuple[str, torch.dtype, tuple[int, ...]]] = []
    for product in product_parts(config):
        rows, columns = shapes[product.rpartition(".")[2]]
        if _bits(product, form) == 4 and columns % form.group == 0:
            steps = (columns // form.group, rows)
            layout.append((f"{product}.q", torch.uint8, (rows, columns // 2)))
            layout += [(f"{product}.{name}", torch.bfloat16, steps) for name in ("scale", "zero")]
        else:
            layout.append((f"{product}.q", torch.int8, (rows, columns)))
            layout.append((f"{product}.scale", torch.bfloat16, (rows,)))
    return layout


def _bits(product: str, form: WeightForm) -> int:
    return 8 if product == _HEAD else form.bits
