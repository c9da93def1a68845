"""eslint, over standard input. Its configuration and plugins are JavaScript that it runs: for trusted folders only.

Format: `eslint --format json` (eslint.org/docs/latest/use/formatters): lines and columns count UTF-16 units from 1, and
a fix's range counts them from the start of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coderls.document import Document, Edit
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Fix, Report, Step
from coderls.repair.checkers.command import CommandChecker, parsed
from coderls.repair.checkers.places import SCRIPT_LINES, Places
from coderls.repair.diagnostic import Diagnostic, Severity

_SEVERITIES = {1: Severity.WARNING, 2: Severity.ERROR}


class Eslint(CommandChecker):
    """The linter of JavaScript and TypeScript projects."""

    name = "eslint"
    languages = frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact"})
    step = Step.LINT

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        if document.path is None:
            raise CheckerFailed("eslint needs a file name to know which rules are meant.", "Save the file first.")
        arguments = ["--format", "json", "--stdin", "--stdin-filename", str(document.path), "--no-warn-ignored"]
        done = await self.run(arguments, document, limit_s)
        if done.code not in (0, 1):
            raise CheckerFailed(f"eslint ended with code {done.code}: {done.last_words}")
        files = parsed(self.name, done)
        rows = [row for file in files for row in file["messages"]]
        places = Places(document.text, "utf-16", SCRIPT_LINES)
        found = [(_diagnostic(row, places), row) for row in rows]
        fixes = [fix for diagnostic, row in found for fix in _fixes(diagnostic, row, places)]
        blind = any(row.get("fatal") for row in rows)
        return Report(self.name, tuple(one for one, _ in found), tuple(fixes), blind=blind)


def _diagnostic(row: dict[str, Any], places: Places) -> Diagnostic:
    line, column = (row.get("line") or 1) - 1, (row.get("column") or 1) - 1
    start = places.offset(line, column)
    end = places.offset((row.get("endLine") or line + 1) - 1, (row.get("endColumn") or column + 1) - 1)
    rule = row.get("ruleId") or ("syntax-error" if row.get("fatal") else "")
    return Diagnostic(start, max(start, end), row["message"], _SEVERITIES[row["severity"]], "eslint", rule)


def _fixes(diagnostic: Diagnostic, row: dict[str, Any], places: Places) -> list[Fix]:
    fixes: list[Fix] = []
    if row.get("fix"):
        title = f"Apply eslint's fix for {diagnostic.rule}"
        fixes.append(Fix(diagnostic, (_edit(row["fix"], places),), title, safe=True))
    fixes += [Fix(diagnostic, (_edit(one["fix"], places),), one["desc"]) for one in row.get("suggestions") or []]
    return fixes


def _edit(fix: dict[str, Any], places: Places) -> Edit:
    start, end = fix["range"]
    return Edit(places.of_unit(start), places.of_unit(end), fix["text"])
