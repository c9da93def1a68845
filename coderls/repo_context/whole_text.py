"""What an open document says as a whole, found once for each outline of it and good enough while it is edited.

Looking through all of a long text takes longer than all the rest of a question, and nearly nothing of it changes from
one key to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from coderls.repo_context.languages.language import Import
from coderls.repo_context.outline import Outline, members_of, places_of
from coderls.repo_context.usages import OwnLines

#: More names that nothing uses are a list of names for others, as packages have.
_MAX_IDLE = 12
#: Names of one file of which this is asked: each is looked for in the whole text.
_MAX_LOOKED_FOR = 400


class WholeText:
    """What was found in the first version of a document that was asked about: see `View.whole`."""

    def __init__(self) -> None:
        self._lines: OwnLines | None = None
        self._places: Mapping[str, Sequence[int]] | None = None
        self._members: Mapping[str, Sequence[int]] | None = None
        self._idle: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    def find(self, text: str, own: Outline) -> None:
        """Find all now, so that no question waits for it."""
        self.lines(text)
        self.places(own)
        self.members(own)
        self.idle(text, own)

    def lines(self, text: str) -> OwnLines:
        """The document's lines that tell copies of it, which few changed lines do not make or unmake."""
        if self._lines is None:
            self._lines = OwnLines.of(text)
        return self._lines

    def places(self, own: Outline) -> Mapping[str, Sequence[int]]:
        """Where each name is among the definitions of `own`, the outline of this version."""
        if self._places is None:
            self._places = places_of(own.definitions)
        return self._places

    def members(self, own: Outline) -> Mapping[str, Sequence[int]]:
        """Where the members of each type are among the definitions of `own`."""
        if self._members is None:
            self._members = members_of(own.definitions)
        return self._members

    def idle(self, text: str, own: Outline) -> dict[str, float]:
        """Imported names and declared attributes that are not used yet, each with its share of the chance.

        What was used stays so, and what was not is looked for again: it may have been typed meanwhile.
        """
        if self._idle is None:
            self._idle = tuple(_unused(text, own.imports)), tuple(_unused_members(text, own))
        aliases, members = self._idle
        return _shared(text, aliases) | _shared(text, members)


def _unused(text: str, imports: Sequence[Import]) -> list[str]:
    bound = ((entry.alias, _bound(entry.alias)) for entry in imports[:_MAX_LOOKED_FOR])
    return [alias for alias, name in bound if name and not _is_used(text, name)]


def _unused_members(text: str, own: Outline) -> list[str]:
    held = dict.fromkeys(item.name for item in own.definitions if item.kind == "attribute" and item.type)
    return [name for name in list(held)[:_MAX_LOOKED_FOR] if not _is_used(text, name)]


def _bound(alias: str) -> str:
    return alias.partition(".")[0]


def _shared(text: str, unused: Iterable[str]) -> dict[str, float]:
    """Those that are still unused, each with its share; none where they are many."""
    names: list[str] = []
    for name in unused:
        if not _is_used(text, _bound(name)):
            names.append(name)
        if len(names) > _MAX_IDLE:
            return {}
    return {name: 1.0 / len(names) for name in names}


def _is_used(text: str, name: str) -> bool:
    """Whether `name` stands in `text` as a whole word a second time: once is its import."""
    at, seen = text.find(name), 0
    while at >= 0:
        end = at + len(name)
        if not (_is_word(text[at - 1 : at]) or _is_word(text[end : end + 1])):
            seen += 1
            if seen > 1:
                return True
        at = text.find(name, end)
    return False


def _is_word(sign: str) -> bool:
    return sign == "_" or sign.isalnum()
