"""The last word on a completion's syntax: a language's own parser, asked while and after the engine works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from coderls.document import Document
from coderls.fim.postprocess import Insertion
from coderls.fim.syntax import Before, shorter

#: So many forms of a completion are shown to the parser.
_FORMS = 3


class OwnParser(Protocol):
    """What is needed of the parsers of languages themselves (see `own_parsers`)."""

    async def faults(self, document: Document, text: str) -> int | None:
        """Syntax errors of `text`, as a version of `document`; None where nobody can tell."""

    def more(self, document: Document, before: int | None, after: int | None) -> bool:
        """Whether a text with `after` errors is worse than one with `before`, as far as can be told."""


class LastWord:
    """A language's own parser, asked about one document: about it as it is once an answer is on its way."""

    def __init__(self, parser: OwnParser, document: Document) -> None:
        self._parser, self._document = parser, document
        self._before: asyncio.Task[int | None] | None = None

    def listening(self, heard: Callable[[str], None]) -> Callable[[str], None]:
        """`heard`, which begins to ask: most requests are cancelled before the engine has said anything."""

        def both(text: str) -> None:
            self._begin()
            heard(text)

        return both

    def stop(self) -> None:
        """Nobody wants to know any more."""
        if self._before is not None:
            self._before.cancel()

    async def cleaned(self, insertion: Insertion, before: Before) -> Insertion | None:
        """A clean insertion, or a shorter form of it, that adds no error of this parser's either; None for no such.

        Where it cannot tell, or not in time, the insertion stays.
        """
        had = await self._begin()
        form: Insertion | None = insertion
        for _ in range(_FORMS):
            if form is None or had is None:
                return form
            text = self._document.text[: form.start] + form.text + self._document.text[form.end :]
            if not self._parser.more(self._document, had, await self._parser.faults(self._document, text)):
                return form
            form = await asyncio.to_thread(shorter, form, before)
        return None

    def _begin(self) -> asyncio.Task[int | None]:
        if self._before is None:
            self._before = asyncio.ensure_future(self._parser.faults(self._document, self._document.text))
        return self._before
