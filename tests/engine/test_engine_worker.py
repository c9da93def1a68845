"""The worker with the fake runner: what comes out, in which order, and what happens when a run fails."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderls.engine.api import NOT_CACHED, Chunk, GenerationRequest, Priority, Sampling, Usage
from coderls.engine.draft_lengths import Costs
from coderls.engine.fake import END, FakeRule, FakeRunner, FakeScript, write_fake_model
from coderls.engine.jobs import Job
from coderls.engine.metrics import Metrics
from coderls.engine.runner import Result, Work
from coderls.engine.worker import LONGEST_QUEUE, Loaded, Worker
from coderls.errors import CoderlsError, EngineError, EngineLeaving, RequestRefused
from coderls.tokenizer import Tokenizer

RULES = (
    FakeRule("def f():\n    ", "return 1\n\nrest"),
    FakeRule("euro = ", "'€😀'"),
    FakeRule("long", "y" * 300),
    FakeRule("dice = ", ("one", "two", "three")),
    FakeRule("error", "abc", fail="error", fail_after=1),
    FakeRule("nan", "abc", fail="nan"),
    FakeRule("garbage", "abc", fail="garbage"),
)


class Gate(FakeRunner):
    """A fake runner that a test can hold between steps, and that can fail to order."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.closed = False
        self.held: queue.SimpleQueue[None] | None = None
        self.failure: Exception | None = None
        self.log = ""  # for each run the first letter of what is in its slot
        self.shapes: list[list[tuple[int, int, int]]] = []  # for each run start, tokens and samples of each work

    def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
        if self.held is not None:
            self.held.get()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        samples = super().run(batch, should_stop)
        self.shapes.append([(work.start, len(work.tokens), len(work.samples)) for work in batch])
        self.log += self._tokenizer.decode(self._memory[batch[0].slot][:1])[:1]
        return samples

    def close(self) -> None:
        self.closed = True


class Bench:
    """A worker with its runner, and how to ask it."""

    def __init__(self, folder: Path, script: FakeScript) -> None:
        write_fake_model(folder, script)
        self.tokenizer = Tokenizer.from_file(folder / "tokenizer.json")
        self.runner = Gate(script, self.tokenizer, "fake")
        self.metrics = Metrics()
        self.worker = Worker(
            lambda report: Loaded(self.runner, self.tokenizer, folder, speculates=script.speculates),
            model="fake",
            metrics=self.metrics,
        )
        ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        prepare = self.worker._prepare

        def prepared(loaded: Loaded) -> None:
            prepare(loaded)
            ready.put(self.worker.health.state)

        self.worker._prepare = prepared
        self.worker.start()
        assert ready.get(timeout=10) == "ready"

    def submit(self, prompt: str, **options: object) -> tuple[Job, queue.SimpleQueue]:
        request = GenerationRequest(prompt, **options)
        events: queue.SimpleQueue = queue.SimpleQueue()
        job = Job(request, tuple(self.tokenizer.encode(prompt)), events.put)
        self.worker.submit(job)
        return job, events

    def ask(self, prompt: str, **options: object) -> list[Chunk]:
        return finish(self.submit(prompt, **options)[1], options.get("n", 1))


def finish(events: queue.SimpleQueue, n: int = 1) -> list[Chunk]:
    chunks = []
    while n:
        event = events.get(timeout=20)
        if isinstance(event, CoderlsError):
            raise event
        chunks.append(event)
        n -= event.finish_reason is not None
    return chunks


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def text(chunks: list[Chunk], index: int = 0) -> str:
    return "".join(chunk.text for chunk in chunks if chunk.index == index)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches = []

    def build(**script: object) -> Bench:
        bench = Bench(tmp_path / f"model{len(benches)}", FakeScript(**{"rules": RULES, "slots": (512, 512), **script}))
        benches.append(bench)
        return bench

    yield build
    for bench in benches:
        bench.runner.held = None
        bench.worker.stop()
        assert bench.runner.closed


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


def test_the_log_says_when_it_is_ready(make: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "coderls.engine.worker")
    make()
    assert "Ready: fake on cpu, 512 tokens of context" in caplog.messages


def test_says_what_the_script_says_until_the_model_ends(bench: Bench) -> None:
    chunks = bench.ask("def f():\n    ")
    assert text(chunks) == "return 1\n\nrest"
    assert chunks[-1].finish_reason == "stop"
    size = len(bench.tokenizer.encode("return 1\n\nrest"))
    assert chunks[-1].usage == Usage(len(bench.tokenizer.encode("def f():\n    ")), size + 1, 0)


def test_stop_strings_max_tokens_and_stop_ids_end_it(bench: Bench) -> None:
    assert text(bench.ask("def f():\n    ", stop=("\n\n",))) == "return 1"
    short = bench.ask("def f():\n    ", max_tokens=2)
    assert (text(short), short[-1].finish_reason) == ("return ", "length")
    one = bench.tokenizer.encode("1")[0]
    assert text(bench.ask("def f():\n    ", stop_token_ids=(one,))) == "return "


def test_a_character_of_several_tokens_is_never_cut(bench: Bench) -> None:
    chunks = bench.ask("euro = ")
    assert [chunk.text for chunk in chunks if chunk.text] == ["'", "€", "😀", "'"]
    assert text(bench.ask("euro = ", max_tokens=3)) == "'", "half a character is left out at the end"


def test_the_second_time_all_but_one_token_comes_from_the_cache(bench: Bench) -> None:
    bench.ask("def f():\n    ")
    usage = bench.ask("def f():\n    ")[-1].usage
    assert usage.cached_tokens == usage.prompt_tokens - 1


def test_an_exact_request_is_run_in_the_same_pieces_whatever_was_there_before(make: Callable[..., Bench]) -> None:
    bench = make(speculates=True, slots=(1024, 1024))
    prompt = "x" * 300 + "def f():\n    "

    def shapes(**options: object) -> list[list[tuple[int, int, int]]]:
        begins = len(bench.runner.shapes)
        chunks = bench.ask(prompt, logprobs=0, **options)
        assert text(chunks) == "return 1\n\nrest"
        assert not options.get("exact") or chunks[-1].usage.cached_tokens == 0
        return bench.runner.shapes[begins:]

    first = shapes(exact=True, drafts=("return 1\n\nrest",))
    size = len(bench.tokenizer.encode(prompt))
    steps = len(bench.tokenizer.encode("return 1\n\nrest"))
    assert first == [[(0, 256, 0)], [(256, size - 256, 1)], *[[(size + step, 1, 1)] for step in range(steps)]]
    assert shapes() != first, "others go on from what is there"
    assert shapes(exact=True) == first


def test_an_exact_request_runs_alone(make: Callable[..., Bench]) -> None:
    bench = make(slots=(512, 512, 512))
    bench.runner.held = queue.SimpleQueue()
    waits = [bench.submit("def f():\n    ", exact=exact)[1] for exact in (False, True, False)]
    for _ in range(60):
        bench.runner.held.put(None)
    assert [text(finish(events)) for events in waits] == ["return 1\n\nrest"] * 3
    sizes = {len(shape) for shape in bench.runner.shapes}
    assert sizes == {1, 2}, "the other two run together"


def test_forced_tokens_are_the_output_with_their_log_probabilities(bench: Bench) -> None:
    wanted = tuple(bench.tokenizer.encode("another answer " * 12))
    chunks = bench.ask("def f():\n    ", forced=wanted, max_tokens=len(wanted), logprobs=0)
    assert tuple(token for chunk in chunks for token in chunk.token_ids) == wanted
    values = [value for chunk in chunks for value in chunk.logprobs]
    assert len(values) == len(wanted)
    assert set(values) == {-5.0}, "the script says something else"
    assert chunks[-1].finish_reason == "length"
    before = bench.runner.runs
    bench.ask("def f():\n    ", forced=wanted[:20], max_tokens=20, logprobs=0)
    assert bench.runner.runs == before + 1, "they are scored side by side"


def test_token_healing_keeps_the_typed_bytes(bench: Bench) -> None:
    chunks = bench.ask("def f():\n    ", required_prefix="ret", stop=("\n",), logprobs=0)
    assert text(chunks) == "urn 1"
    tokens = [token for chunk in chunks for token in chunk.token_ids]
    assert bench.tokenizer.decode(tokens) == "return 1", "the token that was healed is whole"
    assert len(tokens) == len([value for chunk in chunks for value in chunk.logprobs])


def test_every_token_obeys_the_required_prefix_even_against_the_model(bench: Bench) -> None:
    chunks = bench.ask("def f():\n    ", required_prefix="zz", max_tokens=3)
    assert chunks[-1].usage.completion_tokens <= 3
    tokens = [token for chunk in chunks for token in chunk.token_ids]
    assert bench.tokenizer.decode(tokens).startswith("zz")


def test_candidates_are_drawn_apart_and_share_the_prompt(bench: Bench) -> None:
    options = {"n": 3, "sampling": Sampling(temperature=1.0, seed=0)}
    chunks = bench.ask("dice = ", **options)
    assert [text(chunks, index) for index in range(3)] == ["one", "two", "three"]
    usages = [chunk.usage for chunk in chunks if chunk.finish_reason and chunk.usage]
    assert usages == [Usage(len(bench.tokenizer.encode("dice = ")), (3 + 1) + (3 + 1) + (4 + 1), 0)], (
        'with the end of each; "re" is one token'
    )
    assert text(bench.ask("dice = ", sampling=Sampling(temperature=1.0, seed=1))) == "two"


def test_prefill_only_fills_the_cache(bench: Bench) -> None:
    chunks = bench.ask("def f():\n    ", max_tokens=0)
    assert (text(chunks), chunks[-1].finish_reason, chunks[-1].usage.completion_tokens) == ("", "length", 0)
    usage = bench.ask("def f():\n    ")[-1].usage
    assert usage.cached_tokens == usage.prompt_tokens - 1


def test_log_probabilities_only_where_asked_for(bench: Bench) -> None:
    assert all(chunk.logprobs == () for chunk in bench.ask("def f():\n    "))
    chunks = bench.ask("def f():\n    ", logprobs=2)
    assert all(len(chunk.logprobs) == len(chunk.token_ids) == len(chunk.top) for chunk in chunks)
    assert {len(top) for chunk in chunks for top in chunk.top} == {2}


def test_a_cancelled_job_stops_before_the_next_step(bench: Bench) -> None:
    bench.runner.held = queue.SimpleQueue()
    job, events = bench.submit("long", max_tokens=300)
    for _ in range(3):
        bench.runner.held.put(None)
    first = [events.get(timeout=10) for _ in range(3)]
    assert [chunk.text for chunk in first] == ["y"] * 3
    job.cancelled = True
    bench.runner.held.put(None)  # the step that it may already be in
    runs = bench.runner.runs
    bench.runner.held = None
    bench.ask("def f():\n    ", max_tokens=1)
    bench.runner.held = None
    assert bench.worker.busy == 0
    assert bench.runner.runs <= runs + 3
    assert events.qsize() <= 1
    counted = bench.metrics.text().decode()
    assert 'outcome="cancelled"} 1.0' in counted
    assert re.search(r"completion_tokens_total [45]\.0", counted), (
        "what was chosen for it is counted, and the one after"
    )


def test_interactive_overtakes_background_and_both_are_answered_in_full(make: Callable[..., Bench]) -> None:
    for slots in ((512, 512), (512,)):  # with a slot for each, and with one for both
        bench = make(slots=slots)
        bench.runner.held = queue.SimpleQueue()
        _, slow = bench.submit("long", max_tokens=40, priority=Priority.BACKGROUND)
        bench.runner.held.put(None)
        assert slow.get(timeout=10).text == "y"
        _, fast = bench.submit("def f():\n    ")
        gate, bench.runner.held = bench.runner.held, None
        for _ in range(5):
            gate.put(None)
        assert text(finish(fast)) == "return 1\n\nrest"
        assert "y" + text(finish(slow)) == "y" * 40
        steps = bench.runner.log[bench.runner.log.index("l") :]
        assert steps.strip("l") == "d" * steps.count("d"), "nothing came between its steps"
        assert 1 <= steps.index("d") <= 4, "it went ahead at the next step"


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (RuntimeError("boom"), r"failed \(RuntimeError\)"),
        (MemoryError(), "not enough memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("cuda"), "not enough memory"),
        (EngineError("The card is gone."), "The card is gone"),
    ],
)
def test_a_failing_run_fails_its_request_and_no_other(bench: Bench, failure: Exception, message: str) -> None:
    bench.ask("def f():\n    ")
    bench.runner.failure = failure
    with pytest.raises(EngineError, match=message):
        bench.ask("def f():\n    ")
    again = bench.ask("def f():\n    ")
    assert text(again) == "return 1\n\nrest"
    assert bench.worker.busy == 0
    assert bench.worker.health.state == "ready"


def test_after_an_error_that_ends_the_card_the_engine_leaves(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    bench.worker.on_end = ended.set
    closing = bench.runner.close

    def close() -> None:
        closing()
        raise RuntimeError("CUDA error: device-side assert triggered")  # as torch.cuda.empty_cache does then

    monkeypatch.setattr(bench.runner, "close", close)
    bench.runner.held = queue.SimpleQueue()
    _, first = bench.submit("def f():\n    " * 3)  # a prompt of more than a few tokens runs by itself
    _, second = bench.submit("euro = ")
    bench.runner.failure = RuntimeError("CUDA error: device-side assert triggered")
    bench.runner.held.put(None)
    with pytest.raises(EngineError, match="The model run failed"):
        finish(first)
    with pytest.raises(EngineLeaving):
        finish(second)
    assert ended.wait(10)
    assert bench.worker.health.state == "failed"
    assert "device-side assert" in bench.worker.health.detail
    assert bench.worker.busy == 0, "an engine that is busy stays"
    assert "could not be given back" in caplog.text
    with pytest.raises(EngineLeaving):
        bench.submit("euro = ")


def test_not_a_number_is_an_error_and_not_a_token(bench: Bench) -> None:
    with pytest.raises(EngineError, match="NaN"):
        bench.ask("nan")
    with pytest.raises(EngineError, match="RuntimeError"):
        bench.ask("error")
    assert text(bench.ask("garbage", max_tokens=5)) == ""
    assert text(bench.ask("def f():\n    ", max_tokens=1)) == "return"


def test_what_can_never_run_is_refused_with_the_numbers(bench: Bench) -> None:
    with pytest.raises(RequestRefused, match="context of this model is 512 tokens; the prompt has 500 and 64 more"):
        bench.submit("z" * 500, max_tokens=64)
    with pytest.raises(RequestRefused, match="empty"):
        bench.submit("")
    with pytest.raises(RequestRefused, match="99999 is no token"):
        bench.worker.submit(Job(GenerationRequest("x"), (99999,), print))
    assert bench.worker.busy == 0
    assert text(bench.ask("z" * 448, max_tokens=64)) == "pass", "exactly full is fine"


def test_too_many_requests_are_refused_and_none_of_the_others_is_lost(bench: Bench) -> None:
    bench.runner.held = queue.SimpleQueue()
    waiting = [bench.submit("def f():\n    ", max_tokens=1)[1] for _ in range(LONGEST_QUEUE)]
    with pytest.raises(RequestRefused, match="overloaded") as refused:
        bench.submit("def f():\n    ")
    assert refused.value.status == 503
    gate, bench.runner.held = bench.runner.held, None
    gate.put(None)
    assert [text(finish(events)) for events in waiting] == ["return"] * LONGEST_QUEUE


def test_when_it_stops_everybody_is_told(bench: Bench) -> None:
    bench.runner.held = queue.SimpleQueue()
    _, running = bench.submit("long", max_tokens=300)
    _, waiting = bench.submit("long", max_tokens=300)
    bench.worker.stop(timeout_s=0)
    gate, bench.runner.held = bench.runner.held, None
    gate.put(None)
    for events in (running, waiting):
        with pytest.raises(EngineLeaving):
            finish(events)
    with pytest.raises(EngineLeaving):
        bench.submit("late")
    assert bench.worker.health.state == "leaving"


def test_a_model_that_cannot_be_loaded_is_reported(tmp_path: Path) -> None:
    for error, detail in (
        (CoderlsError("It is damaged.", "Fetch it."), "It is damaged. Fetch it."),
        (KeyError("x"), "KeyError"),
    ):
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()

        def load(_: object, error: Exception = error) -> Loaded:
            raise error

        worker = Worker(load, model="m", metrics=Metrics())
        worker.on_end = lambda worker=worker, ended=ended: ended.put(worker.health.state)
        worker.start()
        assert ended.get(timeout=10) == "failed"
        assert detail in worker.health.detail


def test_an_engine_that_has_no_memory_for_a_prompt_is_not_ready(tmp_path: Path) -> None:
    class Full(FakeRunner):
        def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
            return [EngineError("cuda:0 ran out of memory.") for _ in batch]

    script = FakeScript()
    tokenizer = Tokenizer.from_file(write_fake_model(tmp_path, script) / "tokenizer.json")
    worker = Worker(
        lambda _: Loaded(Full(script, tokenizer), tokenizer, tmp_path), model="fake", metrics=(metrics := Metrics())
    )
    ended = threading.Event()
    worker.on_end = ended.set
    worker.start()
    assert ended.wait(10)
    assert (worker.health.state, worker.health.detail) == ("failed", "cuda:0 ran out of memory.")
    assert "coderls_prefill_tokens_per_second 0.0" in metrics.text().decode()


def test_the_end_token_is_not_text_and_frozen_values_stay_apart(bench: Bench) -> None:
    end = bench.tokenizer.special_id(END)
    chunks = bench.ask("def f():\n    ", logprobs=0)
    assert end not in [token for chunk in chunks for token in chunk.token_ids]
    assert replace(bench.worker.health, state="x").state == "x"


def cheap_drafts(bench: Bench) -> None:
    """From here on verifying costs nothing, so that every draft is tried."""
    costs = bench.worker._rounds._speculation.costs = Costs({1: 1.0, 16: 1.0})
    costs.note = lambda *_: None


def test_expected_text_is_verified_in_one_run_and_changes_nothing(make: Callable[..., Bench]) -> None:
    bench = make(speculates=True)
    cheap_drafts(bench)
    before = bench.runner.runs
    chunks = bench.ask("def f():\n    ", drafts=("wrong", "return 1\n\nrest"), logprobs=1)
    usage = chunks[-1].usage
    size = len(bench.tokenizer.encode("return 1\n\nrest"))
    assert text(chunks) == "return 1\n\nrest"
    assert bench.runner.runs - before == 1, "the prompt with the whole draft"
    assert (usage.completion_tokens, usage.accepted_tokens) == (size + 1, size)
    assert usage.drafted_tokens >= size
    assert sum(len(chunk.token_ids) for chunk in chunks) == sum(len(chunk.logprobs) for chunk in chunks) == size
    lines = bench.metrics.text().decode()
    assert f"coderls_accepted_tokens_total {size}.0" in lines
    assert 'coderls_steps_total{kind="verify"}' in lines or 'coderls_steps_total{kind="prefill"}' in lines


def test_what_was_said_here_before_comes_faster_the_second_time(make: Callable[..., Bench]) -> None:
    bench = make(speculates=True)
    cheap_drafts(bench)
    first = bench.ask("def f():\n    ")
    runs = bench.runner.runs
    again = bench.ask("def f():\n    ")
    assert text(again) == text(first)
    assert bench.runner.runs - runs == 1, "even its end was known"
    healed = bench.ask("def f():\n    ", required_prefix="ret")
    assert text(healed) == "urn 1\n\nrest"
    assert healed[-1].usage.accepted_tokens > 0


def test_a_draft_never_leads_beyond_the_tokens_that_were_asked_for(make: Callable[..., Bench]) -> None:
    bench = make(speculates=True)
    cheap_drafts(bench)
    for most in range(1, 6):
        chunks = bench.ask("long", max_tokens=most, drafts=("y" * 300,))
        assert (text(chunks), chunks[-1].finish_reason) == ("y" * most, "length")
        assert chunks[-1].usage.completion_tokens == most
    stopped = bench.ask("def f():\n    ", drafts=("return 1\n\nrest",), stop=("\n",))
    assert text(stopped) == "return 1"


def ids(chunks: list[Chunk], index: int) -> list[int]:
    return [token for chunk in chunks if chunk.index == index for token in chunk.token_ids]


SAID = st.text("ab €\n", max_size=12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    says=st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3),
    drafts=st.lists(SAID, max_size=3),
    n=st.integers(1, 3),
    ends=st.tuples(st.sampled_from(["", "b\n", "€"]), st.sampled_from(["", "a", "aa", "€"])),
)
def test_drafts_and_company_change_no_output(
    make: Callable[..., Bench], says: list, drafts: list[str], n: int, ends: tuple[str, str]
) -> None:
    """With drafts, in any company, each answer is the one that comes without drafts and alone."""
    rules = [{"after": f"{number}:", "say": list(said)} for number, said in enumerate(says)]
    script = FakeScript(tuple(FakeRule(rule["after"], tuple(rule["say"])) for rule in rules))
    plain, fast = (make(rules=script.rules, speculates=speculates) for speculates in (False, True))
    cheap_drafts(fast)
    stop, required = ends
    options = {
        "n": n,
        "sampling": Sampling(temperature=1.0, seed=3),
        "stop": (stop,) if stop else (),
        "required_prefix": required,
        "max_tokens": 9,
    }
    prompts = [f"{number}:" for number in range(len(says))]
    alone = [plain.ask(prompt, **options) for prompt in prompts]
    waiting = [fast.submit(prompt, drafts=tuple(drafts), **options)[1] for prompt in prompts * 2]
    together = [finish(events, n) for events in waiting]
    for expected, found in zip(alone * 2, together, strict=True):
        for index in range(n):
            assert text(found, index) == text(expected, index)
            assert ids(found, index) == ids(expected, index)
        assert found[-1].usage.completion_tokens == expected[-1].usage.completion_tokens


def test_candidates_run_as_one_batch(make: Callable[..., Bench]) -> None:
    bench = make(slots=(512,) * 3)
    runs = bench.runner.runs
    chunks = bench.ask("dice = ", n=3, sampling=Sampling(temperature=1.0, seed=0))
    longest = max(len(bench.tokenizer.encode(word)) for word in ("one", "two", "three")) + 1
    assert bench.runner.runs - runs <= longest + 1
    assert [text(chunks, index) for index in range(3)] == ["one", "two", "three"]


class Faulty(Gate):
    """A runner whose work on the slots of some prompts fails: as a result, or as the end of the whole batch."""

    def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
        results = super().run(batch, should_stop)
        poisoned = [self._tokenizer.decode(self._memory[work.slot]).startswith("bad") for work in batch]
        if self.raises and any(poisoned):
            raise MemoryError
        return [EngineError("bad") if bad else result for bad, result in zip(poisoned, results, strict=True)]


@pytest.mark.parametrize("raises", [False, True])
def test_one_that_fails_in_a_batch_fails_alone(make: Callable[..., Bench], raises: bool) -> None:
    bench = make(slots=(512,) * 4)
    bench.runner.__class__ = Faulty
    bench.runner.raises = raises
    bench.runner.held = queue.SimpleQueue()
    waiting = [bench.submit(prompt, max_tokens=20)[1] for prompt in ("long", "bad", "euro = ")]
    gate, bench.runner.held = bench.runner.held, None
    gate.put(None)
    assert text(finish(waiting[0])) == "y" * 20
    with pytest.raises(EngineError, match="not enough memory" if raises else "bad"):
        finish(waiting[1])
    assert text(finish(waiting[2])) == "'€😀'"
    assert bench.worker.busy == 0
    assert text(bench.ask("def f():\n    ", max_tokens=1)) == "return"


def test_a_long_prompt_is_given_up_when_somebody_comes_and_goes_on_afterwards(make: Callable[..., Bench]) -> None:
    bench = make(slots=(4096, 4096))
    bench.worker._rounds.pace.rate = 20_000  # so a lone chunk has several thousand tokens
    bench.runner.held = queue.SimpleQueue()
    _, slow = bench.submit("z" * 3000, max_tokens=4)
    _, fast = bench.submit("def f():\n    ", max_tokens=1)
    gate, bench.runner.held = bench.runner.held, None
    gate.put(None)
    assert text(finish(fast)) == "return"
    assert text(finish(slow)) == "pass"
    assert bench.worker.busy == 0


def test_what_was_read_of_a_prompt_stays_while_somebody_types(make: Callable[..., Bench]) -> None:
    """Each key cancels the request of the one before while the model reads: on a busy machine no prompt is read in
    one go, and without this none would ever be."""
    bench = make(slots=(4096, 4096))
    bench.worker._rounds.pace.rate = 1000  # 50 tokens a chunk
    read, running = bench.runner.run, []

    def typed(batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
        running[-1].cancelled = True
        return read(batch, should_stop)

    bench.runner.run = typed
    for key in range(6):
        prompt = "z" * 600 + "y" * key
        running.append(Job(GenerationRequest(prompt, max_tokens=1), tuple(bench.tokenizer.encode(prompt)), print))
        bench.worker.submit(running[-1])
        until(lambda: not bench.worker.busy)
    bench.runner.run = read
    bench.runner.shapes.clear()
    bench.ask("z" * 600 + "y" * 6, max_tokens=1)
    start, _, _ = bench.runner.shapes[0][0]
    assert start > 150, "all but the first, long chunk was kept"


def test_clients_take_turns_however_many_requests_they_send(make: Callable[..., Bench]) -> None:
    bench = make(slots=(512, 512))
    bench.runner.held = queue.SimpleQueue()
    flood = [bench.submit("long", max_tokens=200)[1] for _ in range(20)]
    request = GenerationRequest("def f():\n    ", max_tokens=1)
    events: queue.SimpleQueue = queue.SimpleQueue()
    bench.worker.submit(Job(request, tuple(bench.tokenizer.encode("def f():\n    ")), events.put, "another"))
    gate, bench.runner.held = bench.runner.held, None
    gate.put(None)
    assert text(finish(events)) == "return"
    assert sum(waiting.qsize() >= 200 for waiting in flood) < 10, "it did not wait for the flood"
    for waiting in flood:
        assert text(finish(waiting)) == "y" * 200


def test_a_prompt_that_is_not_in_the_cache_is_refused_at_once_where_that_is_wanted(bench: Bench) -> None:
    long = "a long text before everything else " * 6
    runs = bench.runner.runs
    with pytest.raises(RequestRefused) as refused:
        bench.ask(long + "def f():\n    ", least_cached=len(long) // 2)
    assert refused.value.status == NOT_CACHED
    assert bench.runner.runs == runs
    bench.ask(long, max_tokens=0, room=400)
    read = len(bench.tokenizer.encode(long))
    chunks = bench.ask(long + "def f():\n    ", least_cached=read, room=400)
    assert text(chunks) == "return 1\n\nrest"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.cached_tokens >= read


def test_what_is_read_for_longer_requests_lies_where_these_fit(make: Callable[..., Bench]) -> None:
    bench = make(slots=(64, 512))
    prompt = "forever and ever"
    bench.ask(prompt, max_tokens=0, room=500)
    copies = bench.runner.copies
    bench.ask(prompt + " more" * 20, max_tokens=2, least_cached=len(bench.tokenizer.encode(prompt)))
    assert bench.runner.copies == copies
    with pytest.raises(RequestRefused, match="512 tokens"):
        bench.ask(prompt, room=513)
