"""How likely the next line needs each candidate: a logistic model over the ways to it and its name's closeness.

The weights were fitted by `python -m benchmarks.context_fit` on points of projects that its docstring names; they are
log-odds, so that each can be read: 1.1 triples the odds. But for "behind": at those points nothing of the line is
written yet, so it was chosen by hand. With the line of the same points of httpx and requests written up to the dot,
contexts of 75 and 200 tokens then held 172 of 222 members, 132 without it; 5 gave 166.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from coderls.repo_context.candidates import Asker, Candidate
from coderls.repo_context.surroundings import words_of

#: Characters of code in a token, about.
_TOKEN = 3.3
#: Tokens that a piece costs besides its own.
_FIXED = 6
#: A piece of twice the tokens has to be so much likelier (as an exponent).
_PRICE = 0.7
#: Longer signatures are shown in short (characters).
_LONG = 100
#: What a score is worth, by the characters of the signature.
_PRICES = [(length / _TOKEN + _FIXED) ** -_PRICE for length in range(_LONG + 1)]

WEIGHTS: dict[str, float] = {
    "bias": -7.63,
    "import": 1.80,
    "import used": 0.33,
    "import idle": 5.51,
    "module": 1.58,
    "module idle": 0.72,
    "star": 0.80,
    "own": 1.14,
    "own base": -1.38,
    "receiver": 1.52,
    "receiver type": -1.06,
    "behind": 3.0,
    "namesake": 1.80,
    "namesake type": 0.81,
    "near": -1.11,
    "similar": 2.66,
    "recent": 1.50,
    "twin": 1.00,
    "folder": 1.50,
    "base": -0.37,
    "member": 1.32,
    "used": 0.79,
    "mentioned": 1.10,
    "owner near": -0.17,
    "private": -0.40,
    "dunder": -2.00,
    "constructor": -0.98,
    "attribute": -0.53,
    "method": -0.22,
    "constant": 0.46,
    "type": -0.21,
    "class": 0.22,
    "instance": 0.74,
    "held": 1.18,
    "beside": 0.58,
    "words": 1.42,
    "same method": 0.96,
    "taken": -0.61,
    "overridable": 0.59,
    "custom": 2.82,
    "called": 3.0,
    "field": 4.5,
    "argument": 1.5,
    "kin": 3.0,
}


class Ranked(NamedTuple):
    """A candidate, and how likely it is needed, from 0 to 1."""

    candidate: Candidate
    score: float

    @property
    def source(self) -> str:
        """The retriever that says most for it."""
        ways = self.candidate.ways
        return max(ways, key=lambda way: (WEIGHTS[way] * ways[way], way)).partition(" ")[0]


def features(candidate: Candidate, asker: Asker, beside: float = 0.0) -> dict[str, float]:
    """What is known of a candidate; keys as in WEIGHTS. `beside`: see `with_neighbours`."""
    definition = candidate.definition
    plain = dict.fromkeys(_plain(definition.name, definition.kind), 1.0)
    return plain | dict(_named(definition.name, asker)) | candidate.ways | dict(_placed(candidate, asker, beside))


@lru_cache(maxsize=50_000)
def _plain(name: str, kind: str) -> tuple[str, ...]:
    """What a definition's name and kind alone say."""
    found = ["bias"]
    if name in ("__init__", "constructor", "new"):
        found.append("constructor")
    elif name.startswith("__"):
        found.append("dunder")
    elif name[:1] in ("_", "#"):
        found.append("private")
    return (*found, kind) if kind != "function" else tuple(found)


def _named(name: str, asker: Asker) -> list[tuple[str, float]]:
    """What a name has to do with the text around the cursor."""
    around, found = asker.around, []
    used = around.names.get(name)
    if used is not None:
        found += [("used", used), ("mentioned", 1.0)]
    words = words_of(name)
    if not around.words.keys().isdisjoint(words):
        found.append(("words", sum([around.words.get(word, 0.0) for word in words]) / len(words)))
    return found


def _placed(candidate: Candidate, asker: Asker, beside: float) -> list[tuple[str, float]]:
    """What the place of a candidate has to do with the text around the cursor."""
    around, name, owner = asker.around, candidate.definition.name, candidate.definition.owner
    found = [("beside", beside)] if beside else []
    if owner and (near := around.names.get(owner)):
        found.append(("owner near", near))
    own = candidate.ways.get("own")
    if own is not None:
        if name == around.function:
            found.append(("same method", 1.0))
        elif around.in_class_body:
            found.append(("taken" if name in asker.set_here else "overridable", own))
    return found


def rank(candidates: Sequence[Candidate], asker: Asker, weights: Mapping[str, float] = WEIGHTS) -> list[Ranked]:
    """Best first: likelihood for each token; ties by path and place."""
    ranked: list[tuple[float, str, int, Ranked]] = []
    of_kind: dict[tuple[str, ...], float] = {}
    of_name: dict[str, float] = {}
    near = asker.around.names
    for candidate, beside in with_neighbours(candidates, asker):
        definition = candidate.definition
        kind, name = _plain(definition.name, definition.kind), definition.name
        if kind not in of_kind:
            of_kind[kind] = sum([weights[feature] for feature in kind])
        if name not in of_name:
            of_name[name] = sum([weights[feature] * value for feature, value in _named(name, asker)])
        odds = of_kind[kind] + of_name[name]
        for way, strength in candidate.ways.items():
            odds += weights[way] * strength
        if beside or definition.owner in near or "own" in candidate.ways:  # nothing else has to do with the place
            for feature, value in _placed(candidate, asker, beside):
                odds += weights[feature] * value
        score = 1.0 / (1.0 + math.exp(-odds if -30.0 < odds < 30.0 else math.copysign(30.0, -odds)))
        # Tokens are estimated here and counted when packed: most candidates never get that far.
        value = -score * _PRICES[min(len(definition.text), _LONG)]
        ranked.append((value, candidate.path, candidate.index, Ranked(candidate, score)))
    ranked.sort(key=itemgetter(0, 1, 2))
    return [item[3] for item in ranked]


def with_neighbours(candidates: Sequence[Candidate], asker: Asker) -> Iterator[tuple[Candidate, float]]:
    """Each candidate, and how near a name is that is defined next to it: such things are used together."""
    used: dict[tuple[str, int], float] = {}
    for candidate in candidates:
        near = asker.around.names.get(candidate.definition.name)
        if near is not None:
            for step in (-3, -2, -1, 1, 2, 3):
                place = candidate.path, candidate.index + step
                value = near * 0.8 ** (abs(step) - 1)
                if used.get(place, 0.0) < value:
                    used[place] = value
    for candidate in candidates:
        yield candidate, used.get((candidate.path, candidate.index), 0.0)
