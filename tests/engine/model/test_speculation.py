"""Speculation with the embedded model: the near-tie rule, and that there is something to be had.

With drafts, tokens are chosen from a run over several of them, without from runs over one. In bfloat16 the two round
differently, so equal text is not asked for: each token has to be the likeliest, or within NEAR_TIE of it, when the
whole output is run again at once.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.engine.api import GenerationRequest, LocalName
from coderls.engine.blend import FEATURES, Gate
from coderls.engine.draft_lengths import Costs
from coderls.engine.jobs import Job
from coderls.engine.metrics import Metrics
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import Work
from coderls.engine.worker import Loaded, Worker
from coderls.errors import CoderlsError
from coderls.tokenizer import Tokenizer

pytestmark = pytest.mark.nano

NEAR_TIE = 0.5  # logits; bfloat16 has steps of 0.125 where the likeliest tokens are

PROMPTS = (
    "class Point:\n    def __init__(self, x, y, z):\n        self.x = x\n        self.y = y\n        self.",
    "def read(path):\n    with open(path) as file:\n        return file.read()\n\n\ndef write(path, text):\n    with",
    "COLOURS = {\n    'red': (255, 0, 0),\n    'green': (0, 255, 0),\n    'blue': (",
)

#: For who wants it: nearly everything to what followed the same tokens in the prompt and the output so far.
GATE = Gate((4.0, *[0.0] * 2 * FEATURES), (-9.0, *[0.0] * 2 * FEATURES))


@pytest.fixture(scope="module")
def tokenizer(nano_dir: Path) -> Tokenizer:
    return Tokenizer.from_file(nano_dir / "tokenizer.json")


@pytest.fixture(scope="module")
def runner(nano_dir: Path) -> Iterator[TorchRunner]:
    made = load_runner(nano_dir, name="nano", device="cpu", weights="bfloat16", threads=1, context_length=1024)
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker(nano_dir: Path, tokenizer: Tokenizer) -> Iterator[Worker]:
    made = Worker(
        lambda _: Loaded(
            load_runner(nano_dir, name="nano", device="cpu", weights="bfloat16", threads=1, context_length=1024),
            tokenizer,
            nano_dir,
            gate=GATE,
        ),
        model="nano",
        metrics=Metrics(),
    )
    ready: queue.SimpleQueue[None] = queue.SimpleQueue()
    prepare = made._prepare

    def prepared(loaded: Loaded) -> None:
        prepare(loaded)
        costs = made._rounds._speculation.costs = Costs({1: 1.0, 16: 1.0})  # try whatever can be drafted
        costs.note = lambda *_: None
        ready.put(None)

    made._prepare = prepared
    made.start()
    ready.get(timeout=100)
    yield made
    made.stop(10)
    assert made.health.state == "leaving", made.health.detail


def ask(worker: Worker, prompts: list[list[int]], **options: object) -> list[tuple[Job, list[int]]]:
    """The answers to all, asked at once."""
    waiting = []
    for prompt in prompts:
        events: queue.SimpleQueue = queue.SimpleQueue()
        job = Job(GenerationRequest((), logprobs=0, **options), tuple(prompt), events.put)
        worker.submit(job)
        waiting.append((job, events))
    answers = []
    for job, events in waiting:
        output: list[int] = []
        while True:
            event = events.get(timeout=60)
            assert not isinstance(event, CoderlsError), event
            output += event.token_ids
            if event.finish_reason is not None:
                break
        answers.append((job, output))
    return answers


def gaps(runner: TorchRunner, prompt: list[int], output: list[int]) -> list[float]:
    """How far each token is below the likeliest, when all are run at once."""
    logits = runner.logits(Work(0, 0, [*prompt, *output]))[len(prompt) - 1 : -1]
    return [float(row.max() - row[token]) for row, token in zip(logits, output, strict=True)]


def same_but_for_near_ties(runner: TorchRunner, prompt: list[int], one: list[int], other: list[int]) -> bool:
    """Whether two outputs are the same up to a place where the model likes both as much, if there is one."""
    place = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        return len(one) == len(other)
    row = runner.logits(Work(0, 0, [*prompt, *one[:place]]))[-1]
    return abs(float(row[one[place]] - row[other[place]])) <= NEAR_TIE


def test_tokens_of_drafts_and_batches_obey_the_near_tie_rule(
    worker: Worker, runner: TorchRunner, tokenizer: Tokenizer
) -> None:
    prompts = [tokenizer.encode(text) for text in PROMPTS]
    rejected = 0
    for known in (False, True):  # the second time it is known what was said
        answers = ask(worker, prompts, max_tokens=40)
        for job, output in answers:
            found = gaps(runner, list(job.prompt), output)
            assert max(found, default=0.0) <= NEAR_TIE, (tokenizer.decode(output), found)
            rejected += job.drafted - job.accepted
        if known:
            assert sum(job.accepted for job, _ in answers) > 0.6 * sum(job.produced for job, _ in answers)
    assert rejected, "some drafts were wrong"


def test_what_is_blended_in_is_the_same_for_drafted_tokens(
    worker: Worker, runner: TorchRunner, tokenizer: Tokenizer
) -> None:
    """Also where the output repeats itself, so that drafted tokens are what the next ones are blended from."""
    prompts = [tokenizer.encode(text) for text in PROMPTS]
    beyond = (worker.vocabulary, 1 << 40)
    alone = ask(worker, prompts, max_tokens=40, local=LocalName(), exact=True, stop_token_ids=beyond)
    assert [output for _, output in alone] != [output for _, output in ask(worker, prompts, max_tokens=40)]
    accepted = 0
    for job, output in alone:
        drafts = (tokenizer.decode(output),)
        ((drafted, again),) = ask(worker, [list(job.prompt)], max_tokens=40, local=LocalName(), drafts=drafts)
        assert same_but_for_near_ties(runner, list(job.prompt), again, output)
        accepted += drafted.accepted
        ((_, scored),) = ask(
            worker, [list(job.prompt)], max_tokens=len(output), local=LocalName(), forced=tuple(output)
        )
        assert scored == output
    assert accepted > 40
