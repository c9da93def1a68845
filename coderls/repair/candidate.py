"""A possible repair: edits of one document version, and where they came from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from coderls.document import Edit
from coderls.errors import DocumentError

#: A checker's own fix, a chat model's answer, or a damaged span that a FIM model filled anew.
Origin = Literal["rule", "chat", "infill"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
#: Longer stretches are not compared token by token: their difference is counted by lines.
_LONG = 4_000


@dataclass(frozen=True)
class Candidate:
    """Edits of `original`, sorted and without overlap, that may repair something in it.

    `title` says in the user's words what they do. `logprob` is the sum of the model's log probabilities, None where no
    model said anything. `safe` is a checker's own word that its fix keeps the meaning of the program.
    `guess`: nobody said that this is meant; it is one of several that would pass the same checks.
    Raises DocumentError for edits that lie outside of the text or overlap.
    """

    original: str
    edits: tuple[Edit, ...]
    origin: Origin
    title: str
    logprob: float | None = None
    safe: bool = False
    guess: bool = False

    def __post_init__(self) -> None:
        edits = tuple(sorted(self.edits, key=lambda edit: (edit.start, edit.end)))
        place = 0
        for edit in edits:
            if not place <= edit.start <= edit.end <= len(self.original):
                raise DocumentError(f"Edit {edit.start}..{edit.end} overlaps another one or lies outside of the text.")
            place = edit.end
        object.__setattr__(self, "edits", edits)

    @cached_property
    def text(self) -> str:
        """The whole text after the edits."""
        return apply_edits(self.original, self.edits)

    @cached_property
    def smallest(self) -> tuple[Edit, ...]:
        """Edits of whole lines that do the same and no more: what a rewritten function really changes."""
        return line_edits(self.original, self.text)

    @cached_property
    def exact(self) -> tuple[Edit, ...]:
        """`smallest` without what both texts have in common at the ends of each stretch: where other things moved."""
        return tuple(_trimmed(self.original, edit) for edit in self.smallest)

    @cached_property
    def tokens_changed(self) -> int:
        """How many words and signs go away or come: the size of the repair when candidates are ranked."""
        return sum(_tokens_changed(self.original[edit.start : edit.end], edit.new_text) for edit in self.smallest)

    @classmethod
    def of_text(cls, original: str, text: str, origin: Origin, title: str, logprob: float | None = None) -> Candidate:
        """The candidate whose edits, of whole lines, turn `original` into `text`."""
        return cls(original, line_edits(original, text), origin, title, logprob)


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """`text` after edits that are sorted and do not overlap."""
    pieces, place = [], 0
    for edit in edits:
        pieces += [text[place : edit.start], edit.new_text]
        place = edit.end
    return "".join(pieces) + text[place:]


def line_edits(before: str, after: str) -> tuple[Edit, ...]:
    """The fewest whole lines to replace so that `before` becomes `after`; none if they are equal."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    middle = difflib.SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    return tuple(
        Edit(starts[head + low], starts[head + high], "".join(new[head + new_low : head + new_high]))
        for kind, low, high, new_low, new_high in middle.get_opcodes()
        if kind != "equal"
    )


def _trimmed(text: str, edit: Edit) -> Edit:
    old, new = text[edit.start : edit.end], edit.new_text
    most = min(len(old), len(new))
    head = next((at for at in range(most) if old[at] != new[at]), most)
    tail = next((at for at in range(most - head) if old[-1 - at] != new[-1 - at]), most - head)
    return Edit(edit.start + head, edit.end - tail, new[head : len(new) - tail])


def _tokens_changed(old: str, new: str) -> int:
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if len(before) + len(after) > _LONG:
        return len(before) + len(after)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return sum(
        max(high - low, new_high - new_low)
        for kind, low, high, new_low, new_high in matcher.get_opcodes()
        if kind != "equal"
    )
