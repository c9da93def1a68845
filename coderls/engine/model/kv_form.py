"""KV in 8 bits: half the memory, and half of what a long context has to read for each token.

Each block of up to 32 numbers of a head has a scale of its own. Keys of this family have a few channels that are far
larger than the others (their biases are); one scale for a whole head would leave nothing of the rest. A number depends
on its own token only, so that a prefix that is used again, copied or computed in other chunks is the same to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coderls.engine.model.config import ModelConfig
from coderls.errors import EngineStartFailed

#: Numbers of a head that share a scale, at most.
BLOCK = 32
#: Of the scales: bfloat16 has the range of float32, and the numbers are made with the scale as it was rounded.
SCALE = torch.bfloat16
#: The least card (compute capability) with arithmetic in 8-bit floating point.
_FP8_CARD = (8, 9)


@dataclass(frozen=True, slots=True)
class KvForm:
    """How numbers of the cache are held: in `dtype`, the largest of a block as `most` times its scale."""

    name: str
    dtype: torch.dtype
    most: float


INT8 = KvForm("int8", torch.int8, 127.0)
FP8 = KvForm("fp8", torch.float8_e4m3fn, 448.0)
FORMS = {form.name: form for form in (INT8, FP8)}


def choose_kv_form(wanted: str, device: torch.device, card: tuple[int, int] | None = None) -> KvForm | None:
    """The form for "auto" (None: numbers as the model computes them), "int8" or "fp8" on `device`.

    `card`: its compute capability; None: it is asked. Raises EngineStartFailed for one that is not there.
    """
    if wanted == "auto":
        return None
    if wanted not in FORMS:
        raise EngineStartFailed(f"There is no KV cache in {wanted!r}.", f"Use auto, {' or '.join(FORMS)}.")
    if wanted == FP8.name and not _has_fp8(device, card):
        raise EngineStartFailed(
            f"{device} has no arithmetic in 8-bit floating point, which a KV cache in fp8 needs.",
            "Set engine.kv_cache to int8, which takes as much memory and is more exact.",
        )
    return FORMS[wanted]


def _has_fp8(device: torch.device, card: tuple[int, int] | None) -> bool:
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return (card or torch.cuda.get_device_capability(device)) >= _FP8_CARD


def block_of(head_dim: int) -> int:
    """Numbers that share a scale, in heads of `head_dim`."""
    return math.gcd(head_dim, BLOCK)


def kv_bytes_per_token(config: ModelConfig, itemsize: int, form: KvForm | None) -> int:
    """Bytes of the KV cache for each token; `itemsize` of a number that is not quantized."""
    if form is None:
        return config.kv_values_per_token * itemsize
    scales = config.kv_values_per_token // block_of(config.head_dim)
    return config.kv_values_per_token * form.dtype.itemsize + scales * SCALE.itemsize


def quantize_kv(values: Tensor, form: KvForm) -> tuple[Tensor, Tensor]:
    """`values` [..., head_dim] as numbers of the form, and their scales [..., blocks].

    A block that holds NaN or infinity gives a scale that says so.
    """
    head_dim = values.shape[-1]
    blocks = values.float().view(*values.shape[:-1], -1, block_of(head_dim))
    scales = (blocks.abs().amax(-1) / form.most).to(SCALE)
    # A block of zeros has a scale of zero.
    steps = scales.float().masked_fill(scales == 0, 1.0).unsqueeze(-1)
    numbers = (blocks / steps).clamp_(-form.most, form.most)
    if not form.dtype.is_floating_point:
        numbers.round_()
    return numbers.to(form.dtype).flatten(-2), scales


def widen_kv(numbers: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """What `quantize_kv` gave, in `dtype`: each product is rounded once."""
    wide = torch.float32 if dtype == torch.float16 else dtype  # float16 has not the range of a scale
    blocks = numbers.to(wide).view(*scales.shape, -1)
    return blocks.mul(scales.to(wide).unsqueeze(-1)).flatten(-2).to(dtype)
