"""Compilers that print `file:line:column: message`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from coderls.repair.checkers.places import Places
from coderls.repair.diagnostic import Diagnostic, Severity

_LINE = re.compile(r"^(?:vet: )?(?P<file>[^\n]*?):(?P<line>\d+):(?:(?P<column>\d+):)? (?P<message>.+)$", re.MULTILINE)


def complaints(output: str, file_name: str, source: str, places: Places) -> Iterator[Diagnostic]:
    """Those about files called `file_name`; lines and columns count from 1. Ranges are empty: no end is printed."""
    for match in _LINE.finditer(output):
        if Path(match["file"]).name == file_name:
            place = places.offset(int(match["line"]) - 1, int(match["column"] or 1) - 1)
            yield Diagnostic(place, place, match["message"].strip(), Severity.ERROR, source)
