"""Who runs next, and how much of it: pure bookkeeping, no tensors and no threads.

Lower priority numbers go first, first come first served among equals. One generation runs at a time; one that is
more urgent takes over at the next step and, if it must, takes its slot. Nothing is lost: what was interrupted goes on
later from what is still in the slots. Prefill runs in chunks that take about a given time, so that a cancelled or more
urgent request never waits long.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coderls.engine.api import Priority
from coderls.engine.kv_slots import Grant, KvSlots

FIRST_CHUNK = 64  # tokens, before anything was measured
SMALLEST_CHUNK = 16
LARGEST_CHUNK = 4096


@dataclass(slots=True, eq=False)
class Generation:
    """One candidate on its way. `tokens`: its prompt and then its output, of which `computed` have their KV in `slot`.

    `room`: tokens that it can grow to. `cached`: prompt tokens that were there when it first started (None before).
    `samples`: whether a token is to be chosen after the prompt (not for a mere prefill).
    """

    tokens: list[int]
    room: int
    priority: Priority = Priority.INTERACTIVE
    samples: bool = True
    slot: int | None = None
    computed: int = 0
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Run `tokens` of `generation` from position `start` on, after the copy that `grant` asks for, if it is new.

    `last`: these are all that are known, so a token can be chosen after them.
    """

    generation: Generation
    start: int
    tokens: tuple[int, ...]
    last: bool
    grant: Grant | None = None


@dataclass(slots=True)
class Pace:
    """How many prompt tokens fit in `seconds`, from the speed measured so far (tokens per second).

    `rate` follows what is measured, so that chunks stay short on a machine that is busy just now. `best` is what the
    machine does when it is left alone: budgets follow it, for a prompt that shrank and grew with the load of the
    moment would never be found in the cache.
    """

    seconds: float
    rate: float = 0.0
    best: float = 0.0

    def measured(self, tokens: int, seconds: float) -> None:
        """Take in one measured prefill; tiny ones say nothing about speed."""
        if tokens >= SMALLEST_CHUNK and seconds > 0:
            now = tokens / seconds
            self.rate = now if not self.rate else 0.7 * self.rate + 0.3 * now
            self.best = max(self.best, now)

    def chunk(self, remaining: int) -> int:
        """Tokens of the next chunk: equal parts, so that no tiny one is left over."""
        fits = int(self.rate * self.seconds) if self.rate else FIRST_CHUNK
        fits = max(SMALLEST_CHUNK, min(LARGEST_CHUNK, fits))
        parts = -(-remaining // fits)
        return -(-remaining // parts)


@dataclass(slots=True)
class Scheduler:
    """Generations that wait or run, in order of arrival."""

    slots: KvSlots
    pace: Pace
    generations: list[Generation] = field(default_factory=list)

    def add(self, generation: Generation) -> None:
        """Queue one. Raises ValueError when no slot can ever hold it: the caller has refused it before."""
        if not generation.tokens or generation.room > self.slots.longest:
            raise ValueError(f"no slot has room for {generation.room} tokens")
        self.generations.append(generation)

    def remove(self, generation: Generation) -> None:
        """It is finished, cancelled or failed: its slot is free (and keeps its tokens for the next)."""
        self.generations.remove(generation)
        self._give_back(generation)

    def next(self) -> Step | None:
        """The next step, or None when there is nothing to do."""
        if not self.generations:
            return None
        head = min(self.generations, key=lambda generation: generation.priority)  # min keeps the order of arrival
        grant = None
        if head.slot is None:
            grant = self._grant(head)
            head.slot, head.computed = grant.slot, grant.cached
            if head.cached is None:
                head.cached = grant.cached
        remaining = len(head.tokens) - head.computed
        size = self.pace.chunk(remaining)
        piece = tuple(head.tokens[head.computed : head.computed + size])
        return Step(head, head.computed, piece, size == remaining, grant)

    def ran(self, step: Step, token: int | None) -> None:
        """The step was run, and `token` was chosen (None: none was asked for)."""
        generation = step.generation
        if generation.slot is None:
            raise RuntimeError("a generation without a slot was run")
        self.slots.extend(generation.slot, step.tokens)
        generation.computed += len(step.tokens)
        if token is not None:
            generation.tokens.append(token)

    def failed(self, step: Step) -> None:
        """The step was not run to its end: what its slot holds cannot be trusted."""
        if step.generation.slot is not None:
            self.slots.forget(step.generation.slot)

    def _grant(self, head: Generation) -> Grant:
        while True:
            grant = self.slots.acquire(head.tokens, head.room)
            if grant is not None:
                return grant
            # Everything with enough room is taken, by generations that are less urgent: the latest gives way.
            holders = [other for other in self.generations if other.slot is not None]
            self._give_back(max(holders, key=lambda other: (other.priority, self.generations.index(other))))

    def _give_back(self, generation: Generation) -> None:
        if generation.slot is not None:
            self.slots.release(generation.slot)
            generation.slot, generation.computed = None, 0

    def check(self) -> None:
        """Raise RuntimeError when the books of generations and slots do not agree."""
        self.slots.check()
        held = [generation.slot for generation in self.generations if generation.slot is not None]
        if len(held) != len(set(held)):
            raise RuntimeError("two generations hold the same KV slot")
        for generation in self.generations:
            if generation.slot is not None:
                tokens = self.slots.tokens(generation.slot)
                if list(tokens) != generation.tokens[: generation.computed]:
                    raise RuntimeError(f"KV slot {generation.slot} does not hold what its generation computed")
