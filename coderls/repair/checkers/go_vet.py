"""go: `go build` for what the compiler says, then `go vet`, with the text laid over the file by `-overlay`.

Nothing is downloaded (GOPROXY, GOTOOLCHAIN), no code of the project is run, and in an untrusted folder no C compiler is
started for it either (CGO_ENABLED=0). No git is asked for the state of the repository (`-buildvcs`, of Go 1.18): that
would run what its own configuration names. Format of the overlay: `go help build`. Columns count bytes from 1.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Report, Step
from coderls.repair.checkers.command import CommandChecker
from coderls.repair.checkers.lines import complaints
from coderls.repair.checkers.places import UNIX_LINES, Places
from coderls.repair.checkers.process import Done, run
from coderls.repair.diagnostic import Diagnostic, is_syntax

#: A complaint about a file of the package, and what keeps the compiler from reading the others.
_COMPLAINT = re.compile(r"^(?:vet: )?\S+\.go:\d+:\d+: (.*)", re.MULTILINE)
_BLINDING = ("syntax error", "could not import", "no required module", "package ", "cannot find", "import ")


class GoVet(CommandChecker):
    """Go's own compiler and vet."""

    name = "go vet"
    languages = frozenset({"go"})
    step = Step.TYPES

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        path = document.path
        if path is None or not path.parent.is_dir():
            raise CheckerFailed("go vet works on a file of a package.", "Save the file first.")
        with tempfile.TemporaryDirectory(prefix="coderls-go-") as place:
            text, overlay = Path(place) / path.name, Path(place) / "overlay.json"
            text.write_bytes(document.text.encode("utf-8", "surrogatepass"))
            replaced = {str(path): str(text)}
            for number, one in enumerate(others):
                copy = Path(place) / f"other-{number}"
                copy.write_bytes(one.text.encode("utf-8", "surrogatepass"))
                replaced.setdefault(str(one.path), str(copy))
            overlay.write_text(json.dumps({"Replace": replaced}), encoding="utf-8")
            build = ["test", "-c", "-vet=off"] if path.name.endswith("_test.go") else ["build"]
            build += ["-gcflags=-e", "-o", os.devnull]
            done = await self._go([*build, "-overlay", str(overlay), "."], path.parent, limit_s)
            found = self._read(done, document)
            if done.code == 0:
                done = await self._go(["vet", "-overlay", str(overlay), "."], path.parent, limit_s)
                found = self._read(done, document)
        if done.code and not found and not _is_elsewhere(done):
            raise CheckerFailed(f"go could not check the package: {done.last_words}", "See `go build` in its folder.")
        return Report(self.name, found, blind=done.code != 0, faults=sum(map(is_syntax, found)))

    async def _go(self, arguments: list[str], folder: Path, limit_s: float) -> Done:
        own = {
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false",
            "GONOSUMDB": "*",
            "GOTELEMETRY": "off",
        }
        if not self.surroundings.trusted:
            own |= {"CGO_ENABLED": "0"}
        environment = self.surroundings.environment(**own)
        return await run([str(self.program), *arguments], folder=folder, environment=environment, limit_s=limit_s)

    def _read(self, done: Done, document: Document) -> tuple[Diagnostic, ...]:
        places = Places(document.text, "utf-8", UNIX_LINES)
        name = document.path.name if document.path is not None else ""
        return tuple(complaints(done.stdout + done.stderr, name, "go", places))


def _is_elsewhere(done: Done) -> bool:
    """Whether all that is wrong is wrong in other files, each of which was read: then this one was, too.

    (With `-e` the compiler stops at no number of complaints.)
    """
    said = _COMPLAINT.findall(done.stdout + done.stderr)
    return bool(said) and not any(one.startswith(_BLINDING) for one in said)
