"""Attention by a FlashAttention package, where one is installed.

FlashAttention-3 (`fa3_fwd_interface` of fa3-fwd, or `flash_attn_interface` of a build from source) runs on Hopper
cards, flash-attn 2 on Ampere and newer. All have `flash_attn_with_kvcache`: attention to a KV cache, causal from the
lower right corner, split along the cache where that pays. None is imported before a card is there.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coderls.engine.model.attention import Attend
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache


@dataclass(frozen=True, slots=True)
class Package:
    """A package: the module to import, what we call it, the cards it runs on (major compute capability)."""

    module: str
    name: str
    cards: tuple[int, ...]


#: Best first.
PACKAGES = (
    Package("fa3_fwd_interface", "flash-attn 3 (fa3-fwd)", (9,)),
    Package("flash_attn_interface", "flash-attn 3", (9,)),
    Package("flash_attn", "flash-attn 2", (8, 9, 10, 12)),
)


class FlashAttention:
    """One call for each sequence and layer; `kernel` is the package's `flash_attn_with_kvcache`."""

    def __init__(self, cache: KvCache, name: str, kernel: Callable[..., Tensor]) -> None:
        self.name = name
        self._kernel = kernel
        # Views [1, positions, kv_heads, head_dim] of each slot of each layer.
        self._views = [
            [cache.slot(layer, slot).unsqueeze(0).chunk(2, dim=2) for slot in range(len(cache.lengths))]
            for layer in range(len(cache.layers))
        ]

    def plan(self, spans: Sequence[Span]) -> Attend:
        """See `Attention.plan`."""
        counts = [span.count for span in spans]

        def attend(queries: Tensor, layer: int) -> Tensor:
            parts = []
            for part, span in zip(torch.split(queries, counts), spans, strict=True):
                keys, values = (view[:, : span.end] for view in self._views[layer][span.slot])
                out = self._kernel(part.unsqueeze(0), keys, values, causal=True)
                parts.append(out.reshape(span.count, -1))
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        return attend


def missing(package: Package, capability: int, dtype: torch.dtype) -> str:
    """ "" where `package` can be tried on a card of that capability (the major one), else why not."""
    if dtype not in {torch.bfloat16, torch.float16}:
        return f"not for {str(dtype).removeprefix('torch.')}"
    if capability not in package.cards:
        return "not for this card"
    return "" if importlib.util.find_spec(package.module) else "not installed"


def load(package: Package, cache: KvCache) -> FlashAttention:
    """The backend of `package` for `cache`. Raises what its import raises, and AttributeError for another version."""
    return FlashAttention(cache, package.name, importlib.import_module(package.module).flash_attn_with_kvcache)
