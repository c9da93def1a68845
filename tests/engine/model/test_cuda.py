"""The model on a CUDA card, in bfloat16 (flash attention) and float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from coderls.engine.model.torch_runner import load_runner
from coderls.engine.runner import Work

from .checkpoints import FAMILY, Member, expected_logits, load, oracle, save, some_tokens

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card; torch sees none"),
]

PROMPT = some_tokens(45)


@pytest.mark.parametrize("sizes", [[45], [20, 25], [30, *[1] * 15]], ids=["whole", "chunks", "tokens"])
@pytest.mark.parametrize("member", FAMILY, ids=lambda member: member.name)
def test_logits(tmp_path: Path, member: Member, sizes: list[int]) -> None:
    folder = save(oracle(member).to(torch.bfloat16), tmp_path)
    exact = expected_logits(load(folder, torch.float32), PROMPT)
    theirs = expected_logits(load(folder, torch.bfloat16), PROMPT).float()
    for dtype, slack in (("float32", 1e-3), ("bfloat16", float(2 * (theirs - exact).square().mean().sqrt()))):
        runner = load_runner(folder, name="x", device="cuda", dtype=dtype)
        rows, start = [], 0
        for size in sizes:
            rows.append(runner.logits(Work(1, start, PROMPT[start : start + size])).cpu())
            start += size
        assert float((torch.cat(rows) - exact).square().mean().sqrt()) <= slack
