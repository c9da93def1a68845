"""The jobs that run on a loaded model, round by round: what to run, what came of it, and who is told.

One round is one run of the model (`scheduler.Round`): drop what is not wanted any more, ask the scheduler, add drafted
tokens where they pay, run, hand out. Called from the worker's thread only.
"""

from __future__ import annotations

import importlib
import logging
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from coderls.engine.api import NOT_CACHED, Sampling
from coderls.engine.draft_lengths import LONGEST_DRAFT, POINTS, Costs
from coderls.engine.draft_model import DraftModel
from coderls.engine.healing import HealingIndex
from coderls.engine.jobs import Candidate, Job, agreed
from coderls.engine.kv_slots import KvSlots
from coderls.engine.metrics import Metrics
from coderls.engine.output import OutputText, Piece
from coderls.engine.power import Power
from coderls.engine.runner import Result, Runner, Sample, SampleSpec, Work
from coderls.engine.scheduler import FIRST_CHUNK, SHORT, Generation, Pace, Round, Scheduler, Step
from coderls.engine.speculate import MODEL, Draft, Speculation
from coderls.errors import CoderlsError, DeviceLost, EngineError, RequestRefused, RunStopped
from coderls.tokenizer import Tokenizer

if TYPE_CHECKING:
    from coderls.engine.blend import Blender, Gate

log = logging.getLogger(__name__)

CHUNK_SECONDS = {"cpu": 0.050, "cuda": 0.025, "mps": 0.025}
#: Prefills that are measured have so many tokens at most; they take about so many seconds together, and so do steps.
MEASURE_TOKENS = 256
MEASURE_RUNS = 4
MEASURE_SECONDS = 0.8


class Rounds:
    """Jobs, and the model that they run on. `ended` is called at the end of each; `disturbed` says whether there is
    something that a long run should be given up for. `speculates`: drafted tokens are verified where that pays;
    `draft_model` drafts too. `power`: where it says so, nothing is drafted and the runner goes gently. `gate`: blends.
    """

    def __init__(
        self,
        runner: Runner,
        tokenizer: Tokenizer,
        metrics: Metrics,
        *,
        ended: Callable[[], None],
        disturbed: Callable[[], bool],
        speculates: bool = True,
        draft_model: DraftModel | None = None,
        power: Power | None = None,
        gate: Gate | None = None,
    ) -> None:
        info = runner.info
        self._power = power or Power("off")
        self._gate = gate
        self._saves = False
        self._runner = runner
        self._info = info
        self._tokenizer = tokenizer
        self._metrics = metrics
        self._ended = ended
        self._disturbed = disturbed
        self._speculates = speculates
        self._speculation = Speculation()
        self._draft_model = draft_model if speculates else None
        self.pace = Pace(CHUNK_SECONDS[info.device.partition(":")[0]])
        self.scheduler = Scheduler(KvSlots(runner.slot_lengths), self.pace)
        self._candidates: dict[Generation, Candidate] = {}
        # Control tokens have no bytes, and ids beyond the tokenizer (padding of the table) are never text.
        padding = max(0, info.vocab_size - len(tokenizer.token_bytes))
        self.token_bytes: Sequence[bytes] = [*tokenizer.token_bytes, *([b""] * padding)]
        self._healing = HealingIndex(tokenizer.token_bytes[: info.vocab_size])

    @property
    def jobs(self) -> list[Job]:
        """Those that were taken in and have not ended."""
        return list({id(candidate.job): candidate.job for candidate in self._candidates.values()}.values())

    def measure(self) -> None:
        """Time a few prefills and steps: about a second of each on a slow machine. Nothing of it stays in the books.

        Raises what a prefill fails by: an engine whose memory has no room for one is of no use.
        """
        until = time.perf_counter() + MEASURE_SECONDS
        longest = min(MEASURE_TOKENS, self._runner.slot_lengths[0])
        tokens = [number % self._info.vocab_size for number in range(longest)]
        few = min(FIRST_CHUNK, longest)
        seconds = self._prefill(tokens[:few])
        size = max(few, min(longest, int(few * MEASURE_SECONDS / MEASURE_RUNS / seconds)))
        if time.perf_counter() > until:
            self.pace.measured(few, seconds)
        else:
            self._prefill(tokens[:size])  # the first of a size warms up
            for _ in range(1, MEASURE_RUNS):
                self.pace.measured(size, self._prefill(tokens[:size]))
                if time.perf_counter() > until:
                    break
        self._metrics.prefill_rate.set(self.pace.rate)
        if self._speculates:
            self._speculation.costs = Costs(self._costs(tokens))
        if self._draft_model is not None:
            self._draft_model.measure()

    def _prefill(self, tokens: Sequence[int]) -> float:
        """Seconds that it takes to read these tokens. Raises what the run fails by."""
        began = time.perf_counter()
        (result,) = self._runner.run([Work(0, 0, tokens)])
        if isinstance(result, CoderlsError):
            raise result
        return max(time.perf_counter() - began, 1e-6)

    def _costs(self, tokens: Sequence[int]) -> dict[int, float]:
        """Seconds of a run over 1, 2, 4, ... sampled tokens after these; fewer of them on a slow machine."""
        costs: dict[int, float] = {}
        until = time.perf_counter() + MEASURE_SECONDS
        for count in POINTS:
            start = min(len(tokens), self._runner.slot_lengths[0] - count)
            if count > LONGEST_DRAFT + 1 or start < 0 or time.perf_counter() > until:
                break
            work = Work(0, start, tokens[:count], [SampleSpec(Sampling())] * count)
            times = []
            for _ in range(4):
                began = time.perf_counter()
                self._runner.run([work])
                times.append(time.perf_counter() - began)
                if len(times) > 1 and time.perf_counter() > until:
                    break
            costs[count] = statistics.median(times[1:])  # the first warms up
        return costs

    def admit(self, job: Job) -> None:
        """Take a job in, which was checked before."""
        request = job.request
        seed = request.sampling.seed
        first_seed = random.getrandbits(48) if seed is None else seed
        job.open = request.n
        room = max(len(job.prompt) + request.max_tokens, request.room)
        long = 0 < self._info.plain_context < room
        if request.least_cached and self.scheduler.slots.cached(job.prompt, long=long) < request.least_cached:
            self._fail(job, RequestRefused("Less of the prompt is in the cache than was asked for.", "", NOT_CACHED))
            return
        expected: list[list[int]] = []
        if self._speculates and request.max_tokens > 1:
            expected = [self._tokenizer.encode(request.required_prefix + text) for text in request.drafts]
        drafts = self._speculates and request.max_tokens > 0 and not request.exact and not request.forced
        ends = {i for i in (*self._info.stop_ids, *request.stop_token_ids) if i < self._info.vocab_size}
        for index in range(request.n):
            generation = Generation(
                *(list(job.prompt), room, request.priority),
                samples=request.max_tokens > 0,
                client=job.client,
                long=long,
                exact=len(job.prompt) if request.exact else 0,
                spares=bool(request.forced),
            )
            self._candidates[generation] = Candidate(
                job,
                index,
                OutputText(self.token_bytes, request.stop, request.required_prefix),
                replace(request.sampling, seed=first_seed + index),
                self._speculation.drafter(job.prompt, expected) if drafts else None,
                self._blender(job),
                tuple(ends),
            )
            self.scheduler.add(generation)

    def _blender(self, job: Job) -> Blender | None:
        request = job.request
        if self._gate is None or request.local is None or not request.max_tokens:
            return None
        more = max(request.max_tokens, len(request.forced))
        blend = importlib.import_module("coderls.engine.blend")  # needs numpy, which is there where a gate is
        prompt = [token if self.token_bytes[token] else blend.GAP for token in job.prompt]
        before = request.before or prompt
        made: Blender = blend.Blender(self._gate, prompt, before, more, job.local, token_bytes=self.token_bytes)
        return made

    def step(self) -> None:
        """Run one round. Raises only what ends the card."""
        self._drop_cancelled()
        # The number of threads may change the last bits: what is to be the same each time runs on all of them.
        exact = any(generation.exact for generation in self.scheduler.generations)
        if self._saves != (self._power.saves() and not exact):
            self._saves = not self._saves
            log.info("On battery: going gently" if self._saves else "Not on battery any more")
            self._runner.go_gently(self._saves)
        run = self.scheduler.next()
        if run is None:
            return
        works = self._works(run)
        try:
            began = time.perf_counter()
            for grant in run.grants:
                if grant.copy_from is not None:
                    self._runner.copy(grant.copy_from, grant.slot, grant.cached)
            results = self._runner.run([work for _, work, _ in works], self._should_stop(run)) if works else []
            seconds = time.perf_counter() - began
        except RunStopped:
            self.scheduler.stopped(run)
        except Exception as error:
            log.exception("A run of the model failed")
            self._run_failed(run, error)
            if _ends_the_card(error):
                raise
        else:
            self._measured([work for _, work, _ in works], seconds)
            total = sum(len(work.tokens) for _, work, _ in works)
            for (step, work, draft), result in zip(works, results, strict=True):
                self._collect(step, draft, result, seconds * len(work.tokens) / total)

    def _drop_cancelled(self) -> None:
        for generation, candidate in list(self._candidates.items()):
            if candidate.job.cancelled and generation in self._candidates:
                self._end_job(candidate.job, "cancelled")

    def _works(self, run: Round) -> list[tuple[Step, Work, tuple[int, ...]]]:
        """What the runner is to do for each step, with the drafted tokens that are verified along with it."""
        sampling = [step for step in run.steps if step.last and step.generation.samples]
        tokens = sum(len(step.tokens) for step in run.steps)
        most = 0 if self._saves else LONGEST_DRAFT
        drafts = [self._candidates[step.generation].propose(most) for step in sampling]
        plain = not self._saves and not any(step.generation.exact or step.generation.spares for step in sampling)
        if self._draft_model is not None and sampling and plain and tokens <= SHORT * len(sampling):
            drafts = self._by_model(self._draft_model, sampling, tokens, drafts)
        chosen = self._speculation.chosen(tokens, drafts)
        by_step = dict(zip(map(id, sampling), chosen, strict=True))
        works: list[tuple[Step, Work, tuple[int, ...]]] = []
        for step in run.steps:
            generation = step.generation
            candidate = self._candidates.get(generation)
            if candidate is None or generation.slot is None:
                continue  # another candidate of its job could not go on
            draft: tuple[int, ...] = ()
            specs: tuple[SampleSpec, ...] = ()
            if id(step) in by_step:
                try:
                    draft, specs = candidate.specs(candidate.forced() or by_step[id(step)], self._healing)
                except RequestRefused as error:
                    self._fail(candidate.job, error)
                    continue
            work = Work(generation.slot, step.start, (*step.tokens, *draft), specs, long=generation.long)
            works.append((step, work, draft))
        return works

    def _by_model(self, model: DraftModel, steps: Sequence[Step], tokens: int, drafts: list[Draft]) -> list[Draft]:
        """What the draft model says, where that promises more than the drafts that are there."""
        most = self._speculation.model_steps(tokens, drafts, model.seconds)
        if not most:
            return drafts
        try:
            proposed = model.propose([step.generation.tokens for step in steps], most)
        except Exception:
            log.exception("The draft model failed; it is not asked any more")
            self._draft_model = None
            return drafts
        found: list[Draft] = []
        for step, draft, said in zip(steps, drafts, proposed, strict=True):
            candidate = self._candidates[step.generation]
            by_model = Draft(said[: candidate.most()], MODEL)
            candidate.watch(by_model)
            found.append(max(draft, by_model, key=self._speculation.promise))
        return found

    def _should_stop(self, run: Round) -> Callable[[], bool] | None:
        """When a long chunk is to be given up: nobody wants it any more, or somebody came behind it.

        One of the usual length is read to its end, whoever has left: what is read is kept, and somebody who types
        needs it at the next key. On a machine so busy that each key comes before its end nothing would ever be whole.
        """
        if not run.lone and not any(step.generation.exact for step in run.steps):
            return None
        jobs = {self._candidates[step.generation].job for step in run.steps if step.generation in self._candidates}
        return lambda: all(job.cancelled for job in jobs) or (run.lone and self._disturbed())

    def _measured(self, works: Sequence[Work], seconds: float) -> None:
        total = sum(len(work.tokens) for work in works)
        prefill = any(len(work.tokens) - len(work.samples) >= SHORT for work in works)
        if prefill:
            self.pace.measured(total, seconds)
        elif works:
            self._speculation.costs.note(total, seconds)
        kind = "prefill" if prefill else "verify" if any(len(work.samples) > 1 for work in works) else "decode"
        if works:
            self._metrics.step(kind, len(works), seconds, total)

    def _collect(self, step: Step, draft: tuple[int, ...], result: Result, seconds: float) -> None:
        generation = step.generation
        candidate = self._candidates.get(generation)
        if candidate is None:
            return  # its job has ended with another candidate
        error = _fault(result)
        if error is not None or isinstance(result, CoderlsError):
            self.scheduler.spoil(generation)
            self._fail(candidate.job, error or EngineError("The model run failed."))
            return
        samples = agreed(draft, result) if result else ()
        self.scheduler.ran(step, [sample.token for sample in samples], seconds)
        if samples:
            self._take(generation, candidate, len(draft), samples)
        elif step.last and not generation.samples:
            self._finish(generation, Piece(), "length")

    def _take(self, generation: Generation, candidate: Candidate, drafted: int, samples: Sequence[Sample]) -> None:
        job = candidate.job
        if not job.produced:
            self._metrics.first_token.observe(time.perf_counter() - job.received)
        before = candidate.produced
        piece, reason = candidate.take(samples)
        job.drafted += drafted
        job.accepted += min(len(samples) - 1, candidate.produced - before)
        came = [sample.token for sample in samples[: candidate.produced - before]]
        if candidate.drafter is not None:
            candidate.drafter.came(came)
        if candidate.blender is not None:
            candidate.blender.came(came)
        if candidate.index == 0:
            job.cached = generation.cached or 0
        if reason is not None:
            self._finish(generation, piece, reason)
        elif piece.text or piece.samples:
            job.emit(candidate.chunk(piece, usage=replace(job.usage(), cached_tokens=generation.cached or 0)))

    def _finish(self, generation: Generation, piece: Piece, reason: str) -> None:
        candidate = self._candidates[generation]
        job = candidate.job
        self._drop(generation)
        if candidate.index == 0:
            job.cached = generation.cached or 0
        job.open -= 1
        usage = None
        if not job.open:
            usage = job.usage()
            self._end_job(job, "done")
        job.emit(candidate.chunk(piece, reason, usage))

    def _drop(self, generation: Generation) -> None:
        candidate = self._candidates.pop(generation)
        self.scheduler.remove(generation)
        if candidate.drafter is not None:
            candidate.drafter.end()

    def _end_job(self, job: Job, outcome: str) -> None:
        for generation in [key for key, candidate in self._candidates.items() if candidate.job is job]:
            self._drop(generation)
        self._ended()
        if job.produced or outcome == "done":  # clients close a stream that has said enough: that is no less work
            self._metrics.prompt_tokens.inc(len(job.prompt))
            self._metrics.cached_tokens.inc(job.cached)
            self._metrics.completion_tokens.inc(job.produced)
        self._metrics.outcomes.labels(outcome).inc()
        self._metrics.drafted_tokens.inc(job.drafted)
        self._metrics.accepted_tokens.inc(job.accepted)
        self._metrics.duration.observe(time.perf_counter() - job.received)

    def _run_failed(self, run: Round, error: Exception) -> None:
        """A run of one job ends that with the error. Where it was several, each has another try by itself."""
        jobs = {self._candidates[step.generation].job for step in run.steps if step.generation in self._candidates}
        self.scheduler.failed(run)
        if len(run.steps) == 1:
            for job in jobs:
                self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        self._end_job(job, "failed")
        job.emit(_as_engine_error(error))


def _fault(result: Result) -> CoderlsError | None:
    """Why a result cannot be used."""
    if isinstance(result, CoderlsError):
        return result
    if any(math.isnan(sample.logprob) for sample in result):
        return EngineError("The model computed no number (NaN).", "Try dtype float32, or fetch the model again.")
    return None


def _ends_the_card(error: Exception) -> bool:
    """After such an error of CUDA every later run of this process fails too: only a new engine helps."""
    return isinstance(error, DeviceLost) or type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def _as_engine_error(error: Exception) -> CoderlsError:
    if isinstance(error, CoderlsError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return EngineError("There is not enough memory for this request.", "Send a shorter prompt, or free memory.")
    return EngineError(f"The model run failed ({type(error).__name__}).", "The engine's log says more.")
