"""Anchored prompts: the text around an anchor stays as it was, and what is typed since goes after the middle mark.

With the prefix before the suffix (Qwen2.5-Coder's order), a key changes the end of the prefix, and the engine has to
read the whole suffix again. Behind an anchor a key only appends to the prompt, and nothing of it is an approximation:
the model is told to go on with a middle that begins with what was typed. The anchor is the start of the cursor's line.
Where the prefix stands last anyway (the embedded model) there is nothing to gain.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from coderls.document import Document

#: So many tokens may be typed behind an anchor: models are trained on middles, not on files behind the mark.
MOST_TOKENS = 64
#: After such a pause the prompt is made anew: nobody waits for it.
IDLE_S = 10.0
_DOCUMENTS = 16


@dataclass(frozen=True, slots=True)
class Anchor:
    """The prefix ends at `start`, and the suffix begins at `cursor`, of this version of a document (code points)."""

    document: Document
    start: int
    cursor: int

    @classmethod
    def at(cls, document: Document, offset: int) -> Anchor:
        """At the start of the cursor's line."""
        start, _ = document.line_span(document.line_of(offset))
        return cls(document, start, offset)

    def typed(self, document: Document, offset: int) -> str | None:
        """What stands between anchor and cursor now; None where anything else was changed, or the cursor left."""
        old, new = self.document.text, document.text
        if document.uri != self.document.uri or offset < self.start or len(new) - offset != len(old) - self.cursor:
            return None
        if new[: self.start] != old[: self.start] or new[offset:] != old[self.cursor :]:
            return None
        return new[self.start : offset]


class Anchors:
    """The anchor of each document that is being typed in. `now` is in seconds of any steady clock."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Anchor, float]] = OrderedDict()

    def at(self, document: Document, offset: int, now: float, count: Callable[[str], int]) -> Anchor:
        """The anchor for a cursor: the one of before, where what was typed since is short and all that changed."""
        anchor, used = self._known.get(document.uri, (None, now))
        typed = None if anchor is None or now - used > IDLE_S else anchor.typed(document, offset)
        if anchor is None or typed is None or count(typed) > MOST_TOKENS:
            anchor = Anchor.at(document, offset)
        self._known[document.uri] = anchor, now
        self._known.move_to_end(document.uri)
        while len(self._known) > _DOCUMENTS:
            self._known.popitem(last=False)
        return anchor
