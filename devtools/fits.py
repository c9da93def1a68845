"""The table of what fits where, by the same plan of memory that the engine makes at its start."""

from __future__ import annotations

from pathlib import Path

import torch

from coderls.engine.model.config import ModelConfig, parse_config
from coderls.engine.model.forms import PLAIN, WeightForm, form_bytes
from coderls.engine.model.memory import graph_bytes, plan_memory
from coderls.errors import EngineStartFailed
from coderls.models.family import SIZES

#: Memory of common cards, in GB; drivers and screens leave about so much of it.
CARDS = (8, 12, 16, 24, 48, 80, 141)
_LEFT = 0.95
_FORMS = (PLAIN, WeightForm(8, wide=False), WeightForm(4, wide=False))
#: A context below this is not worth a column.
_LEAST = 8192


def fits_table() -> str:
    """Every size of the family: its memory in each form, and the largest context on cards, as Markdown."""
    cards = " | ".join(f"{card} GB" for card in CARDS)
    lines = [
        f"| size | of | bfloat16 | int8 | int4 | KV of 1,000 tokens | {cards} |",
        "| --- | --- | ---: | ---: | ---: | ---: |" + " --- |" * len(CARDS),
    ]
    for size in SIZES:
        config = parse_config(size.config(), Path("config.json"))
        forms = " | ".join(f"{_bytes(config, form) / 1e9:.1f} GB" for form in _FORMS)
        kv = f"{config.kv_values_per_token * 2 * 1000 / 1e6:.0f} MB"
        found = " | ".join(_largest(config, card) for card in CARDS)
        lines.append(f"| {size.name} | {', '.join(size.series)} | {forms} | {kv} | {found} |")
    return "\n".join(lines)


def _largest(config: ModelConfig, card: float) -> str:
    """The widest form of the weights that leaves room for a useful context, and that context."""
    for form in _FORMS:
        try:
            plan = plan_memory(
                config,
                torch.device("cuda", 0),
                2,
                weights=_bytes(config, form),
                graphs=graph_bytes(config),
                free=int(card * 1e9 * _LEFT),
            )
        except EngineStartFailed:
            continue
        if plan.slots[0] >= _LEAST:
            return f"{form.name}, {plan.slots[0] // 1024}K"
    return ""


def _bytes(config: ModelConfig, form: WeightForm) -> int:
    return form_bytes(config, form, 2, packs=False)
