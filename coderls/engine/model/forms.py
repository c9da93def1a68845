"""In which form a model's weights are held: at full width, or in int8 or int4, with or without the wide ones beside.

Decoding reads every weight for each token, so fewer bytes are more speed. Prompts are read through the wide weights
where they fit beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from coderls.engine.model.config import ModelConfig
from coderls.engine.model.linear import quantized_products_work
from coderls.engine.model.quantize import DEFAULT_GROUP, GROUPS
from coderls.engine.model.shortlist import takes
from coderls.models.quantized import file_for

#: Of the free memory, what the weights in all their forms may take before the wide ones are left out.
_WIDE_SHARE = 0.5
#: What weights may take of it before fewer bits are chosen; KV needs the rest.
_FORM_SHARE = 0.8


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
    head is a copy, an int4 weight is held twice, and so is the head beside (`shortlist.py`).
    """
    table = config.vocab_size * config.hidden_size
    heads = table if packs or not config.tied_head else 0
    if form.bits == 16:
        return (config.parameters + (heads if config.tied_head else 0)) * itemsize
    products = config.parameters - table * (1 if config.tied_head else 2)
    copies = 2 if packs and form.bits == 4 else 1
    narrow = products * copies * (1 if form.bits == 8 else 0.5 + 4 / form.group)
    wide = (products + heads) * itemsize if form.wide else 0
    return int(table * itemsize + narrow + table + _rough_head_bytes(config, form, packs=packs) + wide)


def _rough_head_bytes(config: ModelConfig, form: WeightForm, *, packs: bool) -> float:
    """Of the head's copy in 4 bits."""
    if form.bits != 4 or not packs or not takes(config.vocab_size, config.hidden_size):
        return 0.0
    return config.vocab_size * config.hidden_size * (0.5 + 4 / DEFAULT_GROUP)


def native_bytes(config: ModelConfig, form: WeightForm, itemsize: int, *, packs: bool) -> int:
    """Memory of the copy of the weights that a processor's native step reads (`native/pack.py`), in bytes.

    It takes the place of the second copies in int4 that `form_bytes` counts. 0 for float32 weights, which it does not
    read.
    """
    table = config.vocab_size * config.hidden_size
    products = config.parameters - table * (1 if config.tied_head else 2)
    if form.bits == 16:
        return (products + table) * 2 if itemsize == 2 else 0
    if form.bits == 8:
        return products + table
    counted = 0.5 + 4 / form.group if packs else 0.0
    rough = _rough_head_bytes(config, form, packs=packs)
    return int(products * (0.5 + 4 / GROUPS[0] - counted) + table - rough)


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

    On a CPU auto is int8, whose product is fast there and changes little; on a card it is bfloat16. Where memory is
    too short for these it is the next smaller form. int4 is never chosen for speed alone: see BENCHMARKS.md, and think
    of fine-tuned weights, which may differ from the untuned ones by less than its steps. Raises ModelBroken.
    """

    def size(form: WeightForm) -> int:
        return form_bytes(config, form, itemsize, packs=packs)

    def roomy(bits: int) -> WeightForm:
        both = WeightForm(bits, _group(folder) if bits == 4 else DEFAULT_GROUP)
        return both if free is None or size(both) <= free * _WIDE_SHARE else replace(both, wide=False)

    if wanted == "bfloat16":
        return PLAIN
    if wanted in {"int8", "int4"}:
        return roomy(int(wanted.removeprefix("int")))
    fast = device.type == "cpu" and quantized_products_work(0)
    candidates = (roomy(8), roomy(4)) if fast else (PLAIN, roomy(8), roomy(4))
    fitting = (form for form in candidates if free is None or size(form) <= free * _FORM_SHARE)
    return next(fitting, candidates[-1])


def _group(folder: Path) -> int:
    """That of the copy which the user asked for last by `coderls models quantize`; without one the default."""
    newest = {DEFAULT_GROUP: 0}
    for group in GROUPS:
        file = file_for(folder, f"int4-g{group}")
        if file.is_file():
            newest[group] = file.stat().st_mtime_ns
    return max(newest, key=newest.__getitem__)
