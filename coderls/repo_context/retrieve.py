"""From a cursor to snippets: look around, find, rank, pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from coderls.document import Document, Snippet
from coderls.repo_context.candidates import Asker, copies_of, find
from coderls.repo_context.files import Shelf
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import Binding, Outline
from coderls.repo_context.pack import pack
from coderls.repo_context.parse import bindings
from coderls.repo_context.rank import rank
from coderls.repo_context.receivers import header_bindings, own_classes
from coderls.repo_context.recent import Region
from coderls.repo_context.scope import Scope
from coderls.repo_context.slot import slot_at
from coderls.repo_context.surroundings import Surroundings, look_around, near_text
from coderls.repo_context.twins import is_test, twins_of
from coderls.repo_context.usages import Usage, Usages, expected_names, shorten
from coderls.repo_context.view import View
from coderls.repo_context.whole_text import WholeText

#: Types of variables are looked for in so many lines before and after the cursor.
_LINES_BEFORE, _LINES_AFTER = 150, 30
_BINDINGS_S = 0.02
#: Languages with elements in them, as JSX has them.
_HAVE_ELEMENTS = ("tsx", "javascript")
_NOTHING = Outline((), ())


@dataclass(frozen=True, slots=True)
class Query:
    """A cursor in an open document, without the word that is being typed: context must not change with each key.

    `path` is the document's place in the workspace folder.
    """

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

    def state(self, path: str) -> tuple[object, ...]:
        """What changes when an answer for `path` may be another one; the file itself does not count."""
        return self.shelf.changes.besides(path), self.usages.changes.besides(path), tuple(self.recent)


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
        usages=(shorten(usage, asker.around.names) for usage in similar),
    )


def ask(query: Query, sources: Sources) -> tuple[Asker, list[Usage]]:
    """What is known of the cursor before anything is looked for, and code that was edited last or is like it."""
    shelf, usages = sources.shelf, sources.usages
    document, offset = query.document, query.offset
    own = query.view.outline if query.view else _NOTHING
    line = document.line_of(offset)
    around = look_around(document.text, offset)
    whole = query.view.whole if query.view else WholeText()
    shares_lines = cache(partial(usages.shares_lines, own=whole.lines(document.text)))
    by_signature = copies_of(own.definitions, shelf, shares_lines)

    def is_copied_code(path: str) -> bool:
        return by_signature(path) or shares_lines(path)

    twins = twins_of(query.path, shelf)
    similar = usages.find(around, query.path, is_copied_code, favoured=twins)
    scope = Scope(shelf, query.path, query.language, own, whole.places(own), whole.members(own))
    classes = own_classes(scope, around)[:1]
    asker = Asker(
        scope=scope,
        around=around,
        line=line,
        is_copy=by_signature,
        bindings=_bindings(query, line, around),
        idle=whole.idle(document.text, own),
        recent=sources.recent,
        twins=twins if is_test(query.path) else (),
        expected=expected_names(similar, lambda name: bool(shelf.defining(name))),
        set_here=frozenset(own.definitions[number].name for ref in classes for number in scope.members(ref)),
        slot=slot_at(document.text, offset, has_elements=query.language.name in _HAVE_ELEMENTS),
    )
    edited = next((region for region in sources.recent if region.edited and not is_copied_code(region.path)), None)
    latest = usages.edited(edited.path, edited.line, around.names) if edited else None
    return asker, [latest, *similar] if latest else similar


def _bindings(query: Query, line: int, around: Surroundings) -> Sequence[Binding]:
    """Typed variables at the cursor, from the lines around it: a long file is not parsed for each key.

    Those of functions and classes that begin further up are in their headers.
    """
    starts, text = query.document.line_starts, query.document.text
    first, last = max(0, line - _LINES_BEFORE), line + _LINES_AFTER
    end = starts[last] if last < len(starts) else len(text)
    near = bindings(query.language, text[starts[first] : end], first_line=first, limit_s=_BINDINGS_S)
    return (*header_bindings(around, query.language, first), *near) if first else near
