"""How likely the next line needs each candidate: a logistic model over the ways to it and its name's closeness.

The weights were fitted by `python -m benchmarks.context_fit` on points of projects that its docstring names; they are
log-odds, so that each can be read: 1.1 triples the odds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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

WEIGHTS: dict[str, float] = {
    "bias": -8.21,
    "import": 2.35,
    "import used": 0.14,
    "import idle": 5.62,
    "module": 1.94,
    "module idle": 0.81,
    "star": 0.8,
    "own": 1.17,
    "own base": -1.53,
    "receiver": 1.60,
    "receiver type": -0.49,
    "namesake": 1.84,
    "namesake type": 1.05,
    "near": 0.77,
    "similar": 1.5,
    "folder": 1.5,
    "base": -0.55,
    "member": 1.43,
    "used": 0.65,
    "mentioned": 1.24,
    "owner near": -0.12,
    "private": -0.41,
    "dunder": -1.83,
    "constructor": -1.11,
    "attribute": -0.11,
    "method": 0.20,
    "constant": 0.55,
    "type": -0.09,
    "class": 0.37,
    "instance": 0.84,
    "held": 1.18,
    "beside": 0.80,
    "words": 1.28,
    "same method": 0.99,
    "taken": -0.82,
    "overridable": 0.57,
}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate, how likely it is needed (`score`, from 0 to 1), and the way that says so most (`source`)."""

    candidate: Candidate
    score: float
    source: str


def features(candidate: Candidate, asker: Asker, beside: float = 0.0) -> dict[str, float]:
    """What is known of a candidate; keys as in WEIGHTS. `beside`: see `_beside`."""
    definition, around = candidate.definition, asker.around
    near = around.names
    found = dict(candidate.ways)
    found["bias"] = 1.0
    name = definition.name
    used = near.get(name)
    if used is not None:
        found["used"] = used
        found["mentioned"] = 1.0
    if beside:
        found["beside"] = beside
    if definition.owner and (owner := near.get(definition.owner)):
        found["owner near"] = owner
    if name in ("__init__", "constructor", "new"):
        found["constructor"] = 1.0
    elif name.startswith("__"):
        found["dunder"] = 1.0
    elif name[:1] in ("_", "#"):
        found["private"] = 1.0
    if definition.kind != "function":
        found[definition.kind] = 1.0
    if words := words_of(name):
        found["words"] = sum(around.words.get(word, 0.0) for word in words) / len(words)
    if "own" in found:
        if name == around.function:
            found["same method"] = 1.0
        elif around.in_class_body:
            found["taken" if asker.scope.defines(name) else "overridable"] = found["own"]
    return found


def rank(candidates: Sequence[Candidate], asker: Asker, weights: Mapping[str, float] = WEIGHTS) -> list[Ranked]:
    """Best first: likelihood for each token; ties by path and place."""
    ranked: list[tuple[float, str, int, Ranked]] = []
    for candidate, beside in with_neighbours(candidates, asker):
        odds = sum(weights[name] * value for name, value in features(candidate, asker, beside).items())
        score = 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))
        # Tokens are estimated here and counted when packed: most candidates never get that far.
        value = -score / (min(len(candidate.definition.text), _LONG) / _TOKEN + _FIXED) ** _PRICE
        ranked.append((value, candidate.path, candidate.index, Ranked(candidate, score, _source(candidate, weights))))
    ranked.sort(key=lambda item: item[:3])
    return [item[3] for item in ranked]


def _source(candidate: Candidate, weights: Mapping[str, float]) -> str:
    ways = candidate.ways
    return max(ways, key=lambda way: (weights[way] * ways[way], way)).partition(" ")[0]


def with_neighbours(candidates: Sequence[Candidate], asker: Asker) -> Iterator[tuple[Candidate, float]]:
    """Each candidate, and how near a name is that is defined next to it: such things are used together."""
    used: dict[tuple[str, int], float] = {}
    for candidate in candidates:
        near = asker.around.names.get(candidate.definition.name)
        if near is not None:
            for step in (-3, -2, -1, 1, 2, 3):
                place = candidate.path, candidate.index + step
                used[place] = max(used.get(place, 0.0), near * 0.8 ** (abs(step) - 1))
    for candidate in candidates:
        yield candidate, used.get((candidate.path, candidate.index), 0.0)
