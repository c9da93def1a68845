"""A head of a vocabulary's size in two looks: all tokens in 4 bits, then the likely ones again in 8.

The head is the largest product of a step, and only a few of its rows matter. On a CPU torch reads 4 bits in less than
half of the time of 8 (28 MB of int8: 4.3 ms in one thread, 1.7 in 4 bits), but 4 bits alone move logits by half a unit.
With the likeliest computed again, the choice is that of the 8 bits, and so are the logits of all tokens that hold more
than a few thousandths of the probability. Where the token may be another one, because it is drawn or has to begin with
what was typed, `TwoLooks.whole` is asked: of tokens with an unlikely first letter, 4 bits chose others in a fifth of
all places.
"""

from __future__ import annotations

import torch
from torch import Tensor

from coderls.engine.model.linear import (
    INT4_ROWS,
    CpuInt4Product,
    CpuInt8Product,
    Linear,
    QuantizedLinear,
    quantized_products_work,
)
from coderls.engine.model.quantize import DEFAULT_GROUP, Int4Weight, Int8Weight, quantize_int4

#: Tokens that are looked at again, for each row. In 900 rows of real code 32 held the likeliest every time; with 128
#: the mean KL that the others' 4 bits cost was 0.007, with 512 0.003 (int4 in the layers: 0.2).
LIKELY = 128
#: The largest of so many outputs side by side stands for them in a first choice: half the time of one `topk` of all.
_BLOCK = 64
#: Rows that are made narrower at once, so that no wide copy of a large head is ever there.
_AT_ONCE = 8192


class ShortlistProduct:
    """`x` [rows, in] to [rows, out] as CpuInt8Product gives them for the LIKELY outputs of each row, in 4 bits else.

    The copy in 4 bits is made at the first call: what runs whole steps by itself (`native`) never needs it.
    """

    def __init__(self, weight: Int8Weight) -> None:
        self._weight = weight
        self._rough: CpuInt4Product | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self._rough is None:
            self._rough = CpuInt4Product(_narrower(self._weight))
        y = self._rough(x)
        ids = likeliest(y.float(), LIKELY).flatten()
        again = CpuInt8Product(Int8Weight(self._weight.q[ids], self._weight.scale[ids]))
        # Where rows share an output it is the same number twice; where they do not, both profit.
        return y.index_copy_(1, ids, again(x))

    @property
    def nbytes(self) -> int:
        """Memory of the copy."""
        return 0 if self._rough is None else self._rough.nbytes


class TwoLooks(QuantizedLinear):
    """A head with a `ShortlistProduct`. `whole` is the same in 8 bits alone, for tokens that need not be likely."""

    def __init__(self, whole: QuantizedLinear, weight: Int8Weight) -> None:
        product = ShortlistProduct(weight)
        super().__init__(weight, whole.bias, wide=whole.wide, product=product, few_rows=whole.few_rows)
        self.whole = whole


def likeliest(logits: Tensor, count: int) -> Tensor:
    """Where the `count` largest of each row are, in no order: int64 [rows, count]."""
    rows, outs = logits.shape
    if outs % _BLOCK or outs // _BLOCK <= count:
        return logits.topk(min(count, outs), sorted=False).indices
    blocks = logits.view(rows, -1, _BLOCK)
    # The largest `count` lie in the `count` blocks with the largest maxima.
    best = blocks.amax(-1).topk(count, sorted=False).indices
    candidates = blocks.gather(1, best.unsqueeze(-1).expand(-1, -1, _BLOCK)).view(rows, -1)
    within = candidates.topk(count, sorted=False).indices
    return best.gather(1, within // _BLOCK) * _BLOCK + within % _BLOCK


def in_two_looks(head: Linear) -> Linear:
    """`head` with its int8 product in two looks, where it is large, and torch's products of a CPU take its shape."""
    if not isinstance(head, QuantizedLinear) or not isinstance(head.weight, Int8Weight) or not head.few_rows:
        return head
    if head.weight.q.device.type != "cpu" or not takes(*head.weight.shape):
        return head
    if not quantized_products_work(DEFAULT_GROUP):
        return head
    return TwoLooks(head, head.weight)


def takes(outs: int, ins: int) -> bool:
    """Whether a head of that shape is large enough, and one of torch's int4 product."""
    return outs > LIKELY * _BLOCK and outs % INT4_ROWS == 0 and ins % DEFAULT_GROUP == 0


def _narrower(weight: Int8Weight) -> Int4Weight:
    """The same in 4 bits."""
    parts = [
        quantize_int4(Int8Weight(q, scale).dequantize(torch.bfloat16))
        for q, scale in zip(torch.split(weight.q, _AT_ONCE), torch.split(weight.scale, _AT_ONCE), strict=True)
    ]
    scales, zeros = (torch.cat(values, 1) for values in zip(*((part.scale, part.zero) for part in parts), strict=True))
    return Int4Weight(torch.cat([part.q for part in parts]), scales, zeros)
