"""Who runs next, and how much of it: pure bookkeeping, no tensors and no threads.

Lower priority numbers go first, and nothing less urgent runs beside them; but a repair, which somebody waits for, has a
small part of the time even while others type without a pause. Within one priority the engine's time is shared out by
clients, not by requests: who has had the least goes first, and so it is with KV slots: who holds fewer gets one of who
holds more. Generations that only lack a few tokens (a
step of each, or a short rest of a prompt) run together; a longer prompt runs by itself, in chunks that take about a
given time, so that a cancelled or more urgent request never waits long. A chunk and a common step take turns.

Nothing is lost: who has to give up a KV slot goes on later from what is still in the slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from coderls.engine.api import Priority
from coderls.engine.kv_slots import Grant, KvSlots, common_prefix

FIRST_CHUNK = 64  # tokens, before anything was measured
SMALLEST_CHUNK = 16
LARGEST_CHUNK = 4096
#: A prompt that nobody waits behind runs in chunks of so many times the usual length: the run itself can be stopped.
LONE_CHUNKS = 8
#: Somebody who types stops one long chunk after the other, and what it had read is lost each time. So many prompts
#: after a stopped one run in chunks of the usual length, of which each is kept.
HURRIED_PROMPTS = 16
#: Pieces of a prompt that is run in the same way each time.
EXACT_CHUNK = 256
#: A generation that lacks no more tokens than this runs together with others.
SHORT = 8
#: So many generations run together at most, and hold slots at once.
MOST_TOGETHER = 8
#: The shortest rest of a prompt goes first, but every so often the prompt that came first.
OLDEST_EVERY = 4
#: How many of those that wait are looked at before each run.
MOST_LOOKED_AT = 32
#: The part of the time that a repair has while more urgent requests never end. It is saved up to a chunk's worth.
REPAIR_SHARE = 0.1
#: Who left is remembered for fairness, up to so many.
MOST_CLIENTS = 256
#: Waiting for another one's prompt is worth it from so many common tokens on.
WORTH_WAITING = 32


@dataclass(slots=True, eq=False)
class Generation:
    """One candidate on its way. `tokens`: its prompt and then its output, of which `computed` have their KV in `slot`.

    `room`: tokens that it can grow to. `cached`: prompt tokens that were there when it first started (None before).
    `samples`: whether a token is to be chosen after the prompt (not for a mere prefill). `client`: who asked.
    `long`: see `Work.long`. `alone`: a run of several failed with it in, so that it runs by itself from then on.
    `interrupted`: a long chunk of it was stopped, so that its chunks have the usual length from then on.
    `exact`: the length of its prompt, if it is to be run in the same pieces each time, anew and by itself; else 0.
    `spares`: see `KvSlots.acquire`: nobody waits for it, and somebody may go on from what is in the slots.
    """

    tokens: list[int]
    room: int
    priority: Priority = Priority.INTERACTIVE
    samples: bool = True
    client: str = ""
    long: bool = False
    slot: int | None = None
    computed: int = 0
    cached: int | None = None
    alone: bool = False
    interrupted: bool = False
    exact: int = 0
    spares: bool = False
    last_run: int = 0

    @property
    def lacking(self) -> int:
        """Tokens whose KV has still to be computed; the last of them is never cached."""
        return len(self.tokens) - self.computed

    def piece(self, size: int) -> int:
        """How many tokens to run where `size` would do. One after another what one by one was chosen."""
        if not self.exact:
            return size
        return min(EXACT_CHUNK, self.exact - self.computed) if self.computed < self.exact else 1


@dataclass(frozen=True, slots=True)
class Step:
    """Run `tokens` of `generation` from position `start` on.

    `last`: these are all that are known, so a token can be chosen after them.
    """

    generation: Generation
    start: int
    tokens: tuple[int, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the model: first the copies that these `grants` ask for, in order, then all steps at once.

    `lone`: a long chunk that has to be stopped when somebody else comes.
    """

    steps: tuple[Step, ...]
    grants: tuple[Grant, ...] = ()
    lone: bool = False


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

    def chunk(self, remaining: int, times: int = 1) -> int:
        """Tokens of the next chunk, of `times` the usual length: equal parts, so that no tiny one is left over."""
        fits = int(self.rate * self.seconds * times) if self.rate else FIRST_CHUNK
        fits = max(SMALLEST_CHUNK, min(LARGEST_CHUNK, fits))
        parts = -(-remaining // fits)
        return -(-remaining // parts)


@dataclass(slots=True)
class Scheduler:
    """Generations that wait or run, in order of arrival."""

    slots: KvSlots
    pace: Pace
    generations: list[Generation] = field(default_factory=list)
    _served: dict[str, float] = field(default_factory=dict)  # seconds that each client has had
    _rounds: int = 0
    _chunks: int = 0
    _chunk_was_last: bool = False
    _hurried: int = 0  # prompts that still run in chunks of the usual length
    _owed: float = 0.0  # seconds to repairs that wait while others run
    _paying: bool = False

    def add(self, generation: Generation) -> None:
        """Queue one. Raises ValueError when no slot can ever hold it: the caller has refused it before."""
        if not generation.tokens or generation.room > self.slots.longest:
            raise ValueError(f"no slot has room for {generation.room} tokens")
        present = {other.client for other in self.generations}
        if generation.client not in present:
            # Who comes (back) has no claim to the time that others had while it was away.
            least = min((self._served.get(client, 0.0) for client in present), default=0.0)
            had = max(self._served.get(generation.client, 0.0), least)
            if len(self._served) > MOST_CLIENTS:
                self._served = {client: self._served[client] for client in present}
            self._served[generation.client] = had
        self.generations.append(generation)
        self._hurried = max(0, self._hurried - 1)

    def remove(self, generation: Generation) -> None:
        """It is finished, cancelled or failed: its slot is free (and keeps its tokens for the next)."""
        self.generations.remove(generation)
        self._give_back(generation)
        if not self.generations:
            self._served.clear()

    def next(self) -> Round | None:
        """The next round, or None when there is nothing to do."""
        if not self.generations:
            return None
        grants, holders = self._holders_of(self._turn_of_class())
        ready = [generation for generation in holders if generation.lacking <= SHORT]
        filling = [generation for generation in holders if generation.lacking > SHORT]
        self._rounds += 1
        chunk = self._turn_of_chunk(ready, filling)
        self._chunk_was_last = chunk is not None
        if chunk is not None:
            return self._chunk_of(chunk, grants)
        return Round(tuple(_step(generation, generation.lacking) for generation in self._together(ready)), grants)

    def ran(self, step: Step, chosen: Sequence[int], seconds: float = 0.0) -> None:
        """The step was run in `seconds` (its part of the round), and `chosen` are the tokens after it, if any.

        All of them but the last were drafted and verified, so their KV is in the slot too.
        """
        generation = step.generation
        if generation.slot is None:
            raise RuntimeError("a generation without a slot was run")
        written = [*step.tokens, *chosen[:-1]]
        self.slots.extend(generation.slot, written)
        generation.computed += len(written)
        generation.tokens.extend(chosen)
        generation.last_run = self._rounds
        self._settle(generation.priority, seconds)
        self._served[generation.client] = self._served.get(generation.client, 0.0) + seconds

    def failed(self, run: Round) -> None:
        """The round was not run to its end: what its slots hold cannot be trusted. Its generations start again."""
        broken = {step.generation.slot for step in run.steps} | {grant.slot for grant in run.grants}
        for slot in broken - {None}:
            self.slots.forget(slot)  # type: ignore[arg-type]
        for generation in self.generations:
            if generation.slot in broken:
                self._give_back(generation)
        for step in run.steps:
            step.generation.alone = True

    def spoil(self, generation: Generation) -> None:
        """Its part of a round failed, and the others did not: what its slot holds cannot be trusted."""
        if generation.slot is not None:
            self.slots.forget(generation.slot)

    def stopped(self, run: Round) -> None:
        """The round was stopped before its end, and has changed nothing: what was there before is in the slots."""
        for step in run.steps:
            step.generation.interrupted = True
            if step.generation.priority is Priority.INTERACTIVE:  # what is done ahead is stopped by each key
                self._hurried = HURRIED_PROMPTS

    # Classes

    def _turn_of_class(self) -> Priority:
        """Whose turn it is: that of the most urgent, or of repairs that have waited for so much of others' time."""
        present = {generation.priority for generation in self.generations}
        urgent = min(present)
        if urgent is not Priority.INTERACTIVE or Priority.REPAIR not in present:
            self._owed, self._paying = 0.0, False
            return urgent
        if self._owed <= 0.0 or self._owed >= self.pace.seconds:
            self._paying = self._owed > 0.0
        return Priority.REPAIR if self._paying else urgent

    def _settle(self, priority: Priority, seconds: float) -> None:
        """Take `seconds` of a class into what repairs are owed."""
        change = -seconds if priority is Priority.REPAIR else REPAIR_SHARE * seconds
        self._owed = min(self._owed + change, self.pace.seconds)

    def _holders_of(self, priority: Priority) -> tuple[tuple[Grant, ...], list[Generation]]:
        """Those of a class that hold slots, and what they were granted just now. Where none can: the most urgent."""
        members = [generation for generation in self.generations if generation.priority == priority]
        grants = self._admit(members)
        holders = [generation for generation in members if generation.slot is not None]
        if holders or not self._paying:
            return grants, holders
        self._owed, self._paying = 0.0, False
        return self._holders_of(min(generation.priority for generation in self.generations))

    # Slots

    def _admit(self, members: list[Generation]) -> tuple[Grant, ...]:
        """Give slots to those that wait, fairly among clients, while there are any."""
        grants: list[Grant] = []
        while (grant := self._admit_one(members)) is not None:
            grants.append(grant)
        return tuple(grants)

    def _admit_one(self, members: list[Generation]) -> Grant | None:
        holders = [generation for generation in self.generations if generation.slot is not None]
        holding = Counter(generation.client for generation in holders if generation.priority == members[0].priority)
        waiting = [generation for generation in members if generation.slot is None]
        # The order of arrival stays among equals.
        waiting.sort(key=lambda generation: (holding[generation.client], self._served[generation.client]))
        for one in waiting[:MOST_LOOKED_AT]:
            crowded = holding.total() >= MOST_TOGETHER
            victim = None
            if crowded or not self.slots.has_free(one.room):
                victim = self._victim(one, holders, holding, crowded)
                if victim is None:
                    continue
            if _shares_soon(one, holders):
                continue
            if victim is not None:
                self._give_back(victim)
            grant = self.slots.acquire(one.tokens, one.room, long=one.long, fresh=one.exact > 0, spares=one.spares)
            if grant is not None:
                one.slot, one.computed = grant.slot, grant.cached
                one.cached = grant.cached if one.cached is None else one.cached
                return grant
        return None

    def _victim(
        self, one: Generation, holders: list[Generation], holding: Counter[str], crowded: bool
    ) -> Generation | None:
        """Who gives way, when everything with enough room is taken: the least urgent, of these the latest.

        Among equals it is one of the client that holds the most slots, if that is at least two more than who asks
        holds: both have the same number at last. And so it is too when as many run as may run together (`crowded`).
        """
        fitting = [(at, other) for at, other in enumerate(holders) if self._length_of(other) >= one.room]
        below = [(other.priority, at, other) for at, other in fitting if other.priority > one.priority]
        if below and not crowded:
            return max(below, key=lambda entry: entry[:2])[2]
        rich = [
            (holding[other.client], at, other)
            for at, other in fitting
            if other.priority == one.priority and holding[other.client] > holding[one.client] + 1
        ]
        return max(rich, key=lambda entry: entry[:2])[2] if rich else None

    def _length_of(self, holder: Generation) -> int:
        return 0 if holder.slot is None else self.slots.length(holder.slot)

    def _give_back(self, generation: Generation) -> None:
        if generation.slot is not None:
            self.slots.release(generation.slot)
            generation.slot, generation.computed = None, 0

    # Turns

    def _turn_of_chunk(self, ready: list[Generation], filling: list[Generation]) -> Generation | None:
        """Whose chunk of a prompt runs now; None when it is the turn of those that are ready."""
        if not filling:
            return None
        client = min([*filling, *ready], key=lambda generation: self._served[generation.client]).client
        chunks = [generation for generation in filling if generation.client == client]
        if not chunks or (self._chunk_was_last and any(generation.client == client for generation in ready)):
            return None
        if self._chunks % OLDEST_EVERY == OLDEST_EVERY - 1:
            return chunks[0]
        return min(chunks, key=lambda generation: generation.lacking)

    def _chunk_of(self, generation: Generation, grants: tuple[Grant, ...]) -> Round:
        self._chunks += 1
        undisturbed = not (self._hurried or generation.interrupted)
        lone = len(self.generations) == 1 and undisturbed and not generation.exact
        usual = self.pace.chunk(generation.lacking)
        size = self.pace.chunk(generation.lacking, LONE_CHUNKS) if lone else usual
        return Round((_step(generation, size),), grants, lone=size > usual)

    def _together(self, ready: list[Generation]) -> list[Generation]:
        ready.sort(key=lambda generation: (self._served[generation.client], generation.last_run))
        if ready[0].alone or ready[0].exact:
            return ready[:1]
        return [generation for generation in ready if not (generation.alone or generation.exact)][:MOST_TOGETHER]

    def check(self) -> None:
        """Raise RuntimeError when the books of generations and slots do not agree."""
        self.slots.check()
        held = [generation.slot for generation in self.generations if generation.slot is not None]
        if len(held) != len(set(held)):
            raise RuntimeError("two generations hold the same KV slot")
        if set(held) != self.slots.in_use:
            raise RuntimeError(f"KV slots {sorted(self.slots.in_use)} are in use, but {sorted(held)} are held")
        for generation in self.generations:
            if generation.slot is None:
                continue
            if not self.slots.holds(generation.slot, generation.tokens[: generation.computed], long=generation.long):
                raise RuntimeError(f"KV slot {generation.slot} does not hold what its generation computed")


def _step(generation: Generation, size: int) -> Step:
    size = generation.piece(size)
    piece = tuple(generation.tokens[generation.computed : generation.computed + size])
    return Step(generation, generation.computed, piece, size == generation.lacking)


def _shares_soon(one: Generation, holders: list[Generation]) -> bool:
    """Whether somebody is computing what `one` would have to compute too: candidates of one prompt, most of all."""
    if one.exact:
        return False
    for other in holders:
        if other.priority != one.priority or other.lacking <= SHORT or other.long != one.long:
            continue
        if common_prefix(other.tokens, one.tokens[:-1]) - other.computed >= WORTH_WAITING:
            return True
    return False
