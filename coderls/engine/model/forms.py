"""In which form a model's weights are held: at full width, or in int8 or int4, with or without the wide ones beside.

Decoding reads every weight for each token, so fewer bytes are more speed. Prompts are read through the wide weights
where they fit beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from coderls.engine.model.config import ModelConfig
from coderls.engine.model.linear import quantized_products_work
from coderls.engine.model.quantize import DEFAULT_GROUP, GROUPS, quantize_int4, quantize_int8
from coderls.engine.model.weights import Checkpoint, open_checkpoint, product_parts
from coderls.models.quantized import file_for

#: Of the free memory, what the weights in all their forms may take before the wide ones are left out.
_WIDE_SHARE = 0.5
#: Of the memory of a card, what bfloat16 weights may take before fewer bits are chosen; KV needs the rest.
_PLAIN_SHARE = 0.8
#: int4 is chosen by itself where its error is at most so many times that of int8.
_ALIKE = 2.0
_SAMPLED_ROWS = 256


@dataclass(frozen=True, slots=True)
class WeightForm:
    """`bits` 16 (not quantized), 8 or 4; `group` of int4; `wide`: the weights at full width are kept beside."""

    bits: int = 16
    group: int = DEFAULT_GROUP
    wide: bool = True

    @property
    def name(self) -> str:
        """As settings, logs and `coderls doctor` call it."""
        return {16: "bfloat16", 8: "int8", 4: "int4"}[self.bits]

    @property
    def file_name(self) -> str:
        """As the file of a quantized copy is called."""
        return f"int4-g{self.group}" if self.bits == 4 else self.name


PLAIN = WeightForm()


def form_bytes(config: ModelConfig, form: WeightForm, itemsize: int, *, packs: bool) -> int:
    """Memory of the weights, in bytes. `packs`: products are held in a layout of their own (a CPU's), so that a tied
    head is a copy, and an int4 weight is held twice.
    """
    table = config.vocab_size * config.hidden_size
    heads = table if packs or not config.tied_head else 0
    if form.bits == 16:
        return (config.parameters + (heads if config.tied_head else 0)) * itemsize
    products = config.parameters - table * (1 if config.tied_head else 2)
    copies = 2 if packs and form.bits == 4 else 1
    narrow = products * copies * (1 if form.bits == 8 else 0.5 + 4 / form.group)
    wide = (products + heads) * itemsize if form.wide else 0
    return int(table * itemsize + narrow + table + wide)


def choose_form(
    wanted: str,
    folder: Path,
    config: ModelConfig,
    *,
    device: torch.device,
    itemsize: int,
    free: int | None,
    packs: bool,
) -> WeightForm:
    """The form for `wanted` ("auto", "bfloat16", "int8" or "int4") in `free` bytes of memory (None: unknown).

    `itemsize` (bytes of a number at full width) and `packs`: see `form_bytes`.

    On a CPU auto quantizes: to int4 where these weights lose about as little by it as by int8 (those that were 4-bit
    once), to int8 otherwise, and to whatever fits. On a card auto takes the widest that fits. Raises ModelBroken.
    """

    def size(form: WeightForm) -> int:
        return form_bytes(config, form, itemsize, packs=packs)

    def roomy(bits: int) -> WeightForm:
        both = WeightForm(bits, group=_group(folder))
        return both if free is None or size(both) <= free * _WIDE_SHARE else replace(both, wide=False)

    if wanted == "bfloat16":
        return PLAIN
    if wanted in {"int8", "int4"}:
        return roomy(int(wanted.removeprefix("int")))
    if device.type == "cpu":
        if not (quantized_products_work(DEFAULT_GROUP) and quantized_products_work(0)):
            return PLAIN
        four, eight = roomy(4), roomy(8)
        fits = free is None or size(eight) <= free * _PLAIN_SHARE
        return eight if fits and not alike_in_four(open_checkpoint(folder, config), config) else four
    if free is None or device.type != "cuda" or size(PLAIN) <= free * _PLAIN_SHARE:
        return PLAIN
    eight = replace(roomy(8), wide=False)
    return eight if size(eight) <= free * _PLAIN_SHARE else replace(roomy(4), wide=False)


def _group(folder: Path) -> int:
    """That of a copy with larger groups, where the user made one by `coderls models quantize`; else the default."""
    made = (group for group in reversed(GROUPS) if file_for(folder, f"int4-g{group}").is_file())
    return next(made, DEFAULT_GROUP)


def alike_in_four(checkpoint: Checkpoint, config: ModelConfig) -> bool:
    """Whether these weights lose about as little in int4 as in int8: some rows of two layers say."""
    parts = product_parts(config)
    lost = [0.0, 0.0]
    for layer in {0, config.layers // 2}:
        for product in ("attention_out", "mlp_out"):
            (name,) = parts[f"layers.{layer}.{product}"]
            rows: Tensor = checkpoint.files[name].get_slice(name)[:_SAMPLED_ROWS]
            if rows.shape[1] % DEFAULT_GROUP:
                return False
            for index, values in enumerate((quantize_int4(rows).dequantize(), quantize_int8(rows).dequantize())):
                lost[index] += (values - rows.float()).square().sum().item()
    return lost[0] <= _ALIKE**2 * lost[1]
