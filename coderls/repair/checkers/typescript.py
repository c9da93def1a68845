"""tsc as a warm server: the language server of version 7 and newer, `tsserver` of those before.

Neither loads plugins from the project's folder. TypeScript asks for types of JavaScript too where a jsconfig.json or
`// @ts-check` says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coderls.document import Document, Edit
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Fix, Report, Step
from coderls.repair.checkers.langserver import TextServer
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.checkers.tsserver import ARGUMENTS, TsServer
from coderls.repair.checkers.warm import START_S, WarmChecker, fixes_of
from coderls.repair.diagnostic import Diagnostic

#: Versions of which some take a path for a plugin's name: tsconfig.json of a strange folder would run its own code.
_BY_PATH = frozenset({"1", "2", "3", "4"})
_MEANT = re.compile(r"Did you mean '([\w$]+)'\?")


class Tsc(WarmChecker):
    """The TypeScript compiler."""

    name = "tsc"
    languages = frozenset({"typescript", "typescriptreact", "javascript", "javascriptreact"})
    step = Step.TYPES

    async def launch(self, folder: Path) -> TextServer:
        old = await asyncio.to_thread(self._old_server)
        if old is None:
            return await super().launch(folder)
        node = self.surroundings.find("node")
        if node is None:
            raise CheckerFailed("This version of TypeScript runs in Node, which was not found.", "Put node on PATH.")
        return await TsServer.launch(
            [str(node), str(old), *ARGUMENTS],
            folder=folder,
            environment=self.surroundings.environment(),
            limit_s=START_S,
        )

    def _old_server(self) -> Path | None:
        """`tsserver.js` of the package that the program belongs to; None where that has none, from version 7 on."""
        for package in packages_of(self.program, self.surroundings):
            try:
                facts = json.loads((package / "package.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            server = package / "lib" / "tsserver.js"
            if isinstance(facts, dict) and facts.get("name") == "typescript":
                version = str(facts.get("version", ""))
                if not self.surroundings.trusted and version.partition(".")[0] in _BY_PATH:
                    raise CheckerFailed(
                        f"TypeScript {version} can load plugins that a project names by their path.",
                        "Trust the folder, or install version 5 or newer.",
                    )
                return server if server.is_file() else None
        return None

    def command(self) -> list[str]:
        return [str(self.program), "--lsp", "--stdio"]

    def configure(self, section: str) -> Any:
        return {}

    async def report(self, found: list[dict[str, Any]], document: Document, server: TextServer) -> Report:
        report = await super().report(found, document, server)
        fixes = await fixes_of(found, document, self.uri_of(document), server, self.name)
        return replace(report, fixes=(*fixes, *spelled(report.diagnostics)))


def packages_of(program: Path, surroundings: Surroundings) -> Iterator[Path]:
    """Where the package of a `tsc` may lie: behind the link that npm makes, or beside the script that others make."""
    real = Path(os.path.realpath(program))
    beside = program.parent
    for package in (
        real.parent.parent,  # bin/tsc of it
        beside.parent / "typescript",  # node_modules/.bin
        beside / "node_modules" / "typescript",  # npm's global folder on Windows
        beside.parent / "lib" / "node_modules" / "typescript",  # and elsewhere
    ):
        if surroundings.trusted or not surroundings.holds(package):
            yield package


def spelled(diagnostics: Sequence[Diagnostic]) -> list[Fix]:
    """The names that the compiler itself proposes: "Did you mean 'length'?"."""
    found = ((one, _MEANT.search(one.message)) for one in diagnostics)
    return [Fix(one, (Edit(one.start, one.end, meant[1]),), f"Change to '{meant[1]}'") for one, meant in found if meant]
