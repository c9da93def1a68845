"""How texts near by go on after the same tokens, blended into what the model says: an n-gram cache.

A small model reads a few hundred tokens of prompt; the repository around it has hundreds of thousands, in which names
and habits come again and again. What followed there after the last tokens is counted (n-grams of up to `LONGEST`, the
longer the match the more it counts, as in Witten-Bell smoothing: https://doi.org/10.1109/18.87000), once in the
prompt and once in a text of the repository. The probability of a token is then a weighted mean of the model's and of
both counts', with weights that depend on how much was found (`Gate`): cache language models
(https://doi.org/10.1109/34.56193), nested as for code in https://doi.org/10.1145/3106237.3106290.

Which weights are right depends on the model: they are measured, and a model directory without `blend.json` has none.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coderls.engine.runner import GATE_FILE, Blend
from coderls.errors import ModelBroken

#: Tokens in a row that are compared at most.
LONGEST = 8
#: Between two files there is this in place of a token.
GAP = -1
#: Of the places where something stood the last so many count, and of what followed there the most frequent so many.
_MOST_PLACES, _MOST_TOKENS = 2_048, 64
#: What a gate looks at of each text: the length of the match (0 to `LONGEST`, each by itself), and three numbers.
FEATURES = LONGEST + 1 + 3
#: Less than this is not worth a place in the mean, and all of it together is never more than this.
_LEAST, _MOST_OF_ALL = 1e-4, 1 - 1e-6

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Found:
    """What followed the last tokens in a text: the share of each token, which sum up to 1 at most.

    `longest`: tokens in a row that were the same; `places` where that was, and how many `kinds` of tokens followed.
    """

    shares: dict[int, float]
    longest: int = 0
    places: int = 0
    kinds: int = 0

    def features(self) -> list[float]:
        """What a gate looks at."""
        match = [0.0] * (LONGEST + 1)
        match[self.longest] = 1.0
        likeliest = max(self.shares.values(), default=0.0)
        return [*match, math.log1p(self.places) / 3, math.log1p(self.kinds) / 3, likeliest]


class LocalText:
    """Token ids of texts near by, `GAP` between two of them, searchable. Frozen once made."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._order = np.argsort(ids, kind="stable").astype(np.int32)
        self._sorted = ids[self._order]

    def __len__(self) -> int:
        return len(self._ids)

    def after(self, last: Sequence[int]) -> Found:
        """What followed where the last of these tokens stood."""
        if not last:
            return Found({})
        first, end = np.searchsorted(self._sorted, [last[-1], last[-1] + 1])
        places = self._order[first:end] + 1
        return _found(self._ids, places[places < len(self._ids)], last)


class GrowingText:
    """The same for tokens that still come: a prompt and what is written behind it. Short, so it is read each time."""

    def __init__(self, ids: Sequence[int], more: int) -> None:
        self._ids = np.zeros(len(ids) + more, dtype=np.int32)
        self._ids[: len(ids)] = ids
        self._length = len(ids)

    def add(self, token: int) -> None:
        """One token more, of the `more` that were announced."""
        self._ids[self._length] = token
        self._length += 1

    def after(self, last: Sequence[int], draft: Sequence[int] = ()) -> Found:
        """What followed where the last of these tokens stood. They need not be its own last ones. It is read as if the
        `draft` had been added, of which there is room for."""
        end = self._length + len(draft)
        self._ids[self._length : end] = draft
        ids = self._ids[:end]
        if not last or not len(ids):
            return Found({})
        return _found(ids, np.flatnonzero(ids[:-1] == last[-1]) + 1, last)


def _found(ids: Ids, places: npt.NDArray[np.integer], last: Sequence[int]) -> Found:
    """Shares by Witten and Bell: each longer match leaves the shorter ones what its kinds weigh beside its places."""
    found = Found({})
    for size in range(1, min(LONGEST, len(last)) + 1):
        if size > 1:
            places = places[places >= size]
            places = places[ids[places - size] == last[-size]]
        if not len(places):
            break
        counts = _counts(ids[places[-_MOST_PLACES:]])
        if not counts:
            continue
        total, kinds = sum(counts.values()), len(counts)
        left = kinds / (total + kinds)
        shares = {token: share * left for token, share in found.shares.items()}
        for token, count in counts.most_common(_MOST_TOKENS):
            shares[token] = shares.get(token, 0.0) + (1 - left) * count / total
        found = Found(shares, size, total, kinds)
    return found


def _counts(tokens: Ids) -> Counter[int]:
    counts: Counter[int] = Counter(tokens.tolist())
    del counts[GAP]
    return counts


@dataclass(frozen=True)
class Gate:
    """The weights of the model, the prompt and the text of the repository, by what was found in both: a softmax of
    linear functions of `Found.features` of the two. `prompt` and `local` are a bias and 2 x `FEATURES` factors each.
    """

    prompt: tuple[float, ...]
    local: tuple[float, ...]

    def blend(self, prompt: Found, local: Found, untouched: tuple[int, ...] = ()) -> Blend | None:
        """The mean; None where all is left to the model. `untouched`: see `Blend`."""
        if not prompt.shares and not local.shares:
            return None
        seen = [1.0, *prompt.features(), *local.features()]
        of_prompt, of_local = (
            math.exp(min(50.0, sum(a * b for a, b in zip(row, seen, strict=True)))) for row in (self.prompt, self.local)
        )
        total = 1.0 + of_prompt + of_local
        masses = {token: share * of_prompt / total for token, share in prompt.shares.items()}
        for token, share in local.shares.items():
            masses[token] = masses.get(token, 0.0) + share * of_local / total
        kept = {token: mass for token, mass in masses.items() if mass >= _LEAST and token not in untouched}
        scale = min(1.0, _MOST_OF_ALL / sum(kept.values())) if kept else 1.0
        return Blend(tuple(kept), tuple(mass * scale for mass in kept.values()), untouched) if kept else None


def read_gate(model: Path) -> Gate | None:
    """The gate of a model directory, if it has one. Raises ModelBroken."""
    file = model / GATE_FILE
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        gate = Gate(tuple(map(float, raw["prompt"])), tuple(map(float, raw["local"])))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelBroken(f"{file} cannot be used: {error!r}.", "Build or fetch the model again.") from error
    if {len(gate.prompt), len(gate.local)} != {1 + 2 * FEATURES} or not all(
        map(math.isfinite, gate.prompt + gate.local)
    ):
        raise ModelBroken(
            f"{file} has not {1 + 2 * FEATURES} numbers for each text.", "Build or fetch the model again."
        )
    return gate


class Blender:
    """Blends for one output: follows it token by token.

    `before` are the tokens before it; the last of `prompt` need not be: in most layouts a mark stands there. Marks are
    `GAP` here, in both. `more`: so many tokens come at most. Behind blanks (by `token_bytes`), where lines
    begin, nothing is blended: other texts only know what most lines begin with.
    """

    def __init__(
        self,
        gate: Gate,
        prompt: Sequence[int],
        before: Sequence[int],
        more: int,
        local: LocalText | None,
        *,
        token_bytes: Sequence[bytes] = (),
    ) -> None:
        self._gate = gate
        self._token_bytes = token_bytes
        self._prompt = GrowingText(prompt, more)
        self._last = list(before[-LONGEST:])
        self._local = local

    def after(self, draft: Sequence[int] = (), untouched: tuple[int, ...] = ()) -> Blend | None:
        """For the token that comes after all so far and these. `untouched`: see `Blend`."""
        newest = (draft or self._last or (GAP,))[-1]
        if newest != GAP and self._token_bytes and self._token_bytes[newest].isspace():
            return None
        return self._gate.blend(*self.found(draft), untouched)

    def found(self, draft: Sequence[int] = ()) -> tuple[Found, Found]:
        """What followed the same tokens in the prompt and in the local text."""
        last = [*self._last, *draft][-LONGEST:]
        prompt = self._prompt.after(last, draft)
        return prompt, self._local.after(last) if self._local is not None else Found({})

    def came(self, tokens: Sequence[int]) -> None:
        """These were chosen."""
        for token in tokens:
            self._prompt.add(token)
        self._last = [*self._last, *tokens][-LONGEST:]
