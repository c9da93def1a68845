"""The model on a CUDA card, in bfloat16 (flash attention) and float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model.batch import Batch, make_batch
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import RunStopped

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


@pytest.fixture
def pair(tmp_path: Path) -> tuple[TorchRunner, TorchRunner]:
    """A runner with recorded steps, and one that runs all of them operation by operation."""
    folder = save(oracle(FAMILY[2], max_position_embeddings=1024).to(torch.bfloat16), tmp_path)
    recorded, plain = (load_runner(folder, name="x", device="cuda", dtype="bfloat16") for _ in range(2))
    plain._forwards = plain._forwards[-1:]
    return recorded, plain


def test_steps_are_recorded_and_agree_with_the_plain_pass(pair: tuple[TorchRunner, TorchRunner]) -> None:
    recorded, plain = pair
    assert recorded.info.ways == ("CUDA graphs", "eager")
    greedy, at = SampleSpec(Sampling()), [300, 20, 7, 1]
    for slot, count in enumerate(at):
        for runner in pair:
            runner.run([Work(slot, 0, some_tokens(count, seed=slot))])
    for counts in ([1, 0, 0, 0], [1, 1, 1, 1], [8, 0, 0, 0], [5, 1, 16, 2], [0, 20, 0, 0], [0, 0, 200, 0]):
        works = [
            Work(slot, at[slot], some_tokens(count, seed=at[slot]), (greedy,) * (count if count <= 16 else 1))
            for slot, count in enumerate(counts)
            if count
        ]
        assert recorded._forwards[0].takes(make_batch(works, recorded._cache, recorded._model.rope))
        for mine, theirs in zip(recorded.run(works), plain.run(works), strict=True):
            assert isinstance(mine, tuple)
            assert isinstance(theirs, tuple)
            for one, other in zip(mine, theirs, strict=True):
                assert one.token == other.token or abs(one.logprob - other.logprob) < 0.1, "a near tie"
        at = [start + count for start, count in zip(at, counts, strict=True)]


def test_out_of_memory_fails_one_and_the_card_goes_on(pair: tuple[TorchRunner, TorchRunner]) -> None:
    runner, _ = pair
    eager = runner._forwards[-1]

    class Greedy:
        name = "greedy"

        def takes(self, batch: Batch) -> bool:
            return True

        def __call__(self, batch: Batch) -> torch.Tensor | None:
            if batch.ids.shape[1] > 50:
                torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
            return eager(batch)

    runner.add_forward(lambda _model, _cache: Greedy())
    large, small = runner.run([Work(0, 0, some_tokens(60)), Work(1, 0, some_tokens(5), (SampleSpec(Sampling()),))])
    assert "ran out of memory in a run of 60 tokens" in str(large)
    assert isinstance(small, tuple)


def test_a_long_prefill_stops_between_layers(pair: tuple[TorchRunner, TorchRunner]) -> None:
    asked = iter([False, True])
    with pytest.raises(RunStopped):
        pair[0].run([Work(0, 0, some_tokens(900))], lambda: next(asked))
    assert pair[0].run([Work(0, 0, some_tokens(900))]) == [()]
