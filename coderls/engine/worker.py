"""The thread that owns the model: it loads it, then schedules, runs, post-processes and collects, step by step.

Other threads talk to it through `submit`, `Job.cancelled` and `stop` only. Results go out through `Job.emit`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import coderls
from coderls.engine.api import LEAVING, PROTOCOL_VERSION, Health
from coderls.engine.draft_model import DraftModel
from coderls.engine.jobs import Job
from coderls.engine.metrics import Metrics
from coderls.engine.power import Power
from coderls.engine.rounds import Rounds
from coderls.engine.runner import Runner
from coderls.errors import CoderlsError, EngineLeaving, RequestRefused
from coderls.tokenizer import Tokenizer

if TYPE_CHECKING:
    from coderls.engine.blend import Gate

log = logging.getLogger(__name__)

FEATURES = ("required_prefix", "priority", "token_ids", "drafts", "exact", "forced", "least_cached", "beginning")
LONGEST_QUEUE = 256

Report = Callable[[str, str, float], None]  # state, detail, fraction


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to run, its tokenizer and its directory.

    `speculates`: drafted tokens are verified where that pays (see `speculate.py`). `draft_model`: a smaller model of
    the same vocabulary that drafts. `power`: whether a battery is to be spared. `gate`: see `blend.py`.
    """

    runner: Runner
    tokenizer: Tokenizer
    path: Path
    speculates: bool = True
    draft_model: DraftModel | None = None
    power: Power = field(default_factory=lambda: Power("off"))
    gate: Gate | None = None


class Worker:
    """Runs jobs on the model that `load` returns. `load` is called in the worker's thread and reports its progress."""

    def __init__(self, load: Callable[[Report], Loaded], *, model: str, metrics: Metrics) -> None:
        self._load = load
        self._runner: Runner | None = None
        self._draft_model: DraftModel | None = None
        self._metrics = metrics
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._stopping = False
        self._rounds: Rounds | None = None
        self._waiting = 0  # jobs between submit and their end
        self._lock = threading.Lock()  # for _waiting and _stopping
        self._thread = threading.Thread(target=self._main, name="coderls-worker", daemon=True)
        self.on_loaded: Callable[[], None] = lambda: None  # right before `health.state` is "ready"
        self.on_end: Callable[[], None] = lambda: None  # the thread is done: stopped, or `health.state` is "failed"
        self.health = Health(
            PROTOCOL_VERSION, "loading", model, version=coderls.__version__, features=FEATURES, pid=os.getpid()
        )

    def start(self) -> None:
        """Begin to load; `health` says how far it is."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End everything that runs with an error, and give the model's memory back.

        Returns whether the thread has ended; it has not where it is inside of something that takes longer.
        """
        with self._lock:
            self._stopping = True
            if self.health.state != "failed":
                self.health = replace(self.health, state=LEAVING, detail="")
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def _ready(self) -> Rounds:
        if self._rounds is None:
            raise RuntimeError("the model is not loaded yet")
        return self._rounds

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
        return self._ready.token_bytes

    @property
    def vocabulary(self) -> int:
        """How many token ids the model knows, from 0."""
        return self._info.vocab_size

    @property
    def model_folder(self) -> Path:
        """The model's directory."""
        return self._folder

    @property
    def prefill_rate(self) -> float:
        """Prompt tokens per second, the best measured so far; 0 before the model is ready."""
        return round(self._ready.pace.best, 1) if self.health.state == "ready" else 0.0

    @property
    def context_length(self) -> int:
        """Tokens that one request may reach, prompt and output together."""
        return self.health.context_length

    def submit(self, job: Job) -> None:
        """Take a job in. Raises EngineLeaving, and RequestRefused when it can never run or when too many wait (503)."""
        self._check(job)
        with self._lock:  # together with the put: what is taken in here is answered, even while the engine leaves
            if self._stopping:
                raise EngineLeaving("The engine is leaving.", "Ask again: it is started anew.")
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
        if max(sent + job.request.max_tokens, job.request.room) > limit:
            more = max(job.request.max_tokens, job.request.room - sent)
            raise RequestRefused(
                f"The context of this model is {limit} tokens; the prompt has {sent} and {more} more were asked for.",
                "Send a shorter prompt or ask for fewer tokens.",
            )
        vocabulary = self._info.vocab_size
        named = (*job.prompt[job.checked :], *job.request.forced, *job.request.before)
        wrong = next((token for token in named if not 0 <= token < vocabulary), None)
        if wrong is not None:
            raise RequestRefused(f"{wrong} is no token of this model.", f"Its ids go from 0 to {vocabulary - 1}.")

    # Loading

    def _main(self) -> None:
        try:
            loaded = self._load(self._report)
            self._runner, self._draft_model = loaded.runner, loaded.draft_model
            self._prepare(loaded)
            while self._take_new():
                self._ready.step()
        except EngineLeaving:
            log.info("The model is not loaded to its end")
        except CoderlsError as error:
            log.error("The engine cannot go on: %s", error)
            self._report("failed", str(error), 0.0)
        except Exception as error:
            log.exception("The engine cannot go on")
            self._report("failed", f"{type(error).__name__}: {error}", 0.0)
        finally:
            self._leave()

    def _report(self, state: str, detail: str, fraction: float) -> None:
        """Note how far it is. Raises EngineLeaving out of a load that nobody waits for any more."""
        with self._lock:
            if self._stopping and state in ("building", "loading"):
                raise EngineLeaving("The engine is leaving.", "Ask again: it is started anew.")
            if self.health.state != LEAVING or state == "failed":
                fraction = min(1.0, max(0.0, fraction))
                self.health = replace(self.health, state=state, detail=detail, fraction=fraction)

    def _prepare(self, loaded: Loaded) -> None:
        runner, tokenizer = loaded.runner, loaded.tokenizer
        self._tokenizer, self._folder = tokenizer, loaded.path
        info = self._info = runner.info
        rounds = self._rounds = Rounds(
            runner,
            tokenizer,
            self._metrics,
            ended=self._job_ended,
            disturbed=lambda: self._stopping or not self._inbox.empty(),
            speculates=loaded.speculates,
            draft_model=loaded.draft_model,
            power=loaded.power,
            gate=loaded.gate,
        )
        self._report("loading", "measuring the speed", 0.95)
        rounds.measure()
        with self._lock:  # `stop` changes the state meanwhile
            self.health = replace(
                self.health,
                model=info.name,
                model_path=str(loaded.path),
                features=FEATURES if loaded.gate is None else (*FEATURES, "local"),
                device=info.device,
                weights=info.weights,
                kv_cache=info.kv_cache,
                attention=info.attention,
                ways=info.ways,
                notes=info.notes,
                numerics=info.numerics,
                memory=_memory(loaded),
                context_length=min(info.context_length, rounds.scheduler.slots.longest),
            )
        self.on_loaded()
        self._report("ready", "", 1.0)
        log.info("Ready: %s on %s, %d tokens of context", info.name, info.device, self.health.context_length)

    # The loop

    def _take_new(self) -> bool:
        """Take waiting jobs in; block while there is nothing to do. False when the engine leaves."""
        rounds = self._ready
        if not rounds.scheduler.generations and self._inbox.empty():
            rounds.scheduler.check()
        while not rounds.scheduler.generations or not self._inbox.empty():
            job = self._inbox.get()
            if job is not None:
                rounds.admit(job)
            if self._stopping:
                return False
        return not self._stopping

    def _job_ended(self) -> None:
        with self._lock:
            self._waiting -= 1
            self._metrics.queue.set(self._waiting)

    def _leave(self) -> None:
        with self._lock:
            self._stopping = True
        jobs = {id(job): job for job in self._rounds.jobs} if self._rounds is not None else {}
        while not self._inbox.empty():
            job = self._inbox.get()
            if job is not None:
                jobs[id(job)] = job
        for job in jobs.values():
            job.emit(EngineLeaving("The engine is leaving.", "Ask again: it is started anew."))
        with self._lock:
            self._waiting = 0
            self._metrics.queue.set(0)
        for model in (self._draft_model, self._runner):
            try:
                if model is not None:
                    model.close()
            except Exception:  # a card that is lost refuses this too; the end of the process gives all back
                log.exception("The model's memory could not be given back")
        self.on_end()


def _memory(loaded: Loaded) -> Mapping[str, int]:
    """What is taken on the device, with all of the draft model's as one part."""
    drafting = loaded.draft_model.info.memory if loaded.draft_model is not None else {}
    return {**loaded.runner.info.memory, **({"draft model": sum(drafting.values())} if drafting else {})}
