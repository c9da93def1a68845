"""A request in the engine, and each of its candidates: what has been chosen, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coderls.engine.api import Chunk, GenerationRequest, Sampling, Usage
from coderls.engine.healing import HealingIndex
from coderls.engine.output import OutputText, Piece
from coderls.engine.runner import Sample, SampleSpec
from coderls.engine.speculate import Draft, TextDrafter
from coderls.errors import CoderlsError, RequestRefused

if TYPE_CHECKING:
    from coderls.engine.blend import Blender, LocalText

#: Forced tokens that are scored in one run: each needs a row of logits over the vocabulary.
_MOST_FORCED = 64


@dataclass(slots=True, eq=False)
class Job:
    """One request in the engine. `prompt` in token ids. `emit` is called from the worker's thread with each Chunk,
    or once with the error that ended the job. Set `cancelled` to stop it before the next step; nothing is emitted then.

    `client`: whom it counts against when several share the engine. `checked`: so many of the first tokens are known to
    be tokens of the model. `local`: the text that the request names in `local`.
    """

    request: GenerationRequest
    prompt: tuple[int, ...]
    emit: Callable[[Chunk | CoderlsError], None]
    client: str = ""
    checked: int = 0
    local: LocalText | None = None
    cancelled: bool = False
    received: float = field(default_factory=time.perf_counter)
    open: int = 0  # candidates that are not finished
    cached: int = 0
    produced: int = 0
    drafted: int = 0
    accepted: int = 0

    def usage(self) -> Usage:
        """The counts so far."""
        return Usage(len(self.prompt), self.produced, self.cached, self.drafted, self.accepted)


@dataclass(slots=True, eq=False)
class Candidate:
    """One output of a job. `ends`: tokens that end it, of which only the model knows."""

    job: Job
    index: int
    output: OutputText
    sampling: Sampling
    drafter: TextDrafter | None = None
    blender: Blender | None = None
    ends: tuple[int, ...] = ()
    produced: int = 0

    def propose(self, most: int) -> Draft:
        """What may come next: nothing where this is not wanted, or where `max_tokens` leaves no room for it."""
        if self.drafter is None:
            return Draft()
        return self.drafter.propose(min(most, self.most()))

    def most(self) -> int:
        """How many tokens may be drafted at most: one more is always chosen after them."""
        return max(0, self.job.request.max_tokens - self.produced - 1)

    def watch(self, draft: Draft) -> None:
        """Note whether a draft of another source comes true."""
        if self.drafter is not None:
            self.drafter.watch(draft)

    def forced(self) -> tuple[int, ...]:
        """What the client forces the next tokens to be, all but the last of them: that one is chosen after these."""
        return self.job.request.forced[self.produced : self.produced + _MOST_FORCED][:-1]

    def specs(self, draft: Sequence[int], healing: HealingIndex) -> tuple[tuple[int, ...], tuple[SampleSpec, ...]]:
        """How to choose the next token and one after each drafted token. The draft is cut where healing forbids it.

        Raises RequestRefused when no token of the model fits what has still to come of the required prefix.
        """
        remaining = self.output.remaining_prefix
        kept: list[int] = []
        specs: list[SampleSpec] = []
        top = self.job.request.logprobs or 0
        for place, token in enumerate((*draft, -1)):
            allowed: Sequence[int] | None = healing.allowed(remaining) if remaining else None
            if self.job.request.forced:
                allowed = self.job.request.forced[self.produced + place :][:1]
            if allowed is not None and not allowed:
                if not kept:
                    raise RequestRefused(f"No token of this model begins {remaining!r} (required_prefix).")
                kept.pop()  # it would lead nowhere
                break
            blend = None
            if self.blender is not None and (not remaining or remaining.strip()):
                # How blanks that stand there are cut into tokens is the model's to say: most texts begin otherwise.
                blend = self.blender.after(draft[:place], self.ends)
            specs.append(SampleSpec(self.sampling, self.produced + place, allowed, top, blend))
            if token < 0 or (allowed is not None and token not in allowed):
                break
            kept.append(token)
            remaining = remaining[len(self.output.bytes_of(token)) :]
        return tuple(kept), tuple(specs)

    def take(self, samples: Sequence[Sample]) -> tuple[Piece, str | None]:
        """Take tokens until one ends the output; what became final, and why it ended (None: it goes on)."""
        text = ""
        done: tuple[Sample, ...] = ()
        reason: str | None
        for sample in samples:
            self.produced += 1
            self.job.produced += 1
            if sample.token in self.ends:
                piece, reason = self.output.finish(), "stop"
            else:
                piece, stopped = self.output.add(sample)
                reason = "stop" if stopped else None
                if reason is None and self.produced >= self.job.request.max_tokens:
                    text, done = text + piece.text, done + piece.samples
                    piece, reason = self.output.finish(), "length"
            text, done = text + piece.text, done + piece.samples
            if reason is not None:
                return Piece(text, done), reason
        return Piece(text, done), None

    def chunk(self, piece: Piece, reason: str | None = None, usage: Usage | None = None) -> Chunk:
        """What the client gets of a piece."""
        wanted = self.job.request.logprobs is not None
        return Chunk(
            piece.text,
            self.index,
            tuple(sample.token for sample in piece.samples),
            tuple(sample.logprob for sample in piece.samples) if wanted else (),
            reason,
            usage,
            tuple(sample.top for sample in piece.samples) if wanted else (),
        )


def agreed(draft: Sequence[int], samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples that count: those after drafted tokens that were chosen themselves, and the first other one."""
    count = 0
    while count < len(draft) and samples[count].token == draft[count]:
        count += 1
    return samples[: count + 1]
