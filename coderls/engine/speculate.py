"""Drafts of what comes next, without a second model: to be verified by the model, several tokens in one run.

Where they come from: texts that the client expects here (`GenerationRequest.drafts`: what was shown at this place, what
was accepted lately); what the engine itself said lately, where it was said after the same tokens; and the prompt and
output themselves, where the last tokens stood before. A draft changes no output: each token is chosen by the model as
if there were none, by the same draw, and a drafted token counts only if it is the one that was chosen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coderls.engine.draft_lengths import LEAST_GAIN, LONGEST_DRAFT, Acceptance, Costs, lengths, rate
from coderls.engine.ngrams import LONGEST_MATCH, TokenIndex

#: Outputs that are remembered, and how many tokens before each.
MOST_SAID = 48
TAIL = 32
#: An output shorter than this is not worth remembering.
SHORTEST_SAID = 4

#: Drafts of a second model (`draft_model.py`), and how long they are at most.
MODEL = "model"
MOST_MODEL_STEPS = 8

_BUCKETS = ((10, "10"), (6, "6"), (4, "4"), (0, "3"))
#: The share of tokens that come true, assumed before anything was seen. The number is the least length of the match.
PRIORS = {
    "expected": 0.8,
    **{"given 3": 0.5, "given 4": 0.6, "given 6": 0.75, "given 10": 0.85},
    **{"said 3": 0.5, "said 4": 0.6, "said 6": 0.75, "said 10": 0.85},
    **{"own 3": 0.35, "own 4": 0.5, "own 6": 0.65, "own 10": 0.8},
    MODEL: 0.7,
}


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that may come next. `kind`: drafts of one kind come true about equally often."""

    tokens: tuple[int, ...] = ()
    kind: str = ""


class Drafter(Protocol):
    """What makes drafts for one output. `came` is told of every token that came, drafted or not."""

    def propose(self, most: int) -> Draft: ...

    def came(self, tokens: Sequence[int]) -> None: ...


class Said:
    """What the engine said lately, each with the tokens before it. In memory only."""

    def __init__(self) -> None:
        self._entries: deque[TokenIndex] = deque(maxlen=MOST_SAID)

    def remember(self, before: Sequence[int], output: Sequence[int]) -> None:
        """Keep an output that followed `before`; the same one again only counts as newer."""
        if len(output) < SHORTEST_SAID:
            return
        tokens = [*before[-TAIL:], *output]
        for entry in self._entries:
            if entry.tokens == tokens:
                self._entries.remove(entry)
                break
        made = TokenIndex(tokens)
        made.take_in(len(tokens))
        self._entries.append(made)

    def following(self, last: Sequence[int], most: int) -> tuple[list[int], int]:
        """What followed where the most of the tokens before were the same (the newest of these), and how many were."""
        found: list[int] = []
        longest = 0
        for entry in reversed(self._entries):
            place, size = entry.after(last)
            if size > longest:
                found, longest = entry.following(place, most), size
        return found, longest


@dataclass(slots=True)
class _Bet:
    """A draft whose truth is still coming out."""

    draft: Draft
    matched: int = 0


class TextDrafter:
    """Drafts for one output, from texts. Follows the output token by token (`came`)."""

    def __init__(
        self, prompt: Sequence[int], expected: Sequence[Sequence[int]], said: Said, acceptance: Acceptance
    ) -> None:
        self._own = TokenIndex(prompt)
        self._prompt = len(prompt)
        self._given = [TokenIndex(tokens) for tokens in expected]
        for index in self._given:
            index.take_in(len(index.tokens))
        self._followed = list(self._given)  # the texts that the output is the beginning of, so far
        self._said = said
        self._acceptance = acceptance
        self._bets: deque[_Bet] = deque(maxlen=LONGEST_DRAFT + 1)

    def propose(self, most: int) -> Draft:
        """The most promising draft of up to `most` tokens; an empty one where nothing fits."""
        self._own.take_in()
        if most <= 0:
            return Draft()
        best = max(self._candidates(most), key=self._promise, default=Draft())
        self.watch(best)
        return best

    def watch(self, draft: Draft) -> None:
        """Note whether a draft comes true, wherever it is from."""
        if draft.tokens:
            self._bets.append(_Bet(draft))

    def came(self, tokens: Sequence[int]) -> None:
        """These tokens were chosen, in this order."""
        for token in tokens:
            at = len(self._own.tokens) - self._prompt
            self._followed = [each for each in self._followed if at < len(each.tokens) and each.tokens[at] == token]
            self._settle(token)
            self._own.add(token)

    def end(self) -> None:
        """No more tokens come: what was said may come again elsewhere, or here after one more keystroke."""
        self._said.remember(self._own.tokens[: self._prompt], self._own.tokens[self._prompt :])

    def _candidates(self, most: int) -> list[Draft]:
        last = self._own.tokens[-LONGEST_MATCH:]
        produced = len(self._own.tokens) - self._prompt
        found = [Draft(tuple(each.following(produced, most)), "expected") for each in self._followed]
        for each in self._given:
            place, size = each.after(last)
            found.append(Draft(tuple(each.following(place, most)) if size else (), _kind("given", size)))
        tokens, size = self._said.following(last, most)
        found.append(Draft(tuple(tokens), _kind("said", size)))
        place, size = self._own.after(self._own.tokens)
        if size:
            found.append(Draft(tuple(self._own.following(place, most, repeat=True)), _kind("own", size)))
        return [draft for draft in found if draft.tokens]

    def _promise(self, draft: Draft) -> float:
        return sum(self._acceptance.survival(draft.kind, len(draft.tokens)))

    def _settle(self, token: int) -> None:
        """Note for each open draft whether `token` is what it said."""
        open_bets: list[_Bet] = []
        for bet in self._bets:
            size = len(bet.draft.tokens)
            if bet.draft.tokens[bet.matched] != token:
                self._acceptance.record(bet.draft.kind, bet.matched, size, ended=True)
            elif bet.matched + 1 == size:
                self._acceptance.record(bet.draft.kind, size, size, ended=False)
            else:
                open_bets.append(_Bet(bet.draft, bet.matched + 1))
        self._bets.clear()
        self._bets.extend(open_bets)


def _kind(source: str, size: int) -> str:
    return f"{source} {next(name for least, name in _BUCKETS if size >= least)}"


@dataclass(slots=True)
class Speculation:
    """What all outputs of one engine share: how often drafts come true, what runs cost, and what was said."""

    costs: Costs = field(default_factory=Costs)
    acceptance: Acceptance = field(default_factory=lambda: Acceptance(PRIORS))
    said: Said = field(default_factory=Said)

    def drafter(self, prompt: Sequence[int], expected: Sequence[Sequence[int]] = ()) -> TextDrafter:
        """What makes drafts for one output."""
        return TextDrafter(prompt, expected, self.said, self.acceptance)

    def promise(self, draft: Draft) -> float:
        """How many of its tokens will probably come true."""
        return sum(self.acceptance.survival(draft.kind, len(draft.tokens)))

    def model_steps(self, tokens: int, drafts: Sequence[Draft], seconds: float) -> int:
        """How many tokens a draft model, whose steps take `seconds`, should draft for each output of a run.

        0 where it would not pay, because the `drafts` that are there are better, or none are good enough.
        """
        chances = [self.acceptance.survival(draft.kind, len(draft.tokens)) for draft in drafts]
        sizes = lengths(self.costs, tokens, chances)
        known = [each[:size] for each, size in zip(chances, sizes, strict=True)]
        best, steps = LEAST_GAIN * rate(self.costs, tokens, known), 0
        survival = self.acceptance.survival(MODEL, MOST_MODEL_STEPS)
        for count in range(1, MOST_MODEL_STEPS + 1):
            # One step more than tokens: it has to take in first what came since the last time.
            found = rate(self.costs, tokens, [survival[:count]] * len(drafts), (count + 1) * seconds)
            if found > best:
                best, steps = found, count
        return steps

    def chosen(self, tokens: int, drafts: Sequence[Draft]) -> list[tuple[int, ...]]:
        """What of each draft to verify, in a run that has `tokens` tokens without them."""
        if not any(draft.tokens for draft in drafts):
            return [()] * len(drafts)
        chances = [self.acceptance.survival(draft.kind, len(draft.tokens)) for draft in drafts]
        sizes = lengths(self.costs, tokens, chances)
        return [draft.tokens[:size] for draft, size in zip(drafts, sizes, strict=True)]
