"""RMSNorm against its definition in float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from coderls.engine.model.attention.definition import excess
from coderls.engine.model.norm import FEW_ROWS, RmsNorm


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("rows", [1, 3, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize(("size", "scale", "offset"), [(576, 1.0, 0.0), (96, 40.0, 0.0), (896, 0.01, 3.0)])
def test_it_is_as_near_to_the_definition_as_torchs_own(
    rows: int, size: int, scale: float, offset: float, dtype: torch.dtype
) -> None:
    """At most twice its error, also for a few huge numbers among small ones, as residual streams have them."""
    generator = torch.Generator().manual_seed(size + rows)
    x = torch.randn(rows, size, generator=generator) * scale + offset
    x[:, 7] *= 300
    x, weight = x.to(dtype), (torch.randn(size, generator=generator) * 0.2 + 1).to(dtype)
    exact = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight.double()
    found, plain = RmsNorm(weight, 1e-6)(x), F.rms_norm(x, (size,), weight, 1e-6)
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert excess(found, plain, exact) <= 2


def test_float64_stays_exact() -> None:
    x, weight = torch.randn(1, 576, dtype=torch.float64), torch.randn(576, dtype=torch.float64)
    exact = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight
    torch.testing.assert_close(RmsNorm(weight, 1e-6)(x), exact, rtol=1e-14, atol=1e-15)


def test_what_is_no_number_shows() -> None:
    x = torch.randn(1, 64)
    x[0, 5] = float("nan")
    assert not RmsNorm(torch.ones(64), 1e-6)(x).isfinite().any()


def test_a_row_of_zeros_stays_one() -> None:
    assert not RmsNorm(torch.ones(64), 1e-6)(torch.zeros(1, 64)).any()
