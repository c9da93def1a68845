"""The embedded model, with its real weights, against transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from coderls.engine.model.torch_runner import load_runner
from coderls.engine.runner import Work
from coderls.tokenizer import Tokenizer

from .checkpoints import expected_logits, load

pytestmark = pytest.mark.nano


@pytest.fixture(scope="module")
def prompt(nano_dir: Path) -> list[int]:
    text = Path(__file__).read_text(encoding="utf-8")
    return Tokenizer.from_file(nano_dir / "tokenizer.json").encode(text)[:200]


def test_float32_logits(nano_dir: Path, prompt: list[int]) -> None:
    expected = expected_logits(load(nano_dir, torch.float32), prompt)
    runner = load_runner(nano_dir, name="nano", device="cpu", dtype="float32", context_length=512)
    found = torch.cat([runner.logits(Work(0, 0, prompt[:150])), runner.logits(Work(0, 150, prompt[150:]))])
    # Measured 8e-5, of logits that go up to 42: the sums of 30 layers in another order.
    torch.testing.assert_close(found, expected, atol=5e-4, rtol=0)


def test_bfloat16_errs_at_most_twice_as_much_as_transformers(nano_dir: Path, prompt: list[int]) -> None:
    exact = expected_logits(load(nano_dir, torch.float32), prompt)
    theirs = expected_logits(load(nano_dir, torch.bfloat16), prompt).float()
    runner = load_runner(nano_dir, name="nano", device="cpu", dtype="bfloat16", weights="bfloat16", context_length=512)
    pieces = [prompt[:190], *([token] for token in prompt[190:])]
    starts = [0, *range(190, 200)]
    ours = torch.cat([runner.logits(Work(0, at, piece)) for at, piece in zip(starts, pieces, strict=True)])
    assert (ours - exact).square().mean() <= 4 * (theirs - exact).square().mean()
