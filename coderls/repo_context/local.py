"""The texts that stand nearest to a file, whole: what is blended into a model's words (`engine/blend.py`) is counted in
them.

Files come by their closeness, as for a backdrop, and the closest last. Copies of the file that is worked on are left
out: they would say what it said before it was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coderls.document import Document
from coderls.repo_context.backdrop import Surveyed

#: A longer file is data, or would crowd the others out (share of all characters).
_LARGEST = 0.25
#: Files are looked at until less than this share of the characters is left.
_LEAST = 0.01
#: So many may be too long for what is left; then no other is read.
_MAX_MISSES = 20
#: Of the document so many characters before the cursor's line, and behind it.
_OWN = 192_000


def local_texts(
    folder: Surveyed, closest: Iterable[str], characters: int, may: Callable[[], bool] = lambda: True
) -> list[tuple[str, str]]:
    """Paths and texts of at most `characters` in all, the closest last, without the file that is worked on.

    `may` is asked before each file; it ends once that says no.
    """
    found: list[tuple[str, str]] = []
    left, misses = characters, 0
    for path in closest:
        if misses > _MAX_MISSES or not may():
            break
        text = folder.read(path) if folder.is_other(path) else None
        if text is not None and text.strip() and len(text) <= min(left, _LARGEST * characters):
            left -= len(text)
            found.append((path, text))
        elif text is not None and len(text) > left:
            misses += 1
        if left < _LEAST * characters:
            break
    return found[::-1]


def around(document: Document, offset: int, path: str) -> list[tuple[str, str]]:
    """The document's own text, without the line of the cursor: what is missing there is what somebody will ask for."""
    line = document.line_of(offset)
    starts = [*document.line_starts, len(document.text)]
    before, behind = starts[line], starts[line + 1]
    above, below = document.text[max(0, before - _OWN) : before], document.text[behind : behind + _OWN]
    return [(path, above), (f"{path} (below)", below)]
