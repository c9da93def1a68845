"""How many drafted tokens are worth verifying: what they will probably save against what they cost on this device.

Two things are measured all the time. `Acceptance`: how often the first, the second, ... token of a draft of some kind
comes true; it is known for drafts that were not verified too, since what came instead is seen soon after. `Costs`: how
long a run over so many tokens takes. On a card a run over eight tokens costs little more than one over a single token;
on a processor it may cost several times as much. `lengths` joins the two: no draft where none pays.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

LONGEST_DRAFT = 15  # with the token before it, a run over sixteen
MOST_DRAFTED = 64  # tokens of all drafts in one run
LEAST_GAIN = 1.05  # below it measuring errors decide
POINTS = (1, 2, 4, 8, 16, 32, 64)  # tokens of a run whose cost is kept; between them it is interpolated

_FORGET = 0.98  # weight of everything before, at each new observation
_PRIOR_WEIGHT = 4.0  # observations that the first guess counts as
_FOLLOW = 0.2  # how fast a cost follows what is measured, on a logarithmic scale
_DRIFT = 0.02  # how fast costs that are not measured any more follow those that are
_FRESH = 32  # notes of others after which a cost counts as not measured any more


class Acceptance:
    """The share of drafts of each kind whose first i tokens came true, with what was seen long ago forgotten."""

    def __init__(self, priors: Mapping[str, float] | None = None) -> None:
        self._priors = priors or {}
        self._kinds: dict[str, tuple[list[float], list[float]]] = {}  # hits and tries at each place

    def survival(self, kind: str, size: int) -> list[float]:
        """For i = 1 .. size: the probability that the first i tokens of a draft of this kind all come true."""
        prior = self._priors.get(kind, 0.5)
        hits, tries = self._kinds.get(kind, ((), ()))
        known = [
            (hits[place] + _PRIOR_WEIGHT * prior ** (place + 1)) / (tries[place] + _PRIOR_WEIGHT)
            if place < len(hits)
            else prior ** (place + 1)
            for place in range(size)
        ]
        return list(accumulate(known, min))

    def record(self, kind: str, matched: int, size: int, *, ended: bool) -> None:
        """The first `matched` of `size` drafted tokens came true; `ended`: and then another one came."""
        hits, tries = self._kinds.setdefault(kind, ([0.0] * LONGEST_DRAFT, [0.0] * LONGEST_DRAFT))
        for place in range(LONGEST_DRAFT):
            hits[place] *= _FORGET
            tries[place] *= _FORGET
        for place in range(min(size if ended else matched, LONGEST_DRAFT)):
            tries[place] += 1
            hits[place] += place < matched


class Costs:
    """Seconds of a run by the number of its tokens. `measured` when the model was loaded; it follows what is noted.

    Without any measurement a run costs as much as its tokens one by one, so that no draft ever pays.
    """

    def __init__(self, measured: Mapping[int, float] | None = None) -> None:
        known = sorted((tokens, seconds) for tokens, seconds in (measured or {}).items() if seconds > 0)
        self._known = bool(known)
        self._base = list(accumulate((_between(known, point) for point in POINTS), max))
        self._factors = [0.0] * len(POINTS)  # logarithms
        self._ages = [_FRESH] * len(POINTS)  # notes of others since the last of its own

    def of(self, tokens: int) -> float:
        """Seconds of a run over `tokens` tokens."""
        now = [base * math.exp(factor) for base, factor in zip(self._base, self._factors, strict=True)]
        return _between(list(zip(POINTS, now, strict=True)), tokens)

    def note(self, tokens: int, seconds: float) -> None:
        """A run over `tokens` tokens took so long."""
        if not self._known or seconds <= 0 or tokens > POINTS[-1]:
            return
        change = max(-1.5, min(1.5, math.log(seconds / self.of(tokens))))
        place = bisect_left(POINTS, tokens)
        near = {place} if POINTS[place] == tokens else {place - 1, place}
        for one in near:
            self._factors[one] += _FOLLOW * change
            self._ages[one] = 0
        # A cost that was once measured too high is never used, and so never measured again: let it come back.
        followed = sum(self._factors[one] for one in near) / len(near)
        for other in set(range(len(POINTS))) - near:
            self._ages[other] += 1
            if self._ages[other] > _FRESH:
                self._factors[other] += _DRIFT * (followed - self._factors[other])


def _between(known: Sequence[tuple[int, float]], tokens: int) -> float:
    """The value at `tokens` of a line through points; outside of them in proportion to the nearest one."""
    if not known:
        return float(tokens)
    place = bisect_left(known, tokens, key=lambda entry: entry[0])
    if place == len(known):
        return known[-1][1] * tokens / known[-1][0]
    (right, above) = known[place]
    if right == tokens or place == 0:
        return above
    (left, below) = known[place - 1]
    return below + (above - below) * (tokens - left) / (right - left)


def rate(costs: Costs, tokens: int, survivals: Sequence[Sequence[float]], drafting: float = 0.0) -> float:
    """Tokens per second to expect of a run that verifies all of these drafts; see `lengths`."""
    expected = len(survivals) + sum(map(sum, survivals))
    return expected / (costs.of(tokens + sum(map(len, survivals))) + drafting)


def lengths(costs: Costs, tokens: int, survivals: Sequence[Sequence[float]], drafting: float = 0.0) -> list[int]:
    """How many tokens of each draft to verify in one run that has `tokens` tokens without them.

    `survivals[i]` are the chances of draft i (`Acceptance.survival`); every sequence of the run has one, if only an
    empty one. `drafting`: seconds that making the drafts takes. What gives the most tokens per second is chosen.
    """
    chances = sorted(
        ((-chance, place, number) for number, each in enumerate(survivals) for place, chance in enumerate(each)),
    )[:MOST_DRAFTED]
    expected = float(len(survivals))
    best, count = LEAST_GAIN * expected / costs.of(tokens), 0
    for index, (chance, _, _) in enumerate(chances, 1):
        expected -= chance
        rate = expected / (costs.of(tokens + index) + drafting)
        if rate > best:
            best, count = rate, index
    chosen = [0] * len(survivals)
    for _, _, number in chances[:count]:
        chosen[number] += 1
    return chosen
