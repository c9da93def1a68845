"""The first and cheapest checker: does it parse? By `ast` in Python, by the faults of the whole tree elsewhere."""

from __future__ import annotations

import ast
import asyncio
import time
import warnings

from coderls.document import Document, ParseFile
from coderls.repair.checkers.checker import Report, Step
from coderls.repair.diagnostic import Diagnostic

#: Longer Python texts are left to tree-sitter: CPython's parser holds the interpreter while it works.
LONGEST = 1_000_000


class ParseChecker:
    """Syntax errors. `parse` makes trees (`repo_context.parse.parse_file`); Python also goes through CPython's parser,
    which knows indentation, where tree-sitter notices one fault of it in twenty."""

    name = "parse"
    version_of = "built in"
    step = Step.PARSE

    def __init__(self, parse: ParseFile, languages: frozenset[str]) -> None:
        self.languages = languages
        self._parse = parse

    async def check(self, document: Document, *, limit_s: float = 30.0) -> Report:
        began = time.perf_counter()
        found = await asyncio.to_thread(self._faults, document)
        took = time.perf_counter() - began
        if isinstance(found, str):
            return Report(self.name, took_s=took, failed=found)
        return Report(self.name, found, took_s=took, blind=bool(found))

    async def aclose(self) -> None:
        return None

    def _faults(self, document: Document) -> tuple[Diagnostic, ...] | str:
        if document.language_id == "python" and len(document.text) <= LONGEST:
            fault = python_fault(document)
            return () if fault is None else (fault,)
        tree = self._parse(document.language_id, document.text)
        if tree is None:
            return f"No grammar of coderls reads {document.language_id}, or the text is too long."
        count = tree.faults()
        if not count:
            return ()
        plural = "syntax error" if count == 1 else "syntax errors"
        return (Diagnostic(0, len(document.text), f"{count} {plural}", source=self.name, rule="syntax-error"),)


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
