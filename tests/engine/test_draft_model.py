"""A second model that drafts: its drafts are right whatever it has seen before, and it never gets in the way."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.engine import draft_model, loading
from coderls.engine.draft_lengths import Costs
from coderls.engine.draft_model import CATCH_UP, DraftModel
from coderls.engine.fake import FakeRule, FakeRunner, FakeScript, write_fake_model
from coderls.engine.loading import loader
from coderls.engine.runner import ModelInfo, Result, Sample, Work
from coderls.engine.speculate import Draft, Speculation
from coderls.errors import EngineError, ModelBroken
from coderls.tokenizer import Tokenizer


class Counting:
    """A model whose next token is the sum of all before it, modulo ten: it needs the right KV. Unsure after a nine."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.slot_lengths = lengths
        self.info = ModelInfo("counting", max(lengths), 10, (), "cpu", "fake")
        self.memory: list[list[int]] = [[] for _ in lengths]
        self.batches: list[int] = []
        self.failure: Exception | None = None
        self.refused: set[int] = set()

    def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
        if self.failure is not None:
            raise self.failure
        self.batches.append(len(batch))
        return [self.one(work) for work in batch]

    def one(self, work: Work) -> Result:
        if work.tokens[-1] in self.refused:
            return EngineError("refused")
        memory = self.memory[work.slot]
        assert work.start <= len(memory)
        memory[work.start :] = work.tokens
        assert len(memory) <= self.slot_lengths[work.slot]
        return tuple(Sample(sum(memory) % 10, -5.0 if memory[-1] == 9 else -0.1) for _ in work.samples)

    def copy(self, source: int, target: int, length: int) -> None:
        self.memory[target] = self.memory[source][:length]

    def close(self) -> None:
        self.memory = []


def follows(tokens: list[int], most: int) -> tuple[int, ...]:
    """What it should draft."""
    known = list(tokens)
    while len(known) < len(tokens) + most and known[-1] != 9:
        known.append(sum(known) % 10)
    return tuple(known[len(tokens) :])


SEQUENCE = st.lists(st.integers(0, 9), min_size=1, max_size=12)


@given(lengths=st.lists(st.integers(8, 20), min_size=1, max_size=3), rounds=st.lists(st.lists(SEQUENCE, max_size=3)))
def test_its_drafts_are_those_of_a_fresh_model(lengths: list[int], rounds: list[list[list[int]]]) -> None:
    runner = Counting(lengths)
    model = DraftModel(runner)
    for sequences in rounds:
        drafts = model.propose(sequences, 3)
        assert len(drafts) == len(sequences)
        fitting = [number for number, tokens in enumerate(sequences) if len(tokens) + 3 <= max(lengths)]
        for number, (tokens, draft) in enumerate(zip(sequences, drafts, strict=True)):
            assert draft in ((), follows(tokens, 3))
            if fitting and number == fitting[0]:
                assert draft == follows(tokens, 3), "there is always room for one"
        assert not model._slots.in_use


def test_all_sequences_are_drafted_for_together() -> None:
    runner = Counting([64] * 3)
    assert DraftModel(runner).propose([[1], [2], [3, 3]], 4) == [follows(each, 4) for each in ([1], [2], [3, 3])]
    assert runner.batches[0] == 3
    assert len(runner.batches) == 4


def test_a_sequence_that_goes_on_costs_only_what_is_new() -> None:
    runner = Counting([64])
    model = DraftModel(runner)
    model.propose([[1, 2, 3]], 3)
    runner.batches.clear()
    model.propose([[1, 2, 3, *follows([1, 2, 3], 2), 5]], 1)
    assert runner.batches == [1]
    assert len(runner.memory[0]) == 6


def test_a_long_prompt_is_taken_in_over_several_rounds() -> None:
    runner = Counting([4 * CATCH_UP])
    model = DraftModel(runner)
    tokens = [1] * (2 * CATCH_UP + 10)
    assert [model.propose([tokens], 2) for _ in range(3)] == [[()], [()], [follows(tokens, 2)]]
    assert model.propose([[1] * (4 * CATCH_UP)], 2) == [()], "longer than its context"


def test_a_slow_one_takes_in_less_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Slow(Counting):
        def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
            clock[0] += 0.001 * sum(len(work.tokens) for work in batch)
            return super().run(batch, should_stop)

    monkeypatch.setattr(draft_model.time, "perf_counter", lambda: clock[0])
    runner = Slow([CATCH_UP])
    model = DraftModel(runner)
    model.measure()
    runner.memory = [[]]
    before = clock[0]
    assert model.propose([[1] * 300], 2) == [()]
    assert clock[0] - before == pytest.approx(0.05)
    assert len(runner.memory[0]) == 50


def test_a_failure_leaves_nothing_behind() -> None:
    runner = Counting([64, 64])
    model = DraftModel(runner)
    runner.refused = {4}
    assert model.propose([[1, 4], [1, 2]], 2) == [(), follows([1, 2], 2)]
    runner.refused = set()
    runner.failure = MemoryError()
    with pytest.raises(MemoryError):
        model.propose([[1, 2], [1, 4]], 2)
    runner.failure = None
    runner.memory = [[7] * 60, [7] * 60]  # what a failed run leaves
    assert model.propose([[1, 2], [1, 4]], 2) == [follows([1, 2], 2), follows([1, 4], 2)]


def test_it_is_asked_only_where_it_promises_more() -> None:
    speculation = Speculation(Costs({1: 10.0, 16: 12.0}))
    assert speculation.model_steps(1, [Draft()], 0.5) > 2
    assert speculation.model_steps(1, [Draft()], 20.0) == 0, "it is too slow"
    assert speculation.model_steps(1, [Draft(tuple(range(15)), "said 10")], 0.5) == 0, "there is something better"
    for _ in range(200):
        speculation.acceptance.record("model", 0, 4, ended=True)
    assert speculation.model_steps(1, [Draft()], 0.5) == 0, "it is wrong too often"


RULES = (FakeRule("x = ", "alpha(beta, gamma)"), FakeRule("y = ", "delta"))


def loaded(large: Path, small: Path, **options: object):
    return loader(str(large), draft_model=str(small), **options)(lambda *_: None)


def test_the_loader_takes_a_draft_model_of_the_same_vocabulary(tmp_path: Path) -> None:
    large, small = (
        write_fake_model(tmp_path / name, FakeScript(RULES, speculates=True)) for name in ("large", "small")
    )
    found = loaded(large, small)
    assert found.draft_model is not None
    tokens = Tokenizer.from_file(small / "tokenizer.json").encode("x = ")
    found.draft_model.measure()
    assert found.draft_model.seconds < 10
    assert len(found.draft_model.propose([tokens], 3)[0]) == 3
    off = loaded(large, small, speculation="off")
    assert (off.draft_model, off.speculates) == (None, False)
    file = small / "tokenizer.json"
    file.write_text(file.read_text().replace('"a": 97', '"a": 98').replace('"b": 98', '"b": 97'))
    with pytest.raises(ModelBroken, match="another vocabulary"):
        loaded(large, small)


def test_both_models_share_a_device_and_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("large", "small"):
        write_fake_model(tmp_path / name)
    asked: list[dict] = []

    def load(path: Path, **options: object) -> Counting:
        asked.append({**options, "path": path.name})
        made = Counting([64])
        made.info = replace(made.info, device="cuda:1", memory={"weights": 3 * 10**9, "kv": 10**9})
        return made

    monkeypatch.setattr(loading, "SCRIPT_FILE", "none")  # they are real ones, as far as the loader knows
    monkeypatch.setattr(loading, "_torch_runner", lambda: load)
    loaded(tmp_path / "large", tmp_path / "small", device="auto", memory_gb=4.0, gpu_memory_gb=20.0)
    loaded(tmp_path / "large", tmp_path / "small", device="cuda", gpu_memory_gb=0.0)
    loaded(tmp_path / "large", tmp_path / "small", device="cuda", gpu_memory_gb=4.0)
    found = [(one["path"], one["device"], one["gpu_memory_gb"]) for one in asked]
    assert found[:2] == [("small", "auto", 20.0), ("large", "cuda:1", 16.0)]
    assert found[2:4] == [("small", "cuda", 0.0), ("large", "cuda:1", 0.0)]
    assert 0 < found[5][2] < 0.01, "nothing is left, which is not the same as no limit"
    assert asked[1]["memory_gb"] == 4.0


class Parrot(Counting):
    """A model that knows some texts by heart."""

    texts: list[list[int]] = []

    def one(self, work: Work) -> Result:
        super().one(work)
        memory = self.memory[work.slot]
        known = next((text for text in self.texts if text[: len(memory)] == memory and len(text) > len(memory)), None)
        sample = Sample(known[len(memory)], -0.1) if known else Sample(0, -9.0)
        return (sample,) * len(work.samples)


@pytest.mark.parametrize("fails", [False, True])
def test_the_worker_verifies_what_the_draft_model_says(tmp_path: Path, fails: bool) -> None:
    from coderls.engine.api import GenerationRequest
    from coderls.engine.jobs import Job
    from coderls.engine.metrics import Metrics
    from coderls.engine.worker import Loaded, Worker

    folder = write_fake_model(tmp_path / "model", FakeScript(RULES, speculates=True, slots=(512, 512)))
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json")
    small = Parrot([512, 512])
    small.texts = [
        tokenizer.encode(prompt) + tokenizer.encode(said)
        for prompt, said in (("x = ", "alpha(beta, gamma)"), ("y = ", "delta"))
    ]
    worker = Worker(
        lambda _: Loaded(FakeRunner.from_file(folder), tokenizer, folder, draft_model=DraftModel(small)),
        model="large",
        metrics=Metrics(),
    )
    ready: queue.SimpleQueue[None] = queue.SimpleQueue()
    prepare = worker._prepare

    def prepared(loaded: Loaded) -> None:
        prepare(loaded)
        costs = worker._rounds._speculation.costs = Costs({1: 1.0, 16: 1.0})
        costs.note = lambda *_: None
        loaded.draft_model.seconds = 1e-6
        if fails:
            small.failure = RuntimeError("no memory")
        ready.put(None)

    worker._prepare = prepared
    worker.start()
    ready.get(timeout=20)
    waiting = []
    for prompt in ("x = ", "y = "):
        events: queue.SimpleQueue = queue.SimpleQueue()
        job = Job(GenerationRequest((), max_tokens=30), tuple(tokenizer.encode(prompt)), events.put)
        worker.submit(job)
        waiting.append((job, events))
    texts = []
    for _, events in waiting:
        said = ""
        while (chunk := events.get(timeout=20)).finish_reason is None:
            said += chunk.text
        texts.append(said + chunk.text)
    worker.stop()
    assert texts == ["alpha(beta, gamma)", "delta"]
    accepted = sum(job.accepted for job, _ in waiting)
    assert accepted == 0 if fails else accepted > 12
