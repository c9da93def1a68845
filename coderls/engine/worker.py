"""The thread that owns the model: it loads it, then schedules, runs, post-processes and collects, step by step.

Other threads talk to it through `submit`, `Job.cancelled` and `stop` only. Results go out through `Job.emit`.
"""

from __future__ import annotations

import logging
import math
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

import coderls
from coderls.engine.api import PROTOCOL_VERSION, Chunk, GenerationRequest, Health, Sampling, Usage
from coderls.engine.healing import HealingIndex
from coderls.engine.kv_slots import KvSlots
from coderls.engine.metrics import Metrics
from coderls.engine.output import OutputText, Piece
from coderls.engine.runner import Runner, Sample, SampleSpec, Work
from coderls.engine.scheduler import Generation, Pace, Scheduler, Step
from coderls.errors import CoderlsError, EngineError, EngineUnreachable, RequestRefused
from coderls.tokenizer import Tokenizer

log = logging.getLogger(__name__)

FEATURES = ("required_prefix", "priority", "token_ids")
LONGEST_QUEUE = 256
CHUNK_SECONDS = {"cpu": 0.050, "cuda": 0.025}
MEASURE_TOKENS = 256

Report = Callable[[str, str, float], None]  # state, detail, fraction


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to run, its tokenizer and its directory."""

    runner: Runner
    tokenizer: Tokenizer
    path: Path


@dataclass(slots=True, eq=False)
class Job:
    """One request in the engine. `prompt` in token ids. `emit` is called from the worker's thread with each Chunk,
    or once with the error that ended the job. Set `cancelled` to stop it before the next step; nothing is emitted then.
    """

    request: GenerationRequest
    prompt: tuple[int, ...]
    emit: Callable[[Chunk | CoderlsError], None]
    cancelled: bool = False
    received: float = field(default_factory=time.perf_counter)
    open: int = 0  # candidates that are not finished
    cached: int = 0
    produced: int = 0


@dataclass(slots=True, eq=False)
class _Candidate:
    job: Job
    index: int
    output: OutputText
    sampling: Sampling
    produced: int = 0


class Worker:
    """Runs jobs on the model that `load` returns. `load` is called in the worker's thread and reports its progress."""

    def __init__(self, load: Callable[[Report], Loaded], *, model: str, metrics: Metrics) -> None:
        self._load = load
        self._runner: Runner | None = None
        self._metrics = metrics
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._stopping = False
        self._candidates: dict[Generation, _Candidate] = {}
        self._waiting = 0  # jobs between submit and their end
        self._lock = threading.Lock()  # for _waiting and _stopping
        self._thread = threading.Thread(target=self._main, name="coderls-worker", daemon=True)
        self.on_end: Callable[[], None] = lambda: None  # the thread is done: stopped, or `health.state` is "failed"
        self.health = Health(
            PROTOCOL_VERSION, "loading", model, version=coderls.__version__, features=FEATURES, pid=os.getpid()
        )

    def start(self) -> None:
        """Begin to load; `health` says how far it is."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End everything that runs with an error, and give the model's memory back."""
        with self._lock:
            self._stopping = True
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def busy(self) -> int:
        """Jobs that wait or run."""
        return self._waiting

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, once `health.state` is "ready"."""
        return self._tokenizer

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The bytes of each token id of the model."""
        return self._token_bytes

    @property
    def model_folder(self) -> Path:
        """The model's directory."""
        return self._folder

    @property
    def prefill_rate(self) -> float:
        """Prompt tokens per second, the best measured so far; 0 before the model is ready."""
        return round(self._pace.best, 1) if self.health.state == "ready" else 0.0

    @property
    def context_length(self) -> int:
        """Tokens that one request may reach, prompt and output together."""
        return self.health.context_length

    def submit(self, job: Job) -> None:
        """Take a job in. Raises RequestRefused when it can never run (400) or when too many wait (503)."""
        self._check(job)
        with self._lock:  # together with the put: what is taken in here is answered, even while the engine leaves
            if self._stopping:
                raise RequestRefused("The engine is leaving.", "Ask again: it is started anew.", 503)
            if self._waiting >= LONGEST_QUEUE:
                raise RequestRefused(
                    f"The engine is overloaded: {self._waiting} requests wait.", "Try again later.", 503
                )
            self._waiting += 1
            self._metrics.queue.set(self._waiting)
            self._inbox.put(job)

    def _check(self, job: Job) -> None:
        limit, sent = self.context_length, len(job.prompt)
        if not sent:
            raise RequestRefused("The prompt is empty.", "Send at least one token.")
        if sent + job.request.max_tokens > limit:
            raise RequestRefused(
                f"The context of this model is {limit} tokens; the prompt has {sent} and "
                f"{job.request.max_tokens} more were asked for.",
                "Send a shorter prompt or ask for fewer tokens.",
            )
        vocabulary = self._info.vocab_size
        wrong = next((token for token in job.prompt if not 0 <= token < vocabulary), None)
        if wrong is not None:
            raise RequestRefused(f"{wrong} is no token of this model.", f"Its ids go from 0 to {vocabulary - 1}.")

    # Loading

    def _main(self) -> None:
        try:
            loaded = self._load(self._report)
            self._runner = loaded.runner
            self._prepare(loaded)
            while self._take_new():
                self._step(loaded.runner)
        except CoderlsError as error:
            log.error("The engine cannot go on: %s", error)
            self._report("failed", str(error), 0.0)
        except Exception as error:
            log.exception("The engine cannot go on")
            self._report("failed", f"{type(error).__name__}: {error}", 0.0)
        finally:
            self._leave()

    def _report(self, state: str, detail: str, fraction: float) -> None:
        self.health = replace(self.health, state=state, detail=detail, fraction=min(1.0, max(0.0, fraction)))

    def _prepare(self, loaded: Loaded) -> None:
        runner, tokenizer = loaded.runner, loaded.tokenizer
        self._tokenizer, self._folder = tokenizer, loaded.path
        info = self._info = runner.info
        kind = "cuda" if info.device.startswith("cuda") else "cpu"
        self._pace = Pace(CHUNK_SECONDS[kind])
        self._scheduler = Scheduler(KvSlots(runner.slot_lengths), self._pace)
        # Control tokens have no bytes, and ids beyond the tokenizer (padding of the table) are never text.
        padding = max(0, info.vocab_size - len(tokenizer.token_bytes))
        self._token_bytes = [*tokenizer.token_bytes, *([b""] * padding)]
        self._healing = HealingIndex(tokenizer.token_bytes[: info.vocab_size])
        self._report("loading", "measuring the speed", 0.95)
        self._measure(runner)
        self.health = replace(
            self.health,
            state="ready",
            detail="",
            fraction=1.0,
            model=info.name,
            model_path=str(loaded.path),
            device=info.device,
            attention=info.attention,
            context_length=min(info.context_length, self._scheduler.slots.longest),
        )

    def _measure(self, runner: Runner) -> None:
        """Prefill a few times: the first run warms up, the others are measured. Nothing of it stays in the books."""
        size = min(MEASURE_TOKENS, runner.slot_lengths[0])
        tokens = [number % runner.info.vocab_size for number in range(size)]
        for run in range(4):
            began = time.perf_counter()
            runner.run([Work(0, 0, tokens)])
            if run:
                self._pace.measured(size, max(time.perf_counter() - began, 1e-6))
        self._metrics.prefill_rate.set(self._pace.rate)

    # The loop

    def _take_new(self) -> bool:
        """Take waiting jobs in; block while there is nothing to do. False when the engine leaves."""
        if not self._scheduler.generations and self._inbox.empty():
            self._scheduler.check()
        while not self._scheduler.generations or not self._inbox.empty():
            job = self._inbox.get()
            if job is not None:
                self._admit(job)
            if self._stopping:
                return False
        return not self._stopping

    def _step(self, runner: Runner) -> None:
        self._drop_cancelled()
        step = self._scheduler.next()
        if step is None:
            return
        try:
            sample = self._run(runner, step)
        except Exception as error:
            log.exception("A run of the model failed")
            self._failed(step, error)
            if _ends_the_card(error):
                raise
        else:
            self._collect(step, sample)

    def _admit(self, job: Job) -> None:
        request = job.request
        seed = request.sampling.seed
        first_seed = random.getrandbits(48) if seed is None else seed
        job.open = request.n
        for index in range(request.n):
            generation = Generation(
                list(job.prompt), len(job.prompt) + request.max_tokens, request.priority, request.max_tokens > 0
            )
            output = OutputText(self._token_bytes, request.stop, request.required_prefix)
            sampling = replace(request.sampling, seed=first_seed + index)
            self._candidates[generation] = _Candidate(job, index, output, sampling)
            self._scheduler.add(generation)

    def _drop_cancelled(self) -> None:
        for generation, candidate in list(self._candidates.items()):
            if candidate.job.cancelled and generation in self._candidates:
                self._end_job(candidate.job, "cancelled")

    def _run(self, runner: Runner, step: Step) -> Sample | None:
        """One run of the model. Raises EngineError when what it chose is no token."""
        generation = step.generation
        candidate = self._candidates[generation]
        if step.grant is not None and step.grant.copy_from is not None:
            runner.copy(step.grant.copy_from, step.grant.slot, step.grant.cached)
        specs = (self._spec(candidate),) if step.last and generation.samples else ()
        began = time.perf_counter()
        slot = generation.slot if generation.slot is not None else 0
        plain = self._info.plain_context
        result = runner.run([Work(slot, step.start, step.tokens, specs, long=0 < plain < generation.room)])[0]
        seconds = time.perf_counter() - began
        self._pace.measured(len(step.tokens), seconds)
        self._metrics.step(len(step.tokens), seconds)
        if isinstance(result, CoderlsError):
            raise result
        if any(math.isnan(sample.logprob) for sample in result):
            raise EngineError("The model computed no number (NaN).", "Try dtype float32, or fetch the model again.")
        return result[0] if result else None

    def _spec(self, candidate: _Candidate) -> SampleSpec:
        remaining = candidate.output.remaining_prefix
        allowed: Sequence[int] | None = None
        if remaining:
            allowed = self._healing.allowed(remaining)
            if not allowed:
                raise RequestRefused(f"No token of this model begins {remaining!r} (required_prefix).")
        return SampleSpec(candidate.sampling, candidate.produced, allowed, candidate.job.request.logprobs or 0)

    def _collect(self, step: Step, sample: Sample | None) -> None:
        generation = step.generation
        candidate = self._candidates[generation]
        self._scheduler.ran(step, sample.token if sample else None)
        if sample is None:
            if step.last and not generation.samples:
                self._finish(generation, Piece(), "length")
            return
        job, request = candidate.job, candidate.job.request
        if not job.produced:
            self._metrics.first_token.observe(time.perf_counter() - job.received)
        candidate.produced += 1
        job.produced += 1
        if sample.token in self._info.stop_ids or sample.token in request.stop_token_ids:
            self._finish(generation, candidate.output.finish(), "stop")
            return
        piece, stopped = candidate.output.add(sample)
        if stopped:
            self._finish(generation, piece, "stop")
        elif candidate.produced >= request.max_tokens:
            rest = candidate.output.finish()
            self._finish(generation, Piece(piece.text + rest.text, piece.samples + rest.samples), "length")
        elif piece.text or piece.samples:
            usage = Usage(len(job.prompt), job.produced, generation.cached or 0)
            job.emit(replace(_chunk(candidate, piece), usage=usage))

    def _finish(self, generation: Generation, piece: Piece, reason: str) -> None:
        candidate = self._candidates.pop(generation)
        job = candidate.job
        self._scheduler.remove(generation)
        if candidate.index == 0:
            job.cached = generation.cached or 0
        job.open -= 1
        usage = None
        if not job.open:
            usage = Usage(len(job.prompt), job.produced, job.cached)
            self._metrics.prompt_tokens.inc(usage.prompt_tokens)
            self._metrics.cached_tokens.inc(usage.cached_tokens)
            self._metrics.completion_tokens.inc(usage.completion_tokens)
            self._end_job(job, "done")
        job.emit(replace(_chunk(candidate, piece), finish_reason=reason, usage=usage))

    def _end_job(self, job: Job, outcome: str) -> None:
        for generation in [key for key, candidate in self._candidates.items() if candidate.job is job]:
            del self._candidates[generation]
            self._scheduler.remove(generation)
        with self._lock:
            self._waiting -= 1
            self._metrics.queue.set(self._waiting)
        self._metrics.outcomes.labels(outcome).inc()
        self._metrics.duration.observe(time.perf_counter() - job.received)

    def _failed(self, step: Step, error: Exception) -> None:
        """A run failed: its job ends with the error, the others go on."""
        job = self._candidates[step.generation].job
        self._scheduler.failed(step)
        self._end_job(job, "failed")
        job.emit(_as_engine_error(error))

    def _leave(self) -> None:
        with self._lock:
            self._stopping = True
        jobs = {id(candidate.job): candidate.job for candidate in self._candidates.values()}
        while not self._inbox.empty():
            job = self._inbox.get()
            if job is not None:
                jobs[id(job)] = job
        for job in jobs.values():
            job.emit(EngineUnreachable("The engine is leaving.", "Ask again: it is started anew."))
        if self._runner is not None:
            self._runner.close()
        self.on_end()


def _chunk(candidate: _Candidate, piece: Piece) -> Chunk:
    wanted = candidate.job.request.logprobs is not None
    return Chunk(
        piece.text,
        candidate.index,
        tuple(sample.token for sample in piece.samples),
        tuple(sample.logprob for sample in piece.samples) if wanted else (),
        top=tuple(sample.top for sample in piece.samples) if wanted else (),
    )


def _ends_the_card(error: Exception) -> bool:
    """After such an error of CUDA every later run of this process fails too: only a new engine helps."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def _as_engine_error(error: Exception) -> CoderlsError:
    if isinstance(error, CoderlsError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return EngineError("There is not enough memory for this request.", "Send a shorter prompt, or free memory.")
    return EngineError(f"The model run failed ({type(error).__name__}).", "The engine's log says more.")
