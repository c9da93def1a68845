"""Drafts by a second, smaller model with the same vocabulary: 0.5B for 7B, say.

It has KV slots of its own, follows the outputs that it drafts for, and takes what it lacks of them in pieces. All
sequences of a round are drafted for together, token by token and greedily, each until the small model is unsure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from coderls.engine.api import Sampling
from coderls.engine.kv_slots import KvSlots
from coderls.engine.runner import ModelInfo, Runner, Sample, SampleSpec, Work

#: Tokens that it may lack at most to draft in this round; of more than that it takes in so many, and drafts later.
#: Fewer where reading so many takes longer than CATCH_UP_SECONDS: the output that it drafts for waits meanwhile.
CATCH_UP = 512
LEAST_CATCH_UP = 16
CATCH_UP_SECONDS = 0.05
#: Below this probability of its own it says no more.
LEAST_SURE = 0.3
_GREEDY = SampleSpec(Sampling())


@dataclass(slots=True)
class _Line:
    """One sequence that is drafted for."""

    number: int
    slot: int
    known: list[int]
    computed: int
    drafted: list[int] = field(default_factory=list)


class DraftModel:
    """A runner that drafts. `seconds` is what one of its steps takes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._slots = KvSlots(runner.slot_lengths)
        self._plain = runner.info.plain_context or runner.info.context_length
        self.seconds = math.inf
        self._piece = CATCH_UP

    @property
    def info(self) -> ModelInfo:
        """Facts about the small model."""
        return self._runner.info

    def measure(self) -> None:
        """Run a few steps and a short prompt twice, to know what they cost."""
        times = []
        for place in range(4):
            began = time.perf_counter()
            self._runner.run([Work(0, place, [0], [_GREEDY])])
            times.append(time.perf_counter() - began)
        self.seconds = sorted(times[1:])[1]
        tokens = [0] * min(64, self._slots.longest)
        for _ in range(2):  # the first warms up
            began = time.perf_counter()
            self._runner.run([Work(0, 0, tokens)])
            taken = max(time.perf_counter() - began, 1e-6)
        self._piece = max(LEAST_CATCH_UP, min(CATCH_UP, int(len(tokens) * CATCH_UP_SECONDS / taken)))

    def propose(self, sequences: Sequence[Sequence[int]], most: int) -> list[tuple[int, ...]]:
        """Up to `most` tokens that may follow each sequence; none for one that is too long or not yet taken in.

        Raises what the runner raises; nothing that was in its slots is used again then.
        """
        lines: list[_Line] = []
        try:
            for number, tokens in enumerate(sequences):
                if len(tokens) + most > min(self._slots.longest, self._plain):
                    continue
                grant = self._slots.acquire(tokens, len(tokens) + most)
                if grant is None:
                    break
                lines.append(_Line(number, grant.slot, list(tokens), grant.cached))
                if grant.copy_from is not None:
                    self._runner.copy(grant.copy_from, grant.slot, grant.cached)
            self._draft(lines, most)
        except BaseException:
            for line in lines:
                self._slots.forget(line.slot)
            raise
        finally:
            for line in lines:
                self._slots.release(line.slot)
        drafts: list[tuple[int, ...]] = [()] * len(sequences)
        for line in lines:
            drafts[line.number] = tuple(line.drafted)
        return drafts

    def close(self) -> None:
        """Give the memory back."""
        self._runner.close()

    def _draft(self, lines: list[_Line], most: int) -> None:
        going = lines
        for step in range(most):
            works = [self._work(line) for line in going]
            if not works:
                return
            began = time.perf_counter()
            results = self._runner.run(works)
            if step:
                self.seconds = 0.8 * self.seconds + 0.2 * (time.perf_counter() - began)
            still: list[_Line] = []
            for line, work, result in zip(going, works, results, strict=True):
                if not isinstance(result, tuple):
                    self._slots.forget(line.slot)
                    continue
                self._slots.extend(line.slot, work.tokens)
                line.computed += len(work.tokens)
                if result and _sure(result[0]):
                    line.drafted.append(result[0].token)
                    line.known.append(result[0].token)
                    still.append(line)
            going = still

    def _work(self, line: _Line) -> Work:
        piece = line.known[line.computed : line.computed + self._piece]
        last = line.computed + len(piece) == len(line.known)
        return Work(line.slot, line.computed, piece, (_GREEDY,) if last else ())


def _sure(sample: Sample) -> bool:
    return sample.logprob >= math.log(LEAST_SURE)  # not a number: no
