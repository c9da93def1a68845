"""javac on a copy of the file, with the project's sources behind it. Annotation processors are code: they are off.

Lines count from 1, and a caret below the line tells the column (javac prints no machine-readable form of both message
and place).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Report, Step
from coderls.repair.checkers.command import CommandChecker
from coderls.repair.checkers.places import UNIX_LINES, Places
from coderls.repair.checkers.process import run
from coderls.repair.diagnostic import Diagnostic, Severity

_COMPLAINT = re.compile(
    r"^(?P<file>.+\.java):(?P<line>\d+): (?P<kind>error|warning): (?:\[(?P<rule>\w+)\] )?(?P<message>.*)$"
)
_CARET = re.compile(r"^\s*\^\s*$")
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)


class Javac(CommandChecker):
    """Java's compiler."""

    name = "javac"
    languages = frozenset({"java"})
    step = Step.TYPES

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        name = document.path.name if document.path is not None else "Untitled.java"
        with tempfile.TemporaryDirectory(prefix="coderls-javac-") as place:
            copy, out = Path(place) / name, Path(place) / "out"
            copy.write_bytes(document.text.encode("utf-8", "surrogatepass"))
            out.mkdir()
            arguments = ["-proc:none", "-implicit:none", "-Xlint:all", "-encoding", "UTF-8", "-Xmaxerrs", "1000"]
            sources = _sources(document)
            behind = [] if sources is None else [_as_open(others, sources, Path(place) / "open"), sources]
            paths = os.pathsep.join(str(one) for one in behind or [out])
            arguments += ["-classpath", str(out), "-sourcepath", paths, "-d", str(out)]
            done = await run(
                [str(self.program), *arguments, str(copy)],
                folder=Path(place),
                environment=self.surroundings.environment(),
                limit_s=limit_s,
            )
        found = tuple(_complaints(done.stderr + done.stdout, copy, document.text))
        if done.code and not found:
            raise CheckerFailed(f"javac ended with code {done.code}: {done.last_words}")
        return Report(self.name, found, blind=bool(done.code))


def _sources(document: Document) -> Path | None:
    """The folder above the file's package."""
    if document.path is None:
        return None
    package = _PACKAGE.search(document.text)
    parts = package[1].split(".") if package else []
    folder = document.path.parent
    for part in reversed(parts):
        if folder.name != part:
            return None
        folder = folder.parent
    return folder


def _as_open(others: Sequence[Document], sources: Path, place: Path) -> Path:
    """A folder with those of the project's sources that are open with another text than on disk."""
    place.mkdir()
    for one in others:
        if one.path is not None and one.path.suffix == ".java" and one.path.is_relative_to(sources):
            copy = place / one.path.relative_to(sources)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(one.text.encode("utf-8", "surrogatepass"))
    return place


def _complaints(output: str, copy: Path, text: str) -> list[Diagnostic]:
    places = Places(text, "utf-32", UNIX_LINES)
    lines = output.splitlines()
    found = []
    for number, line in enumerate(lines):
        match = _COMPLAINT.match(line)
        if match is None or Path(match["file"]) != copy:
            continue
        below = list(takewhile(lambda one: not _COMPLAINT.match(one), lines[number + 1 : number + 8]))
        caret = next((one for one in below if _CARET.match(one)), "^")
        place = places.offset(int(match["line"]) - 1, caret.index("^"))
        said = _with_details(match["message"], [one.strip() for one in below])
        severity = Severity.ERROR if match["kind"] == "error" else Severity.WARNING
        found.append(Diagnostic(place, place, said, severity, "javac", match["rule"] or ""))
    return found


def _with_details(message: str, below: list[str]) -> str:
    """`cannot find symbol` alone does not tell which: `symbol:` two lines below does."""
    symbol = next((line for line in below if line.startswith("symbol:")), "")
    return f"{message}: {' '.join(symbol.partition(':')[2].split())}" if symbol else message
