"""What compilers of other languages than Python complain about most and mend not themselves: unused imports and
variables in Go, constants that are assigned in JavaScript, `=` in conditions, promises that nobody awaits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic, clamped

Made = tuple[Edit, str]

_SCRIPTS = frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact"})
_IN_CONDITION = re.compile(
    r"assignment used as (?:a )?truth value|assignment as a condition|no-cond-assign|a conditional expression and inst",
    re.IGNORECASE,
)
_ASSIGNS = re.compile(r"(?<![=!<>+\-*/%&|^])=(?![=>])")


def mend_others(document: Document, diagnostic: Diagnostic) -> list[Candidate]:
    """Candidates of one edit each, the likelier first; none where nothing is known for the complaint."""
    target = clamped(diagnostic, len(document.text))
    made: list[Made] = []
    if document.language_id == "go":
        made += _go(document, target)
    if document.language_id in _SCRIPTS:
        made += _script(document, target)
    if _IN_CONDITION.search(f"{target.rule} {target.message}"):
        made += _compared(document, target)
    return [Candidate(document.text, (edit,), "rule", title) for edit, title in made]


def _go(document: Document, target: Diagnostic) -> Iterator[Made]:
    start, end = document.line_span(document.line_of(target.start))
    line = document.text[start:end]
    if "imported and not used" in target.message and re.fullmatch(r'\s*(?:import\s+)?[\w.]*\s*"[^"]*"\s*', line):
        starts = (*document.line_starts, len(document.text))
        yield (
            Edit(start, starts[document.line_of(start) + 1], ""),
            f"Remove the unused import {line.removeprefix('import').strip()}",
        )
    unused = re.match(r"declared and not used: (\w+)$", target.message)
    loop = re.match(rf"\s*for\s+(?:\w+\s*,\s*)?\b({unused[1]})\b", line) if unused else None
    if loop:
        yield Edit(start + loop.start(1), start + loop.end(1), "_"), f"Change {loop[1]!r} to '_'"


def _script(document: Document, target: Diagnostic) -> Iterator[Made]:
    constant = re.search(r"[Cc]annot assign to '(\w+)' because it is a constant|'(\w+)' is constant", target.message)
    if constant:
        name = constant[1] or constant[2]
        for match in re.finditer(rf"\bconst(?=\s+{name}\b)", document.text):
            yield Edit(match.start(), match.end(), "let"), f"Declare {name!r} with 'let'"
    if "Promise<" in target.message:
        start, end = document.line_span(document.line_of(target.start))
        for match in re.finditer(r"(?:(?<![=!<>])=|\breturn)\s+(?!await\b)(?=[\w.]+\()", document.text[start:end]):
            yield Edit(start + match.end(), start + match.end(), "await "), "Add 'await'"


def _compared(document: Document, target: Diagnostic) -> Iterator[Made]:
    """`==` for the only `=` of the line."""
    start, end = document.line_span(document.line_of(target.start))
    signs = list(_ASSIGNS.finditer(document.text, start, end))
    if len(signs) == 1:
        equal = "===" if document.language_id in _SCRIPTS else "=="
        yield Edit(signs[0].start(), signs[0].end(), equal), f"Change '=' to {equal!r}"
