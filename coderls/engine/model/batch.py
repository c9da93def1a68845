"""What one run of the model works on: the new tokens of several sequences, side by side without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coderls.engine.model.kv import KvCache
from coderls.engine.model.rope import RopeTables
from coderls.engine.runner import Work


@dataclass(frozen=True, slots=True)
class Span:
    """Queries of one sequence: the last `count` of the first `end` positions of KV slot `slot`."""

    slot: int
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class Batch:
    """`tokens`, `rope_rows` and `kv_rows` are int64 [total]: the ids, and each one's row of the rotary tables and of
    the KV cache. `spans` says whose they are, in order; for the last `wanted[i]` tokens of span i logits are wanted.
    """

    tokens: Tensor
    rope_rows: Tensor
    kv_rows: Tensor
    spans: tuple[Span, ...]
    wanted: tuple[int, ...]

    @property
    def ends(self) -> tuple[Span, ...]:
        """The spans of the tokens that become logits."""
        return tuple(
            Span(span.slot, span.end, wanted) for span, wanted in zip(self.spans, self.wanted, strict=True) if wanted
        )

    def end_rows(self) -> list[int] | None:
        """Which of the tokens become logits, by their place in `tokens`; None: all of them."""
        if all(wanted == span.count for span, wanted in zip(self.spans, self.wanted, strict=True)):
            return None
        rows: list[int] = []
        after = 0
        for span, wanted in zip(self.spans, self.wanted, strict=True):
            after += span.count
            rows.extend(range(after - wanted, after))
        return rows


def make_batch(works: Sequence[Work], cache: KvCache, rope: RopeTables, wanted: Sequence[int] | None = None) -> Batch:
    """The batch of `works`, which were checked before. `wanted`: instead of the samples that each asks for."""
    tokens: list[int] = []
    rope_rows: list[int] = []
    kv_rows: list[int] = []
    for work in works:
        count = len(work.tokens)
        tokens.extend(work.tokens)
        rope_rows.extend(rope.rows(work.start, count, long=work.long))
        first = cache.offsets[work.slot] + work.start
        kv_rows.extend(range(first, first + count))
    ids = torch.tensor([tokens, rope_rows, kv_rows], dtype=torch.long).to(cache.layers[0].device)
    return Batch(
        tokens=ids[0],
        rope_rows=ids[1],
        kv_rows=ids[2],
        spans=tuple(Span(work.slot, work.start + len(work.tokens), len(work.tokens)) for work in works),
        wanted=tuple(wanted) if wanted is not None else tuple(len(work.samples) for work in works),
    )
