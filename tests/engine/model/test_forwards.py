"""Which way runs a batch."""

from __future__ import annotations

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model.batch import Batch
from coderls.engine.model.forwards import EagerForward
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work

from .checkpoints import SMALL, VOCAB, oracle, sampled, save, some_tokens

GREEDY = SampleSpec(Sampling())


class OneToken:
    """Takes single steps, and says that token 5 is certain."""

    name = "five"

    def __init__(self) -> None:
        self.seen: list[Batch] = []

    def takes(self, batch: Batch) -> bool:
        return all(span.count == 1 for span in batch.spans)

    def __call__(self, batch: Batch) -> torch.Tensor | None:
        self.seen.append(batch)
        logits = torch.full((sum(batch.wanted), VOCAB), -100.0)
        logits[:, 5] = 0.0
        return logits


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> TorchRunner:
    folder = save(oracle(SMALL), tmp_path_factory.mktemp("model"))
    return load_runner(folder, name="x", device="cpu", dtype="float32", context_length=256)


def test_the_first_that_takes_a_batch_runs_it(runner: TorchRunner) -> None:
    prompt = some_tokens(20)
    plain = sampled(runner, Work(0, 0, prompt, (GREEDY,)))
    step = sampled(runner, Work(0, 20, [plain.token], (GREEDY,)))
    assert step.token != 5
    quick = OneToken()
    runner.add_forward(lambda _model, _cache: None)
    runner.add_forward(lambda _model, _cache: quick)
    assert sampled(runner, Work(0, 0, prompt, (GREEDY,))) == plain
    assert not quick.seen
    assert sampled(runner, Work(0, 20, [plain.token], (GREEDY,))).token == 5
    assert len(quick.seen) == 1


def test_the_eager_way_takes_everything(runner: TorchRunner) -> None:
    assert isinstance(runner._forwards[-1], EagerForward)
    (result,) = runner.run([Work(1, 0, some_tokens(40), (GREEDY,) * 7)])
    assert isinstance(result, tuple)
    assert len(result) == 7
