"""The FlashAttention packages' backend, on a module that behaves like them; on a card, on the real ones."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model.attention.choose import _packages, self_test
from coderls.engine.model.attention.flash import PACKAGES, Package, load, missing
from coderls.engine.model.batch import Span

from .cases import DEVICE, Shape, error_in, random_cache

PACKAGE = Package("pretended_flash", "pretended", (9,))


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`flash_attn_with_kvcache` as it is documented: [batch, tokens, heads, size], grouped heads, causal from the lower
    right corner, the whole cache where no lengths are given."""
    module = ModuleType(PACKAGE.module)

    def flash_attn_with_kvcache(q: Tensor, k_cache: Tensor, v_cache: Tensor, *, causal: bool = False) -> Tensor:
        assert k_cache.stride(-1) == 1
        count, end = q.shape[1], k_cache.shape[1]
        mask = torch.ones(count, end, dtype=torch.bool, device=q.device).tril(end - count) if causal else None
        heads = [part.transpose(1, 2) for part in (q, k_cache, v_cache)]
        return F.scaled_dot_product_attention(*heads, attn_mask=mask, enable_gqa=True).transpose(1, 2)

    module.flash_attn_with_kvcache = flash_attn_with_kvcache  # type: ignore[attr-defined]
    module.__spec__ = importlib.util.spec_from_loader(PACKAGE.module, None)
    monkeypatch.setitem(sys.modules, PACKAGE.module, module)
    return module


@pytest.mark.parametrize(
    "spans", [[Span(0, 30, 30)], [Span(0, 1, 1)], [Span(2, 90, 7), Span(0, 33, 1), Span(1, 64, 64)]]
)
def test_each_sequence_is_one_call(pretended: ModuleType, spans: list[Span]) -> None:
    shape = Shape(group=3)
    cache = random_cache(spans, shape)
    backend = load(PACKAGE, cache)
    assert backend.name == "pretended"
    assert error_in(backend, spans, shape, cache) <= 2


def test_it_passes_the_self_test_of_packages(pretended: ModuleType) -> None:
    shape = Shape(kv_heads=1, group=2)
    like = random_cache([Span(0, 4, 1)], shape)
    cases = _packages(like)[0].spans
    assert self_test(lambda cache: load(PACKAGE, cache), cases, like, shape.heads) == ""


def test_a_package_of_another_version_is_left_out(pretended: ModuleType) -> None:
    del pretended.flash_attn_with_kvcache
    like = random_cache([Span(0, 4, 1)], Shape())
    assert "has no attribute" in self_test(lambda cache: load(PACKAGE, cache), [], like, 14)


def test_what_is_missing(pretended: ModuleType) -> None:
    assert missing(PACKAGE, 9, torch.bfloat16) == ""
    assert missing(PACKAGE, 8, torch.bfloat16) == "not for this card"
    assert missing(PACKAGE, 9, torch.float32) == "not for float32"
    assert missing(Package("no_such_flash", "x", (9,)), 9, torch.bfloat16) == "not installed"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card; torch sees none")
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.module)
@pytest.mark.parametrize(("count", "end"), [(1, 1), (1, 131072), (16, 32769), (700, 700), (128, 20000)])
def test_real_packages(package: Package, count: int, end: int) -> None:
    why = missing(package, torch.cuda.get_device_capability()[0], torch.bfloat16)
    if why:
        pytest.skip(f"{package.name}: {why}")
    shape = Shape(kv_heads=1, head_dim=128)
    spans = [Span(0, end, count)]
    cache = random_cache(spans, shape, device=DEVICE)
    assert error_in(load(package, cache), spans, shape, cache) <= 2
