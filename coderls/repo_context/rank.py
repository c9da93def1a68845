"""Which candidates are worth their tokens: closeness of the way to them, and of their names to the cursor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coderls.repo_context.candidates import Candidate, Near

_NAME = re.compile(r"[^\W\d]\w+")
_BEFORE = 3_000
_AFTER = 1_500
#: Lines from the cursor at which a name counts half.
_HALF = 12
#: Characters of code in a token, about.
_TOKEN = 3.3


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its score: its value, whatever it costs."""

    candidate: Candidate
    score: float


def near_text(text: str, offset: int) -> str:
    """The code around the cursor that counts as near."""
    return text[max(0, offset - _BEFORE) : offset + _AFTER]


def names_near(text: str, offset: int) -> dict[str, float]:
    """Names around `offset` with their closeness, from 1 at the cursor towards 0.

    The word that is being typed is left out, so that the context stays the same while it grows.
    """
    start = end = offset
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    closeness: dict[str, float] = {}
    before = text[max(0, start - _BEFORE) : start].split("\n")
    after = text[end : end + _AFTER].split("\n")
    for distance, line in [*enumerate(reversed(before)), *enumerate(after)]:
        near = 1.0 / (1.0 + distance / _HALF)
        for name in _NAME.findall(line):
            if closeness.get(name, 0.0) < near:
                closeness[name] = near
    return closeness


def rank(candidates: Sequence[Candidate], near: Near) -> list[Ranked]:
    """Best first: score for each token, with a little charged for every piece; ties by path and place."""
    ranked: list[tuple[float, str, int, Ranked]] = []
    for candidate in candidates:
        definition = candidate.definition
        used = near.get(definition.name, 0.0)
        owner = near.get(definition.owner, 0.0) if definition.owner else 0.0
        score = candidate.weight * (0.3 + 2.0 * used + 0.5 * owner)
        # Tokens are estimated here and counted when packed: most candidates never get that far.
        value = -score / (len(definition.text) / _TOKEN + 10) ** 0.7
        ranked.append((value, candidate.path, candidate.index, Ranked(candidate, score)))
    ranked.sort(key=lambda item: item[:3])
    return [item[3] for item in ranked]
