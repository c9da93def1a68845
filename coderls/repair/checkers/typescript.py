"""tsc 7 and newer as a warm language server (`tsc --lsp --stdio`), which loads no plugins of the project.

TypeScript asks for types of JavaScript too where a jsconfig.json or `// @ts-check` says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coderls.document import Document, Edit
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Fix, Report, Step
from coderls.repair.checkers.langserver import LanguageServer
from coderls.repair.checkers.warm import WarmChecker, fixes_of
from coderls.repair.diagnostic import Diagnostic

#: The first version with `--lsp`.
_OLDEST = 7
_MEANT = re.compile(r"Did you mean '([\w$]+)'\?")


class Tsc(WarmChecker):
    """The TypeScript compiler."""

    name = "tsc"
    languages = frozenset({"typescript", "typescriptreact", "javascript", "javascriptreact"})
    step = Step.TYPES

    async def ask(self, document: Document, limit_s: float) -> Report:
        version = await asyncio.to_thread(self._version)
        if version and int(version.partition(".")[0]) < _OLDEST:
            raise CheckerFailed(
                f"TypeScript {version} has no language server that coderls speaks to.",
                f"Install version {_OLDEST} or newer.",
            )
        return await super().ask(document, limit_s)

    def _version(self) -> str:
        """What the package around the program says of itself; "" where it is laid out in another way."""
        package = Path(os.path.realpath(self.program)).parent.parent / "package.json"
        try:
            facts = json.loads(package.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        version = str(facts.get("version", "")) if facts.get("name") == "typescript" else ""
        return version if version.partition(".")[0].isdecimal() else ""

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
