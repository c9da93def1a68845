"""The same replacement again: which edit follows from the last changes of a document, and where.

Two rules. A name that was given another one: the other places that mean the same thing, as far as scopes and classes
tell, get it too. Anything else needs two equal replacements: what their surroundings have in common says where the
third one is. Whatever is offered parses as well as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coderls.document import Document, Edit, ParsedFile
from coderls.fim.inside import inside
from coderls.fim.postprocess import Insertion
from coderls.fim.syntax import allowed, look_before
from coderls.next_edit.calls import repeated_argument
from coderls.next_edit.history import Change
from coderls.next_edit.surroundings import alike
from coderls.repo_context.occurrences import Meaning, Occurrence

#: Longer replacements are pieces of code that were pasted, not edits that repeat (characters).
_LONGEST = 200
#: So many of the last changes are looked at: what was changed before them is over.
_LATELY = 4
#: So many places are tried until one is found that parses.
_TRIES = 12
#: So many places, the nearest, are looked at where no grammar tells what they are: each takes some milliseconds.
_BY_EYE = 200
#: What was typed on behind a new name, at most, and the signs it may begin with: `total: int` still renames to `total`.
_MOST_BEHIND = 80
_BEHIND = re.compile(r"[ \t,;:)\]}=]")
_NAME = re.compile(r"[^\W\d]\w*")
#: Words that are no names in most languages: what became one of these was not renamed.
_KEYWORD = re.compile(
    r"(?:if|elif|else|for|while|in|is|not|and|or|return|def|class|import|from|as|with|try|except|finally|raise|pass|break|"
    r"continue|True|False|None|self|this|super|true|false|null|nil|undefined|const|let|var|async|await|yield|lambda)\Z"
)


class Named(ParsedFile, Protocol):
    """A parsed text that knows where names stand, and what they mean there."""

    def occurrences(self, name: str) -> Sequence[Occurrence]: ...


#: language id, text -> its tree; None for a language without a grammar, and for texts that are too long.
Parse = Callable[[str, str], Named | None]


@dataclass(frozen=True, slots=True)
class NextEdit:
    """An edit of one version of a document, and why. `pair` names the replacement; `more` places would follow."""

    edit: Edit
    reason: str
    pair: tuple[str, str]
    more: int = 0


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A replacement (old text and new text), and all other places of one version that it would be right for."""

    pair: tuple[str, str]
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Renaming:
    """`old` was made `new`, which stands at `place`; `change` tells the rest."""

    old: str
    new: str
    place: int
    change: Change


def follow_ups(document: Document, changes: Sequence[Change], parse: Parse) -> tuple[FollowUp, ...]:
    """What follows from the last of `changes` (the newest first). Some dozens of milliseconds in a long file."""
    found: list[FollowUp] = []
    for number, change in enumerate(changes[:_LATELY]):
        renaming = renaming_of(change)
        if renaming is not None:
            pair, edits = (renaming.old, renaming.new), _renamed(document, renaming, parse)
        else:
            pair, edits = change.words()[:2], _repeated(document, change, changes[number + 1 :])
        if edits and all(pair != one.pair for one in found):
            found.append(FollowUp(pair, tuple(edits)))
    return tuple(found)


def next_edit(document: Document, offset: int, found: Sequence[FollowUp], parse: Parse) -> NextEdit | None:
    """Of what follows, the edit nearest to the cursor that leaves the document with no more faults than it has."""
    for one in found:
        nearest = sorted(one.edits, key=lambda edit: (abs(edit.start - offset), edit.start < offset))
        for edit in nearest[:_TRIES]:
            before = look_before(document, edit.start, parse)
            if allowed(Insertion(edit.new_text, edit.start, edit.end), before):
                return NextEdit(edit, _reason(one.pair, edit), one.pair, len(one.edits) - 1)
    return None


def renaming_of(change: Change) -> Renaming | None:
    """The change as another name for something; None where it is no such thing."""
    old, text, place = change.words()
    if len(text) > _LONGEST or not _NAME.fullmatch(old) or _KEYWORD.match(old):
        return None
    match = _NAME.match(text)
    if match is None or match.group() == old or _KEYWORD.match(match.group()):
        return None
    rest = text[match.end() :]
    if rest and not (_BEHIND.match(rest) and len(rest) <= _MOST_BEHIND):
        return None
    return Renaming(old, match.group(), place, change)


def _renamed(document: Document, renaming: Renaming, parse: Parse) -> list[Edit] | None:
    """Where the old name still stands for the same thing; None where too little tells."""
    old, new, change = renaming.old, renaming.new, renaming.change
    is_new = not _has_word(change.before.text, new)
    if not is_new and change.times < 2:
        return None
    spans = [(renaming.place, renaming.place + len(new))]
    if is_new:  # every one of them was the old name, or is meant to be the same thing
        spans = sorted({*spans, *_words(document.text, new)})
    back = _Back(document.text, spans, old)
    tree = parse(document.language_id, back.text)
    if tree is None:
        return _renamed_by_eye(document, renaming) if change.times > 1 else None
    places = tree.occurrences(old)
    changed = next((one for one in places if one.start == back.to_old(renaming.place)), None)
    if changed is None or changed.meaning.kind not in ("name", "member"):
        return _in_text(document, renaming, changed, places, back) if change.times > 1 else None
    same = [one for one in places if one.meaning == changed.meaning]
    # A name from elsewhere (a builtin, a method of some object) is used in many ways: one change is no renaming.
    if change.times < 2 and not ((len(old) > 1 or changed.local) and any(one.binds for one in same)):
        return None
    done = {start for start, _ in spans}
    return [Edit(start, start + len(old), new) for one in same if (start := back.to_new(one.start)) not in done]


def _in_text(
    document: Document, renaming: Renaming, changed: Occurrence | None, places: Sequence[Occurrence], back: _Back
) -> list[Edit] | None:
    """The same in strings and comments: a word of prose means what its kind of place says, and no more."""
    if changed is None or changed.meaning != Meaning("text"):
        return None
    kind = inside(document.text, renaming.place, document.language_id)
    starts = [back.to_new(one.start) for one in places if one.meaning == changed.meaning]
    return [
        Edit(start, start + len(renaming.old), renaming.new)
        for start in starts
        if document.text.startswith(renaming.old, start) and inside(document.text, start, document.language_id) == kind
    ]


def _renamed_by_eye(document: Document, renaming: Renaming) -> list[Edit]:
    """Without a grammar: whole words in code if the change was in code, and so on."""
    text, language = document.text, document.language_id
    kind = inside(text, renaming.place, language)
    nearest = sorted(_words(text, renaming.old), key=lambda span: abs(span[0] - renaming.place))[:_BY_EYE]
    return [Edit(start, end, renaming.new) for start, end in sorted(nearest) if inside(text, start, language) == kind]


class _Back:
    """A text with some of its words renamed back, and how offsets of both belong together."""

    def __init__(self, text: str, spans: Sequence[tuple[int, int]], old: str) -> None:
        pieces, at = [], 0
        self._marks: list[tuple[int, int]] = []  # offset in the new text, how much further on it is in the old one
        shift = 0
        for start, end in spans:
            pieces += [text[at:start], old]
            shift += len(old) - (end - start)
            self._marks.append((end, shift))
            at = end
        self.text = "".join([*pieces, text[at:]])

    def to_old(self, offset: int) -> int:
        """Where `offset` of the new text (not inside of a renamed word) is in the old one."""
        return offset + max((mark for mark in self._marks if mark[0] <= offset), default=(0, 0))[1]

    def to_new(self, offset: int) -> int:
        """The other way."""
        fitting = (shift for end, shift in reversed(self._marks) if end + shift <= offset)
        return offset - next(fitting, 0)


def _repeated(document: Document, change: Change, earlier: Sequence[Change]) -> list[Edit] | None:
    """Where a replacement that was made twice fits a third time."""
    old, new, place = change.words()
    if not (old or new) or len(old) + len(new) > _LONGEST or not (old + new).strip() or "\n" in old + new:
        return None
    kind = inside(document.text, place, document.language_id)
    for other in earlier:
        if other.words()[:2] != (old, new):
            continue
        places = (place, other.words()[2])
        spans = alike(document.text, places, old, new) or repeated_argument(document.text, places, old, new)
        return [
            Edit(start, end, new) for start, end in spans if inside(document.text, start, document.language_id) == kind
        ]
    return None


def _reason(pair: tuple[str, str], edit: Edit) -> str:
    """Why, in one line."""
    old, new = pair
    if _NAME.fullmatch(old) and _NAME.fullmatch(new):
        return f"`{_short(old)}` became `{_short(edit.new_text)}`"
    if not old:
        return f"`{_short(new)}` was added in the same way before"
    if not new:
        return f"`{_short(old)}` was removed in the same way before"
    return f"`{_short(old)}` became `{_short(new)}` twice"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"


def _has_word(text: str, word: str) -> bool:
    return next(_words(text, word), None) is not None


def _words(text: str, word: str) -> Iterator[tuple[int, int]]:
    """Where `word` stands as a whole word."""
    return (match.span() for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text))
