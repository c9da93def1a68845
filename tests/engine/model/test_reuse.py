"""The worker with the real model: whatever is cached, copied, preempted or cancelled, the tokens stay the model's own.

Requests with shared prefixes, of all priorities, come and go at once. Each answer is then judged by a forward pass of
its whole text in a slot of a runner that never saw anything else.
"""

from __future__ import annotations

import queue
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from coderls.engine.api import Chunk, GenerationRequest, Priority
from coderls.engine.draft_lengths import Costs
from coderls.engine.fake import write_fake_model
from coderls.engine.healing import HealingIndex
from coderls.engine.jobs import Job
from coderls.engine.metrics import Metrics
from coderls.engine.model.config import read_config
from coderls.engine.model.torch_runner import TorchRunner
from coderls.engine.model.weights import load_qwen2
from coderls.engine.runner import Work
from coderls.engine.worker import Loaded, Worker
from coderls.errors import CoderlsError
from coderls.tokenizer import Tokenizer
from tests.engine.model.checkpoints import VOCAB, oracle, save

LENGTHS = (192, 96, 96)  # three slots for a dozen requests: they have to give way to each other
NEAR_TIE = 1e-3


def runner_of(folder: Path, lengths: tuple[int, ...]) -> TorchRunner:
    config = read_config(folder)
    model = load_qwen2(folder, config, device=torch.device("cpu"), dtype=torch.float32, context_length=max(lengths))
    return TorchRunner(model, "tiny", lengths, torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(oracle(), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Bytes and a few words: fewer ids than the model has."""
    return Tokenizer.from_file(write_fake_model(tmp_path_factory.mktemp("words")) / "tokenizer.json")


@pytest.fixture(params=["measured", "free"])
def worker(request: pytest.FixtureRequest, folder: Path, tokenizer: Tokenizer) -> Iterator[Worker]:
    """ "free": verifying is said to cost nothing, so that whatever can be drafted is."""
    made = Worker(lambda _: Loaded(runner_of(folder, LENGTHS), tokenizer, folder), model="tiny", metrics=Metrics())
    ready: queue.SimpleQueue[None] = queue.SimpleQueue()
    prepare = made._prepare

    def prepared(loaded: Loaded) -> None:
        prepare(loaded)
        if request.param == "free":
            costs = made._rounds._speculation.costs = Costs({1: 1.0, 16: 1.0})
            costs.note = lambda *_: None
        ready.put(None)

    made._prepare = prepared
    made.start()
    ready.get(timeout=30)
    yield made
    made.stop(10)
    assert made.health.state == "leaving", made.health.detail  # not "failed": its books were in order to the end


def judge(fresh: TorchRunner, index: HealingIndex, table: list[bytes], job: Job, output: list[int]) -> None:
    """Every token of `output` is the likeliest that was allowed, up to near-ties."""
    whole = [*job.prompt, *output]
    logits = fresh.logits(Work(0, 0, whole))[len(job.prompt) - 1 :]
    said = b""
    required = job.request.required_prefix.encode()
    for step, token in enumerate(output):
        row = logits[step]
        remaining = required[len(said) :]
        best = row[torch.tensor(list(index.allowed(remaining)))].max() if remaining else row.max()
        assert row[token] >= best - NEAR_TIE, (step, token, len(job.prompt), output)
        said += table[token]
    assert job.cancelled or said.startswith(required) or len(output) == job.request.max_tokens


@pytest.mark.parametrize("seed", range(2))
def test_tokens_are_those_of_a_fresh_cache(
    seed: int, worker: Worker, folder: Path, tokenizer: Tokenizer, request: pytest.FixtureRequest
) -> None:
    rng = random.Random(seed)
    fresh = runner_of(folder, (max(LENGTHS),))
    stems = [[rng.randrange(VOCAB) for _ in range(80)] for _ in range(3)]
    running: list[tuple[Job, queue.SimpleQueue]] = []
    answers: list[tuple[Job, dict[int, list[int]]]] = []

    def submit() -> None:
        stem = rng.choice(stems)
        prompt = stem[: rng.randrange(1, 80)] + [rng.randrange(VOCAB) for _ in range(rng.randrange(4))]
        asked = GenerationRequest(
            (),
            max_tokens=rng.choice((0, 1, 5, 24)),
            n=rng.choice((1, 1, 1, 3)),
            priority=rng.choice(list(Priority)),
            required_prefix=rng.choice(("", "", "ret", "sel", "é")),
            drafts=rng.choice(((), ("return self",))),
        )
        events: queue.SimpleQueue = queue.SimpleQueue()
        job = Job(asked, tuple(prompt), events.put)
        worker.submit(job)
        running.append((job, events))

    def take(job: Job, events: queue.SimpleQueue) -> None:
        """Read an answer to its end, or to where it is cancelled."""
        stop_after = rng.choice((1, 2, 4)) if rng.random() < 0.25 else 10_000
        outputs: dict[int, list[int]] = {number: [] for number in range(job.request.n)}
        unfinished, last = job.request.n, None
        while unfinished:
            event = events.get(timeout=30)
            assert not isinstance(event, CoderlsError), event
            assert isinstance(event, Chunk)
            outputs[event.index] += event.token_ids
            unfinished -= event.finish_reason is not None
            last = event
            stop_after -= 1
            if not stop_after:
                break
        job.cancelled = unfinished > 0
        if unfinished == 0:
            usage = last.usage
            stopped = usage.completion_tokens - sum(map(len, outputs.values()))
            assert usage.prompt_tokens == len(job.prompt)
            assert 0 <= usage.cached_tokens < len(job.prompt)
            assert 0 <= stopped <= job.request.n  # the end token is counted, and is no text
        answers.append((job, outputs))

    for _ in range(16):
        for _ in range(rng.randrange(1, 5)):
            submit()
        while running and rng.random() < 0.6:
            take(*running.pop(rng.randrange(len(running))))
    while running:
        take(*running.pop())

    index = HealingIndex(tokenizer.token_bytes)
    table = [*tokenizer.token_bytes, *([b""] * VOCAB)]
    for job, outputs in answers:
        for output in outputs.values():
            judge(fresh, index, table, job, output)
    assert sum(len(output) for _, outputs in answers for output in outputs.values()) > 200
    if request.node.callspec.params["worker"] == "free":
        assert sum(job.accepted for job, _ in answers) > 20
        assert sum(job.drafted - job.accepted for job, _ in answers) > 20
