"""Which way runs a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model.batch import Batch
from coderls.engine.model.forwards import EagerForward
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import DeviceLost, EngineError, RunStopped

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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(oracle(SMALL), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def runner(folder: Path) -> TorchRunner:
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


class OutOfMemory:
    """Has no memory for more than `limit` tokens at once."""

    name = "small"

    def __init__(self, then: EagerForward, limit: int, error: Exception) -> None:
        self.then, self.limit, self.error = then, limit, error

    def takes(self, batch: Batch) -> bool:
        return True

    def __call__(self, batch: Batch) -> torch.Tensor | None:
        if batch.ids.shape[1] > self.limit:
            raise self.error
        return self.then(batch)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_out_of_memory_fails_the_one_that_is_too_large(folder: Path, error: Exception) -> None:
    runner = load_runner(folder, name="x", device="cpu", dtype="float32", context_length=256)
    works = [Work(slot, 0, some_tokens(count, slot), (GREEDY,)) for slot, count in enumerate((5, 90, 7))]
    alone = runner.run(works)
    eager = runner._forwards[-1]
    assert isinstance(eager, EagerForward)
    runner.add_forward(lambda _model, _cache: OutOfMemory(eager, 20, error))
    first, large, last = runner.run(works)
    for found, expected in ((first, alone[0]), (last, alone[2])):
        assert isinstance(found, tuple)
        assert isinstance(expected, tuple)
        assert [sample.token for sample in found] == [sample.token for sample in expected]
    assert isinstance(large, EngineError)
    assert "out of memory in a run of 90 tokens" in str(large)
    assert large.todo
    assert runner.run(works[:1])[0] == first, "the engine lives"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA error: unspecified launch failure\nmore of it"), DeviceLost),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx"), DeviceLost),
        (RuntimeError("HIP error: the operation cannot be performed"), DeviceLost),
        (RuntimeError("shapes do not match"), RuntimeError),
        (ValueError("of our own"), ValueError),
    ],
)
def test_other_errors_of_a_run_end_it(folder: Path, error: Exception, expected: type[Exception]) -> None:
    runner = load_runner(folder, name="x", device="cpu", dtype="float32", context_length=256)
    eager = runner._forwards[-1]
    assert isinstance(eager, EagerForward)
    runner.add_forward(lambda _model, _cache: OutOfMemory(eager, 0, error))
    with pytest.raises(expected, match=str(error).partition("\n")[0]) as caught:
        runner.run([Work(0, 0, [1], (GREEDY,))])
    assert type(caught.value) is expected
    assert "more of it" not in str(caught.value)


@pytest.mark.parametrize("layers_done", [0, 1])
def test_a_prefill_stops_between_layers(folder: Path, layers_done: int) -> None:
    runner = load_runner(folder, name="x", device="cpu", dtype="float32", context_length=256)
    known, more = some_tokens(30), some_tokens(60, seed=4)
    runner.run([Work(0, 0, known)])
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > layers_done

    with pytest.raises(RunStopped):
        runner.run([Work(0, 30, more)], should_stop)
    assert asked == layers_done + 1
    expected = runner.logits(Work(1, 0, known + more))[-1:]
    found = runner.logits(Work(0, 30, more))[-1:]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert runner.run([Work(0, 0, known)], lambda: False) == [()]
