"""From a cursor to snippets: look around, find, rank, pack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

from coderls.document import Document, Snippet
from coderls.repo_context.candidates import Asker, copies_of, find
from coderls.repo_context.files import Shelf
from coderls.repo_context.languages.language import Import, Language
from coderls.repo_context.outline import Binding, Outline
from coderls.repo_context.pack import pack
from coderls.repo_context.parse import bindings
from coderls.repo_context.rank import rank
from coderls.repo_context.recent import Region
from coderls.repo_context.scope import Scope
from coderls.repo_context.surroundings import look_around, near_text
from coderls.repo_context.twins import is_test, twins_of
from coderls.repo_context.usages import Usage, Usages, expected_names, shorten, telling_lines
from coderls.repo_context.view import View

#: Types of variables are looked for in so many lines before and after the cursor.
_LINES_BEFORE, _LINES_AFTER = 150, 30
#: More imports that nothing uses are a list of names for others, as packages have.
_MAX_IDLE = 12
#: Names of one file of which this is asked: each is looked for in the whole text.
_MAX_LOOKED_FOR = 400
_NOTHING = Outline((), ())


@dataclass(frozen=True, slots=True)
class Query:
    """A cursor in an open document; `path` is its place in the workspace folder of `shelf`."""

    document: Document
    offset: int
    path: str
    language: Language
    view: View | None


@dataclass(frozen=True, slots=True)
class Sources:
    """What is known of a workspace folder: its shelf, its windows, and where the user was last in other files."""

    shelf: Shelf
    usages: Usages
    recent: Sequence[Region] = ()


def retrieve(query: Query, sources: Sources, *, budget: int, count: Callable[[str], int]) -> list[Snippet]:
    """What other files define that the code at the cursor may need, and code like it: at most `budget` tokens."""
    shelf = sources.shelf
    asker, similar = ask(query, sources)
    return pack(
        rank(find(asker), asker),
        shelf,
        budget=budget,
        count=count,
        near=near_text(query.document.text, query.offset),
        is_copy=asker.is_copy,
        usages=[shorten(usage, asker.around.names) for usage in similar],
    )


def ask(query: Query, sources: Sources) -> tuple[Asker, list[Usage]]:
    """What is known of the cursor before anything is looked for, and code that was edited last or is like it."""
    shelf, usages = sources.shelf, sources.usages
    document, offset = query.document, query.offset
    own = query.view.outline if query.view else _NOTHING
    line = document.line_of(offset)
    around = look_around(document.text, offset)
    lines = telling_lines(document.text.split("\n"))
    shares_lines = cache(partial(usages.shares_lines, lines=lines))
    by_signature = copies_of(own.definitions, shelf, shares_lines)

    def is_copied_code(path: str) -> bool:
        return by_signature(path) or shares_lines(path)

    twins = twins_of(query.path, shelf)
    similar = usages.find(around, query.path, is_copied_code, favoured=twins)
    asker = Asker(
        scope=Scope(shelf, query.path, query.language, own),
        around=around,
        line=line,
        is_copy=by_signature,
        bindings=_bindings(query, line),
        idle=idle_imports(document.text, own.imports) | _idle_members(document.text, own),
        recent=sources.recent,
        twins=twins if is_test(query.path) else (),
        expected=expected_names(similar, lambda name: bool(shelf.defining(name))),
    )
    edited = next((region for region in sources.recent if region.edited and not is_copied_code(region.path)), None)
    latest = usages.edited(edited.path, edited.line, around.names) if edited else None
    return asker, [latest, *similar] if latest else similar


def _bindings(query: Query, line: int) -> Sequence[Binding]:
    """Typed variables at the cursor, from the lines around it: a long file is not parsed for each key."""
    starts, text = query.document.line_starts, query.document.text
    first, last = max(0, line - _LINES_BEFORE), line + _LINES_AFTER
    end = starts[last] if last < len(starts) else len(text)
    return bindings(query.language, text[starts[first] : end], first_line=first, limit_s=0.02)


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


def _idle_members(text: str, own: Outline) -> dict[str, float]:
    """Attributes that the file declares and does not use yet."""
    held = dict.fromkeys(item.name for item in own.definitions if item.kind == "attribute" and item.type)
    return _shared(name for name in list(held)[:_MAX_LOOKED_FOR] if not _is_used(text, name))


def idle_imports(text: str, imports: Sequence[Import]) -> dict[str, float]:
    """Imported names that the file does not use yet, each with its share of the chance that it is wanted now."""
    bound = ((entry.alias, entry.alias.partition(".")[0]) for entry in imports[:_MAX_LOOKED_FOR])
    return _shared(alias for alias, name in bound if name and not _is_used(text, name))


def _shared(idle: Iterator[str]) -> dict[str, float]:
    """Each of the names with its share; none where they are many."""
    names = list(islice(idle, _MAX_IDLE + 1))
    return {name: 1.0 / len(names) for name in names} if len(names) <= _MAX_IDLE else {}
