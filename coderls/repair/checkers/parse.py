"""The first and cheapest checker: does it parse? By `ast` in Python, by the faults of the tree elsewhere."""

from __future__ import annotations

import ast
import asyncio
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from coderls.document import Document, Fault, ParseFile
from coderls.repair.checkers.checker import Report, Step
from coderls.repair.diagnostic import Diagnostic

#: Longer Python texts are left to tree-sitter: CPython's parser holds the interpreter while it works.
LONGEST = 1_000_000
#: A text with more faults is no code of this language.
MOST_FAULTS = 100


class ParseChecker:
    """Syntax errors. `parse` makes trees (`repo_context.parse.parse_file`); Python also goes through CPython's parser,
    which knows indentation, where tree-sitter notices one fault of it in twenty."""

    name = "parse"
    version_of = "built in"
    step = Step.PARSE

    def __init__(self, parse: ParseFile, languages: frozenset[str]) -> None:
        self.languages = languages
        self._parse = parse

    async def check(self, document: Document, *, limit_s: float = 30.0, others: Sequence[Document] = ()) -> Report:
        began = time.perf_counter()
        report = await asyncio.to_thread(self._read, document)
        return replace(report, took_s=time.perf_counter() - began)

    async def aclose(self) -> None:
        return None

    def _read(self, document: Document) -> Report:
        by_itself = document.language_id == "python" and len(document.text) <= LONGEST
        stumbled = python_fault(document) if by_itself else None
        if by_itself and stumbled is None:
            return Report(self.name)
        tree = self._parse(document.language_id, document.text)
        if tree is None and not by_itself:
            return Report(self.name, failed="this text is too long, or nested too deeply.")
        faults = tree.faults() if tree is not None else 0
        placed = tree.fault_places() if tree is not None and faults else ()
        found = tuple(_complaints(document, placed, self.name)) if stumbled is None else (stumbled,)
        if faults and not found:  # the parse was given up
            found = (Diagnostic(0, len(document.text), "syntax error", source=self.name, rule="syntax-error"),)
        return Report(self.name, found, blind=bool(found), faults=faults)


def _complaints(document: Document, faults: Sequence[Fault], source: str) -> Iterator[Diagnostic]:
    """One for each fault; not for those in or below the line of another: they are mostly an echo of it."""
    last = -2
    for fault in faults[:MOST_FAULTS]:
        line = document.line_of(fault.start)
        if line > last + 1:
            token = document.text[fault.start : fault.end].split("\n")[0][:40]
            said = f"'{fault.missing}' is missing" if fault.missing else f"'{token}' is not expected here"
            yield Diagnostic(fault.start, fault.end, f"syntax error: {said}", source=source, rule="syntax-error")
        last = line


def python_fault(document: Document) -> Diagnostic | None:
    """What CPython's parser stumbles over first, with its own words; None for a text that it reads."""
    try:
        with warnings.catch_warnings():  # "\\d" in a user's file is not our business
            warnings.simplefilter("ignore")
            ast.parse(document.text)
    except SyntaxError as error:
        line = min(max(0, (error.lineno or 1) - 1), len(document.line_starts) - 1)
        start, end = document.line_span(line)
        place = min(end, start + max(0, (error.offset or 1) - 1))
        return Diagnostic(place, end, error.msg or "invalid syntax", source="python", rule="syntax-error")
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte, a lone surrogate; nested too deeply
        return Diagnostic(0, 0, str(error) or "too deep to read", source="python", rule="syntax-error")
    return None
