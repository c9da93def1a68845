"""What the index keeps of an open document: its imports and definitions, carried over edits that cannot change them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from coderls.document import Document
from coderls.repo_context.languages.language import Import, Language
from coderls.repo_context.outline import Outline
from coderls.repo_context.whole_text import WholeText

#: A change so many lines away from an import may still belong to it (an open bracket, say).
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class View:
    """The outline of an earlier version of a document, and the rows of its imports in `document`.

    `whole` is what that version's whole text says.
    """

    document: Document
    outline: Outline
    import_rows: tuple[int, ...]
    whole: WholeText

    @classmethod
    def of(cls, document: Document, outline: Outline) -> View:
        """The view of a document whose outline was just made."""
        return cls(document, outline, outline.import_rows, WholeText())

    @property
    def imports(self) -> tuple[Import, ...]:
        """What the document imports."""
        return self.outline.imports

    def carried_to(self, document: Document, language: Language) -> View | None:
        """This view for a later version of the document; None when the change may have touched its imports."""
        old, new = self.document.text, document.text
        if old == new:
            return replace(self, document=document)
        start, old_end, new_end = changed_span(old, new)
        first = old.count("\n", 0, start)
        last = first + old.count("\n", start, old_end)
        if any(first - _MARGIN <= row <= last + _MARGIN for row in self.import_rows):
            return None
        # The lines that may import: an edit may reach from before to behind some, and change none of them.
        before, after = (
            _lines_with(language.import_words, text[text.rfind("\n", 0, start) + 1 : _line_end(text, end)])
            for text, end in ((old, old_end), (new, new_end))
        )
        if before != after:
            return None
        shift = new.count("\n", start, new_end) - (last - first)
        rows = tuple(row + shift if row > last else row for row in self.import_rows)
        return replace(self, document=document, import_rows=rows)


def changed_span(old: str, new: str) -> tuple[int, int, int]:
    """`old[start:old_end]` was replaced by `new[start:new_end]`: the smallest such span."""
    shorter = min(len(old), len(new))
    start = _common(shorter, lambda size: old[:size] == new[:size])
    rest = shorter - start
    tail = _common(rest, lambda size: old[len(old) - size :] == new[len(new) - size :])
    return start, len(old) - tail, len(new) - tail


def _common(limit: int, equal: Callable[[int], bool]) -> int:
    """The largest size up to `limit` that is still equal, found by halving: comparing strings is fast."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if equal(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _lines_with(words: Sequence[str], text: str) -> list[str]:
    if not any(word in text for word in words):
        return []
    return [line for line in text.split("\n") if any(word in line for word in words)]


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end
