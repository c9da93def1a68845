"""mypy, with the text laid over the file by `--shadow-file`.

Plugins are Python code that the project's configuration names: an untrusted project's configuration is not read.
Its cache takes a shadowed file for unchanged when the size is (it looks at the file on disk, not at the shadow): each
text gets a size of its own, by a comment of blanks at its end.
Format: `mypy --output json`, one object a line; lines count from 1, columns are characters from 0.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.paths import cache_dir
from coderls.repair.checkers.checker import Report, Step
from coderls.repair.checkers.command import CommandChecker, home_of
from coderls.repair.checkers.places import Places
from coderls.repair.checkers.process import Done, run
from coderls.repair.diagnostic import Diagnostic, Severity

#: A prime, so that texts that differ in a few letters get lengths far apart.
_MOST_BLANKS = 32_749
_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "note": Severity.INFORMATION}


class Mypy(CommandChecker):
    """The type checker that many Python projects test with."""

    name = "mypy"
    languages = frozenset({"python"})
    step = Step.TYPES

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        with tempfile.TemporaryDirectory(prefix="coderls-mypy-") as place:
            shadow = Path(place) / "shadow.py"
            shadow.write_bytes(_of_own_size(document.text))
            path = document.path if document.path is not None and document.path.is_file() else shadow
            shadows = [] if path == shadow else [(path, shadow)]
            for number, one in enumerate(others):
                if one.path is not None and one.path.is_file() and one.language_id in self.languages:
                    copy = Path(place) / f"other_{number}.py"
                    copy.write_bytes(_of_own_size(one.text))
                    shadows.append((one.path, copy))
            done = await self._start(path, shadows, document, limit_s)
        if done.code not in (0, 1, 2) or (done.code == 2 and not done.stdout):
            raise CheckerFailed(f"mypy ended with code {done.code}: {done.last_words}")
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.code and not rows:
            raise CheckerFailed(f"mypy printed no report: {done.last_words}")
        places = Places(document.text, "utf-32")
        mine = [row for row in rows if Path(row["file"]).name == path.name and row["severity"] != "note"]
        if done.code == 2 and not mine:
            raise CheckerFailed(f"mypy stopped at another file: {rows[0]['file']}: {rows[0]['message']}")
        blind = any(row["code"] == "syntax" for row in mine)
        return Report(self.name, tuple(_diagnostic(row, document, places) for row in mine), blind=blind)

    async def _start(
        self, path: Path, shadows: Sequence[tuple[Path, Path]], document: Document, limit_s: float
    ) -> Done:
        arguments = ["--output", "json", "--no-error-summary", "--no-pretty", "--show-error-end"]
        arguments += ["--follow-imports", "silent", "--cache-dir", str(cache_dir() / "mypy")]
        if not self.surroundings.trusted:
            arguments += ["--config-file="]
        for real, copy in shadows:
            arguments += ["--shadow-file", str(real), str(copy)]
        return await run(
            [str(self.program), *arguments, "--", str(path)],
            folder=home_of(document, self.surroundings),
            environment=self.surroundings.environment(),
            limit_s=limit_s,
        )


def _of_own_size(text: str) -> bytes:
    """The text with a comment whose length tells it from most others of the same length."""
    data = text.encode("utf-8", "surrogatepass")
    return data + b"\n#" + b" " * (zlib.crc32(data) % _MOST_BLANKS)


def _diagnostic(row: dict[str, Any], document: Document, places: Places) -> Diagnostic:
    start = places.offset(row["line"] - 1, row["column"])
    end = places.offset((row.get("end_line") or row["line"]) - 1, row.get("end_column") or row["column"])
    first, last = document.line_span(document.line_of(start))
    if not document.text[first:last].isascii():  # mypy 2.4 takes characters for bytes there, and is off to the left
        start, end = first, last
    message = row["message"] if not row.get("hint") else f"{row['message']} ({row['hint']})"
    return Diagnostic(start, max(start, end), message, _SEVERITIES[row["severity"]], "mypy", row["code"] or "")
