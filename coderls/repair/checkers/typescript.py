"""tsc 7 and newer as a warm language server (`tsc --lsp --stdio`), which loads no plugins of the project.

TypeScript asks for types of JavaScript too where a jsconfig.json or `// @ts-check` says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from coderls.document import Document, Edit
from coderls.repair.checkers.checker import Fix, Report, Step
from coderls.repair.checkers.langserver import LanguageServer
from coderls.repair.checkers.warm import WarmChecker, fixes_of
from coderls.repair.diagnostic import Diagnostic

_MEANT = re.compile(r"Did you mean '([\w$]+)'\?")


class Tsc(WarmChecker):
    """The TypeScript compiler."""

    name = "tsc"
    languages = frozenset({"typescript", "typescriptreact", "javascript", "javascriptreact"})
    step = Step.TYPES

    def command(self) -> list[str]:
        return [str(self.program), "--lsp", "--stdio"]

    def configure(self, section: str) -> Any:
        return {}

    async def report(self, found: list[dict[str, Any]], document: Document, server: LanguageServer) -> Report:
        report = await super().report(found, document, server)
        fixes = await fixes_of(found, document, self.uri_of(document), server, self.name)
        return replace(report, fixes=(*fixes, *spelled(report.diagnostics)))


def spelled(diagnostics: Sequence[Diagnostic]) -> list[Fix]:
    """The names that the compiler itself proposes: "Did you mean 'length'?"."""
    found = ((one, _MEANT.search(one.message)) for one in diagnostics)
    return [Fix(one, (Edit(one.start, one.end, meant[1]),), f"Change to '{meant[1]}'") for one, meant in found if meant]
