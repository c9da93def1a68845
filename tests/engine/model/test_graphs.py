"""Recorded steps: the same code as on a card, but what "records" here runs again instead.

So everything is tested but the recording itself: the inputs at fixed places, the filling up, which rows come back.
`test_cuda.py` tests the recording where there is a card.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model import graphs
from coderls.engine.model.attention import OnDevice
from coderls.engine.model.attention.gathered import GatheredAttention
from coderls.engine.model.batch import Batch, make_batch
from coderls.engine.model.forwards import EagerForward
from coderls.engine.model.graphs import PREFILLS, SHAPES, GraphForward, Shape, graph_backends
from coderls.engine.model.kv import KvCache
from coderls.engine.model.qwen2 import Qwen2
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import DeviceLost

from .checkpoints import FAMILY, Member, oracle, save, some_tokens

GREEDY = SampleSpec(Sampling())
LENGTH = 512


def again(run: Callable[[], None]) -> Callable[[], None]:
    """Stands for the recorder: nothing is recorded, `run` is the replay."""
    run()
    return run


def silent(_detail: str, _fraction: float) -> None:
    pass


class Recorded:
    """Ours, with its recordings at hand, beside a runner without."""

    def __init__(
        self,
        folder: Path,
        most_positions: int = LENGTH,
        kernel: str = "",
        kv_cache: str = "auto",
        shapes: Sequence[Shape] = SHAPES,
    ) -> None:
        self.kernel = kernel
        self.shapes = shapes
        self.plain, self.runner = (
            load_runner(folder, name="x", device="cpu", dtype="float32", context_length=LENGTH, kv_cache=kv_cache)
            for _ in range(2)
        )
        self.runner.add_forward(lambda model, cache: self.make(model, cache, most_positions))

    def make(self, model: Qwen2, cache: KvCache, most_positions: int) -> GraphForward:
        with torch.inference_mode():
            for part in cache.scales or cache.layers:
                part[: cache.scratch] = float("nan")  # nothing may read what was never written
        self.graphs = GraphForward(model, cache, again)
        backends: list[OnDevice] = [GatheredAttention(cache, most_positions)]
        if self.kernel:
            module = importlib.import_module("coderls.engine.model.attention.triton_backend")
            backends = graph_backends(module.TritonAttention(cache, model.config.heads, 4), cache)
        assert self.graphs.capture(backends, self.shapes, silent) == []
        self.ran: list[Shape] = []
        inner = self.graphs._run

        def noted(recording: graphs._Recording, batch: Batch) -> torch.Tensor | None:
            self.ran.append(recording.shape)
            return inner(recording, batch)

        self.graphs._run = noted  # type: ignore[method-assign]
        return self.graphs


@pytest.fixture(scope="module", params=[FAMILY[0], FAMILY[1], FAMILY[4]], ids=lambda member: member.name)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    member: Member = request.param
    return Recorded(save(oracle(member, max_position_embeddings=LENGTH), tmp_path_factory.mktemp("model")))


def compare(recorded: Recorded, works: list[Work], shape: Shape | None) -> None:
    """The same works by both; `shape`: the recording that has to be taken."""
    recorded.ran.clear()
    found = recorded.runner.run(works)
    assert recorded.ran == ([shape] if shape else [])
    for mine, theirs in zip(found, recorded.plain.run(works), strict=True):
        assert isinstance(mine, tuple)
        assert isinstance(theirs, tuple)
        assert [sample.token for sample in mine] == [sample.token for sample in theirs]
        assert [sample.logprob for sample in mine] == pytest.approx([sample.logprob for sample in theirs], abs=1e-4)


def test_decoding_and_verifying(recorded: Recorded) -> None:
    prompts = [some_tokens(count, seed=count) for count in (300, 1, 40, 7)]
    for slot, prompt in enumerate(prompts):
        compare(recorded, [Work(slot, 0, prompt)], Shape(1, 1) if len(prompt) == 1 else recorded_shape(len(prompt)))
    at = [len(prompt) for prompt in prompts]

    def works(counts: list[int], samples: list[int]) -> list[Work]:
        given = [
            Work(slot, at[slot], some_tokens(count, seed=at[slot]), (GREEDY,) * wanted)
            for slot, (count, wanted) in enumerate(zip(counts, samples, strict=True))
            if count
        ]
        for slot, count in enumerate(counts):
            at[slot] += count
        return given

    compare(recorded, works([1], [1]), Shape(1, 1))
    compare(recorded, works([1, 1, 1], [1, 1, 1]), Shape(4, 1))
    compare(recorded, works([5], [5]), Shape(1, 8))
    compare(recorded, works([8, 3, 1], [8, 2, 0]), Shape(4, 8))
    compare(recorded, works([0, 16, 16, 16], [0, 16, 1, 4]), Shape(4, 16))
    compare(recorded, works([1, 1, 1, 1], [1, 1, 1, 1]), Shape(4, 1))
    compare(recorded, works([20, 0, 0, 0], [1, 0, 0, 0]), Shape(1, 32, last_only=True))
    compare(recorded, works([0, 0, 100, 0], [0, 0, 0, 0]), Shape(1, 128, last_only=True))
    compare(recorded, works([0, 0, 20, 0], [0, 0, 3, 0]), None)
    compare(recorded, works([0, 20, 20, 0], [0, 1, 1, 0]), None)
    compare(recorded, works([2, 2, 2, 2], [2, 2, 2, 2]), Shape(4, 2))


def recorded_shape(tokens: int) -> Shape | None:
    return next((shape for shape in PREFILLS if shape.tokens >= tokens), None) if tokens > 16 else Shape(1, 8)


def test_the_last_position_of_a_slot(recorded: Recorded) -> None:
    prompt = some_tokens(LENGTH)
    compare(recorded, [Work(5, 0, prompt[:-3])], None)
    compare(recorded, [Work(5, LENGTH - 3, prompt[-3:], (GREEDY,) * 3)], Shape(1, 4))


@pytest.mark.parametrize("kv_cache", ["auto", "int8"])
def test_small_prefills_behind_any_context(tmp_path: Path, kv_cache: str) -> None:
    pytest.importorskip("triton", reason="needs Triton, which has wheels for Linux only")
    folder = save(oracle(max_position_embeddings=LENGTH), tmp_path)
    shapes = [Shape(1, 1), Shape(2, 4), Shape(1, 32, last_only=True)]  # the interpreter is slow
    recorded = Recorded(folder, kernel="triton", kv_cache=kv_cache, shapes=shapes)
    names = {recording.shape: recording.name for recording in recorded.graphs._recordings}
    assert set(names.values()) == {"triton"}
    compare(recorded, [Work(0, 0, some_tokens(200))], None)
    compare(recorded, [Work(0, 200, some_tokens(29, seed=3), (GREEDY,))], Shape(1, 32, last_only=True))
    compare(recorded, [Work(0, 229, [3], (GREEDY,))], Shape(1, 1))


def test_a_context_beyond_what_a_recording_bears_runs_without(tmp_path: Path) -> None:
    recorded = Recorded(save(oracle(max_position_embeddings=LENGTH), tmp_path), most_positions=64)
    compare(recorded, [Work(0, 0, some_tokens(63))], Shape(1, 64, last_only=True))
    compare(recorded, [Work(0, 63, [3], (GREEDY,))], Shape(1, 1))
    compare(recorded, [Work(0, 64, [4], (GREEDY,))], None)


def test_logits_can_be_kept(recorded: Recorded) -> None:
    first = recorded.runner.logits(Work(0, 0, [3]))
    kept = first.clone()
    recorded.runner.logits(Work(0, 0, [9]))
    torch.testing.assert_close(first, kept, atol=0, rtol=0)


def parts_of(runner: TorchRunner) -> tuple[GraphForward, EagerForward]:
    recorded, eager = runner._forwards
    assert isinstance(recorded, GraphForward)
    assert isinstance(eager, EagerForward)
    return recorded, eager


def keep_right(runner: TorchRunner, eager: Callable[[Batch], torch.Tensor | None] | None = None) -> list[str]:
    recorded_steps, plain = parts_of(runner)
    with torch.inference_mode():
        return recorded_steps.keep_right(eager or plain)


def test_all_that_is_right_is_kept(recorded: Recorded) -> None:
    recorded_steps, _ = parts_of(recorded.runner)
    assert keep_right(recorded.runner) == []
    assert set(recorded_steps.shapes) == set(SHAPES)
    assert "24 recorded steps (sdpa)" in recorded_steps.summary()


FEW = (Shape(1, 1), Shape(2, 1), Shape(2, 4))


@pytest.fixture
def few(tmp_path: Path) -> Recorded:
    return Recorded(save(oracle(max_position_embeddings=LENGTH), tmp_path), shapes=FEW)


@pytest.mark.parametrize("fault", ["nothing", "writes nonsense", "raises"])
def test_a_recording_that_is_wrong_is_dropped_and_no_other(few: Recorded, fault: str) -> None:
    def replay() -> None:  # what a recording that did nothing would do
        if fault == "raises":
            raise RuntimeError("no such kernel")
        if fault == "writes nonsense":
            for layer in few.runner._cache.layers:
                layer[:200].fill_(float("nan"))

    wrong = next(one for one in few.graphs._recordings if one.shape == Shape(1, 1))
    wrong.replay = replay
    said = "RuntimeError: no such kernel" if fault == "raises" else "it differs by nan from the plain pass"
    assert keep_right(few.runner) == [f"steps of 1 x 1 tokens: {said}"]
    assert set(few.graphs.shapes) == set(FEW) - {Shape(1, 1)}
    compare(few, [Work(0, 0, [3], (GREEDY,))], Shape(2, 1))


def test_where_all_are_wrong_none_is_kept(few: Recorded) -> None:
    _, eager = parts_of(few.runner)
    shifted = keep_right(few.runner, lambda batch: eager(batch) + 3.0)  # type: ignore[operator]
    assert len(shifted) == len(FEW)
    assert all("differs by" in reason for reason in shifted)
    assert few.graphs.shapes == ()
    compare(few, [Work(0, 0, [3], (GREEDY,))], None)


def test_without_a_plain_pass_nothing_is_kept(few: Recorded) -> None:
    assert keep_right(few.runner, lambda _batch: None) == ["the plain pass gave nothing"]
    assert few.graphs.shapes == ()


def test_what_cannot_be_recorded_is_left_out_and_no_other(recorded: Recorded) -> None:
    model, cache = recorded.plain._model, recorded.plain._cache
    calls = 0

    def fails_once(run: Callable[[], None]) -> Callable[[], None]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("out of shared memory\nand more")
        return again(run)

    shapes = [Shape(1, 1), Shape(1, 2), Shape(2, 2)]
    fresh = GraphForward(model, cache, fails_once)
    said = fresh.capture([GatheredAttention(cache)], shapes, silent)
    assert said == ["steps of 1 x 2 tokens: RuntimeError: out of shared memory"]
    assert fresh.shapes == (Shape(1, 1), Shape(2, 2))


def test_an_error_of_a_capture_ends_the_engine_only_with_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda", 0)
    error = RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: None)
    expected = "RuntimeError: CUDA error: operation not permitted when stream is capturing"
    assert graphs.reason_of(error, card) == expected

    def lost(_device: torch.device) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", lost)
    with pytest.raises(DeviceLost, match="illegal memory access"):
        graphs.reason_of(error, card)
    assert graphs.reason_of(error, torch.device("cpu")) == expected


def test_nothing_is_recorded_without_a_card(recorded: Recorded) -> None:
    _, eager = parts_of(recorded.plain) if len(recorded.plain._forwards) == 2 else (None, recorded.plain._forwards[-1])
    assert isinstance(eager, EagerForward)
    model, cache = recorded.plain._model, recorded.plain._cache
    assert graphs.capture_graphs(model, cache, GatheredAttention(cache), eager) is None


def test_a_recording_leaves_the_rest_of_the_cache_alone(recorded: Recorded) -> None:
    runner = recorded.runner
    runner.run([Work(2, 0, some_tokens(30))])
    before = [layer.clone() for layer in runner._cache.layers]
    runner.run([Work(2, 30, [1, 2, 3], (GREEDY,))])
    written = make_batch([Work(2, 30, [1, 2, 3])], runner._cache, runner._model.rope).kv_rows
    for layer, old in zip(runner._cache.layers, before, strict=True):
        changed = ((layer != old) & ~(layer.isnan() & old.isnan())).flatten(1).any(1)
        assert set(changed.nonzero().flatten().tolist()) - {runner._cache.scratch} == set(written.tolist())
