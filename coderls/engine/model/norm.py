"""RMSNorm: x / sqrt(mean(x^2) + eps) * weight, over the last dimension."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: On a CPU, up to so many rows; beyond, the copies that the other form makes take longer than it saves.
FEW_ROWS = 4


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`x` [rows, size] by `weight` [size]; narrower dtypes are computed in float32, and rounded once at the end.

    On a CPU torch's `rms_norm` is half a dozen operations in a row (13 microseconds for one row of 576), and its
    `layer_norm` is one. Numbers and their opposites side by side have a mean of zero, and their variance is the mean
    square of the numbers: `layer_norm` of that gives the same in 8 microseconds.
    """
    size = weight.shape[0]
    if x.device.type != "cpu" or x.shape[0] > FEW_ROWS:
        return F.rms_norm(x, (size,), weight, eps)
    both, weights = torch.cat((x, -x), -1), torch.cat((weight, weight))
    return F.layer_norm(both, (2 * size,), weights, None, eps)[:, :size].contiguous()
