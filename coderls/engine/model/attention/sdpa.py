"""Attention by torch's scaled_dot_product_attention: on every device, and what others are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from coderls.engine.model.attention import Attend
from coderls.engine.model.attention.merge import after_cache, pays
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache

#: Of torch's kernels, those that may be the fastest for a prompt from its start; which is, depends on the card and on
#: the version. Chunks after cached tokens are torch's choice: not all kernels have their mask.
KERNELS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}

#: A CPU's kernel reads the cache head by head, a little of each position at a time, which memory is slow at: twice as
#: fast with all of it copied in order first, in one token of 150 to 4,000 positions of the embedded model. More tokens
#: reckon for longer than they read, and at 20,000 positions (15 MB) the copy was lost time: so many at most.
COPIED_TOKENS = 16
COPIED_BYTES = 4 << 20


class SdpaAttention:
    """One call of scaled_dot_product_attention for each sequence and layer."""

    name = "sdpa"

    def __init__(self, cache: KvCache, kernel: str = "") -> None:
        """`kernel`: the one of KERNELS that reads whole prompts or raises; "": torch chooses."""
        if kernel:
            self.name = f"sdpa ({kernel})"
        self._kernel = KERNELS[kernel] if kernel else None
        self._device = cache.device
        if self._device.type != "cpu":
            _lower_right()  # imported now, not when the first prompt waits
        self._cache = cache
        # Views [1, kv_heads, positions, head_dim] of each slot of each layer: made once, they cost nothing in a step.
        # Quantized numbers are made wide at each call, as many as it reads.
        self._views = [
            [_views(cache.slot(layer, slot)) for slot in range(len(cache.lengths))]
            for layer in range(len(cache.layers) if cache.form is None else 0)
        ]

    def plan(self, spans: Sequence[Span]) -> Attend:
        """See `Attention.plan`."""
        masks = [
            None if pays(span.count, span.end, self._device) else causal_mask(span.count, span.end, self._device)
            for span in spans
        ]

        reads = [self._reader(span) for span in spans]

        def attend(queries: Tensor, layer: int) -> Tensor:
            if len(spans) == 1:
                return self._attend(queries, reads[0](layer), spans[0].end, masks[0])
            parts = torch.split(queries, [span.count for span in spans])
            each = zip(parts, spans, reads, masks, strict=True)
            return torch.cat([self._attend(part, read(layer), span.end, mask) for part, span, read, mask in each])

        return attend

    def _attend(self, queries: Tensor, views: tuple[Tensor, Tensor], end: int, mask: Tensor | None) -> Tensor:
        if self._kernel is None or not 1 < len(queries) == end:
            return _attend(queries, views, end, mask)
        with sdpa_kernel(self._kernel):
            return _attend(queries, views, end, mask)

    def _reader(self, span: Span) -> Callable[[int], tuple[Tensor, Tensor]]:
        """What gives keys and values of a layer: those of at least the first `span.end` positions."""
        cache, slot, end = self._cache, span.slot, span.end
        if cache.form is not None:
            return lambda layer: _views(cache.first(layer, slot, end, cache.dtype))
        size = end * cache.layers[0][0].nbytes
        if self._device.type == "cpu" and span.count <= COPIED_TOKENS and size <= COPIED_BYTES:
            return lambda layer: _views(cache.first(layer, slot, end, cache.dtype).clone())
        return lambda layer: self._views[layer][slot]


def causal_mask(count: int, end: int, device: torch.device) -> Tensor | None:
    """What `count` queries that end at position `end` may see of it; None where no tensor is needed for that.

    The last query sees all: the diagonal ends in the lower right corner. `is_causal` of
    scaled_dot_product_attention aligns to the upper left, which is right only where nothing is cached.
    """
    if count in {1, end}:
        return None
    if device.type != "cpu":
        # Tells flash attention to align there by itself, instead of reading a mask of count x end.
        bias: Tensor = _lower_right()(count, end)
        return bias
    return torch.ones(count, end, dtype=torch.bool, device=device).tril_(end - count)


def _lower_right() -> Callable[[int, int], Tensor]:
    """torch's mask by name. Its module brings torch's compiler, two seconds: no engine on a CPU waits for that."""
    from torch.nn.attention.bias import causal_lower_right  # noqa: PLC0415

    made: Callable[[int, int], Tensor] = causal_lower_right
    return made


def _views(rows: Tensor) -> tuple[Tensor, Tensor]:
    keys, values = rows.transpose(0, 1).unsqueeze(0).chunk(2, dim=1)
    return keys, values


def _attend(queries: Tensor, views: tuple[Tensor, Tensor], end: int, mask: Tensor | None) -> Tensor:
    """Attention of one sequence's `queries` [tokens, heads, head_dim] to its first `end` positions."""
    count, heads, head_dim = queries.shape
    keys, values = views[0].narrow(2, 0, end), views[1].narrow(2, 0, end)
    if count == 1:
        # The query heads of one KV head become rows of one product: nine times faster than enable_gqa in bfloat16.
        grouped = queries.view(1, keys.shape[1], heads // keys.shape[1], head_dim)
        return F.scaled_dot_product_attention(grouped, keys, values).view(1, heads * head_dim)
    asked = queries.transpose(0, 1).unsqueeze(0)
    if mask is None and count < end:
        out = after_cache(asked, keys, values)
    else:
        out = F.scaled_dot_product_attention(
            asked, keys, values, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
    return out.squeeze(0).transpose(0, 1).reshape(count, heads * head_dim)
