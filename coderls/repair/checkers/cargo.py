"""`cargo check` in a shadow copy of the folder. Build scripts and macros are code that it runs: trusted folders only.

Nothing is downloaded (`--offline`). Format: doc.rust-lang.org/cargo/reference/external-tools.html#json-messages, with
rustc's diagnostics inside: lines and columns count characters from 1, and `byte_start` counts bytes of the file.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from coderls.document import Document, Edit
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Fix, Report, Step
from coderls.repair.checkers.command import CommandChecker
from coderls.repair.checkers.places import Places
from coderls.repair.checkers.process import Done, run
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.diagnostic import Diagnostic, Severity
from coderls.repair.shadow import Shadow

_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING}


class Cargo(CommandChecker):
    """Rust's compiler, by way of cargo, which knows the crates."""

    name = "cargo check"
    languages = frozenset({"rust"})
    step = Step.TYPES

    def __init__(self, program: Path, surroundings: Surroundings) -> None:
        super().__init__(program, surroundings)
        self._shadow: Shadow | None = None
        self._turn = asyncio.Lock()

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        folder, path = self.surroundings.folder, document.path
        if folder is None or path is None:
            raise CheckerFailed("cargo check works on a file of a package.", "Save the file first.")
        async with self._turn:
            self._shadow = self._shadow or Shadow(folder)
            await asyncio.to_thread(self._shadow.refresh)
            with self._shadow.as_open(others), self._shadow.holding(path, document.text) as place:
                manifest = _manifest(place, self._shadow.root)
                if manifest is None:
                    raise CheckerFailed(f"There is no Cargo.toml above {path}.")
                done = await self._cargo(manifest, limit_s)
        messages = list(_messages(done.stdout))
        if done.code and not any(message["level"] == "error" for message, _ in messages):
            raise CheckerFailed(f"cargo ended with code {done.code}: {done.last_words}")
        return self._report(messages, place, document.text)

    async def aclose(self) -> None:
        async with self._turn:
            shadow, self._shadow = self._shadow, None
            if shadow is not None:
                await asyncio.to_thread(shadow.close)

    async def _cargo(self, manifest: Path, limit_s: float) -> Done:
        if self._shadow is None:
            raise CheckerFailed("cargo check has been closed.")
        arguments = ["check", "--offline", "--message-format", "json", "--all-targets", "--quiet"]
        return await run(
            [str(self.program), *arguments, "--manifest-path", str(manifest)],
            folder=self._shadow.root,
            environment=self.surroundings.environment(
                CARGO_TARGET_DIR=str(self._shadow.root.parent / "target"), CARGO_NET_OFFLINE="true"
            ),
            limit_s=limit_s,
        )

    def _report(self, messages: list[tuple[dict[str, Any], str]], place: Path, text: str) -> Report:
        places = Places(text, "utf-8")
        found: dict[Diagnostic, None] = {}  # a library's tests are another target: the same complaint comes twice
        fixes: list[Fix] = []
        for message, base in messages:
            span = _primary(message, base, place)
            if span is None or message["level"] not in _SEVERITIES:
                continue
            rule = (message.get("code") or {}).get("code") or ""
            start, end = places.of_unit(span["byte_start"]), places.of_unit(span["byte_end"])
            said = f"{message['message']}: {span['label']}" if span.get("label") else message["message"]
            diagnostic = Diagnostic(start, end, said, _SEVERITIES[message["level"]], "rustc", rule)
            if diagnostic not in found:
                found[diagnostic] = None
                fixes += _fixes(diagnostic, message, base, place, places)
        elsewhere = [message for message, base in messages if message["level"] == "error"]
        if elsewhere and not found:
            raise CheckerFailed(f"cargo stopped in another file: {elsewhere[0]['message']}")
        errors = [one for one in found if one.severity is Severity.ERROR]
        # What keeps it from looking at types and names, syntax and macros, has no code.
        faults = sum(not one.rule for one in errors)
        return Report(self.name, tuple(found), tuple(fixes), blind=bool(errors), faults=faults)


def _manifest(place: Path, root: Path) -> Path | None:
    folder = place.parent
    while folder.is_relative_to(root):
        if (folder / "Cargo.toml").is_file():
            return folder / "Cargo.toml"
        folder = folder.parent
    return None


def _messages(output: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each of rustc's messages with the folder that its file names start from."""
    for line in output.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            if row.get("reason") == "compiler-message":
                yield row["message"], str(Path(row["manifest_path"]).parent)


def _primary(message: dict[str, Any], base: str, place: Path) -> dict[str, Any] | None:
    return next((span for span in message["spans"] if span["is_primary"] and _is_here(span, base, place)), None)


def _is_here(span: dict[str, Any], base: str, place: Path) -> bool:
    """Whether a span is of the file: names are relative to the package, or to the workspace around it."""
    folder = Path(base)
    return any(
        os.path.normpath(above / span["file_name"]) == os.path.normpath(place) for above in (folder, *folder.parents)
    )


def _fixes(diagnostic: Diagnostic, message: dict[str, Any], base: str, place: Path, places: Places) -> Iterator[Fix]:
    """What rustc suggests: each child is one suggestion, of one or several edits."""
    for child in (message, *message.get("children", [])):
        spans = [span for span in child["spans"] if span.get("suggested_replacement") is not None]
        if spans and all(_is_here(span, base, place) for span in spans):
            edits = tuple(_edit(span, places) for span in spans)
            safe = all(span.get("suggestion_applicability") == "MachineApplicable" for span in spans)
            yield Fix(diagnostic, edits, child["message"][:1].upper() + child["message"][1:], safe)


def _edit(span: dict[str, Any], places: Places) -> Edit:
    start, end = places.of_unit(span["byte_start"]), places.of_unit(span["byte_end"])
    return Edit(start, end, span["suggested_replacement"])
