"""gcc and clang: `-fsyntax-only` over standard input. Nothing is compiled, linked or run.

Of a project's compile_commands.json only flags that name folders, macros and the language are used: others can load
plugins or write files. Formats: gcc's `-fdiagnostics-format=json` (gcc 9 to 14), and the plain lines of clang and of
newer gcc. Columns count bytes from 1.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from coderls.document import Document, Edit
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Fix, Report, Step
from coderls.repair.checkers.command import CommandChecker, home_of
from coderls.repair.checkers.places import UNIX_LINES, Places
from coderls.repair.checkers.process import C_MEMORY_KIB, WITHOUT_GCH, Done, run
from coderls.repair.diagnostic import Diagnostic, Severity

_LANGUAGES = {"c": "c", "cpp": "c++"}
_HARMLESS = re.compile(r"-(?:I|D|U|isystem|iquote|std=)")
_FOLDERS = ("-isystem", "-iquote", "-I")
_HEADERS = frozenset({".h", ".hh", ".hpp", ".hxx", ".h++", ".inc", ".inl", ".ipp", ".tpp"})
#: So many files of a folder are looked at.
_MOST_BESIDE = 2_000
_TWO_WORDS = frozenset({"-I", "-D", "-U", "-isystem", "-iquote"})
_SEVERITIES = {
    "error": Severity.ERROR,
    "fatal error": Severity.ERROR,
    "warning": Severity.WARNING,
}
_CLANG = re.compile(r"^<stdin>:(\d+):(\d+): (fatal error|error|warning): (.*?)(?: \[(-W[\w+=-]+)\])?$", re.MULTILINE)
_CLANG_FIX = re.compile(r'^fix-it:"<stdin>":\{(\d+):(\d+)-(\d+):(\d+)\}:"((?:[^"\\]|\\.)*)"$', re.MULTILINE)


class CCompiler(CommandChecker):
    """A C and C++ compiler that is asked to read only."""

    name = "cc"
    languages = frozenset(_LANGUAGES)
    step = Step.TYPES

    @property
    def is_clang(self) -> bool:
        """Whether it is clang, by its name."""
        return "clang" in self.program.name

    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        folder = document.path.parent if document.path is not None else None
        arguments = ["-fsyntax-only", "-Wall", *WITHOUT_GCH, "-x", _LANGUAGES[document.language_id]]
        arguments += ["-fdiagnostics-parseable-fixits", "-fno-caret-diagnostics"] if self.is_clang else []
        arguments += [] if self.is_clang else ["-fdiagnostics-format=json"]
        arguments += ["-iquote", str(folder)] if folder is not None else []
        arguments += self.flags(document.path)
        with tempfile.TemporaryDirectory(prefix="coderls-cc-") as place:
            home = home_of(document, self.surroundings)
            if others:  # looked for in the current folder first: not in the project's, then
                arguments = await asyncio.to_thread(_as_open, arguments, others, Path(place))
                arguments += ["-iquote", str(home)]
                home = Path(place)
            done = await run(
                [str(self.program), *arguments, "-"],
                folder=home,
                environment=self.surroundings.environment(),
                limit_s=limit_s,
                text=document.text,
                memory_kib=C_MEMORY_KIB,
            )
        report = self._clang(done, document) if self.is_clang else self._gcc(done, document)
        if done.code and not report.diagnostics:
            raise CheckerFailed(f"{self.program.name} ended with code {done.code}: {done.last_words}")
        return report

    def _gcc(self, done: Done, document: Document) -> Report:
        text = done.stderr.strip()
        start = text.find("[")
        # Behind them it may say in plain words that it stops (gcc 12, where a header is missing).
        rows: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text[start:])[0] if start >= 0 else []
        places = Places(document.text, "utf-8", UNIX_LINES)
        found: list[Diagnostic] = []
        fixes: list[Fix] = []
        for row in rows:
            caret = _own_place(row)
            if row["kind"] not in _SEVERITIES or caret is None:
                continue
            diagnostic = _of_gcc(row, caret, places)
            found.append(diagnostic)
            # A note offers what is to be included.
            offers = [row.get("fixits"), *(note.get("fixits") for note in row.get("children") or [])]
            written = [tuple(_gcc_edit(fixit, places) for fixit in offer) for offer in offers if offer]
            fixes += [Fix(diagnostic, edits, _title(edits)) for edits in written]
        elsewhere = [row for row in rows if row["kind"] in ("error", "fatal error") and _own_place(row) is None]
        if elsewhere and not found:
            raise CheckerFailed(f"{self.program.name} stopped in another file: {elsewhere[0]['message']}")
        return Report(self.name, tuple(found), tuple(fixes), blind=bool(done.code))

    def _clang(self, done: Done, document: Document) -> Report:
        places = Places(document.text, "utf-8", UNIX_LINES)
        found: list[Diagnostic] = []
        fixes: list[Fix] = []
        for line in done.stderr.splitlines():
            complaint, fix = _CLANG.match(line), _CLANG_FIX.match(line)
            if complaint:
                row, column, kind, message, rule = complaint.groups()
                place = places.offset(int(row) - 1, int(column) - 1)
                found.append(Diagnostic(place, place, message, _SEVERITIES[kind], "clang", rule or ""))
            elif fix and found:
                a, b, c, d = (int(number) - 1 for number in fix.groups()[:4])
                edit = Edit(places.offset(a, b), places.offset(c, d), json.loads(f'"{fix[5]}"'))
                fixes.append(Fix(found[-1], (edit,), f"Write {edit.new_text!r}"))
        return Report(self.name, tuple(found), tuple(fixes), blind=bool(done.code))

    def flags(self, path: Path | None) -> list[str]:
        """What the project's compile_commands.json says of this file, without all that could do harm."""
        folder = self.surroundings.folder
        if path is None or folder is None:
            return []
        for place in (folder / "compile_commands.json", folder / "build" / "compile_commands.json"):
            try:
                commands = json.loads(place.read_text(encoding="utf-8"))
                mine = next(one for one in commands if Path(one["directory"], one["file"]).resolve() == path.resolve())
                words = mine.get("arguments") or shlex.split(mine["command"])
            except (OSError, ValueError, StopIteration, KeyError, TypeError, RecursionError):
                continue  # none here, or none that names this file
            return _harmless([str(word) for word in words], Path(mine["directory"]))
        return []


def _as_open(arguments: Sequence[str], others: Sequence[Document], place: Path) -> list[str]:
    """Before each folder of headers one with those of them that are open with another text than on disk.

    What lies beside such a header is found beside its copy, too: it is included from there, and includes it.
    """
    made: list[str] = []
    homes: dict[Path, None] = {}
    for number, word in enumerate(arguments):
        flag = arguments[number - 1] if number else ""
        mine = [one.path for one in others if one.path is not None and one.path.is_relative_to(word)]
        if flag in _FOLDERS and mine:
            copy = place / str(number)
            for one in others:
                if one.path in mine:
                    header = copy / one.path.relative_to(word)
                    header.parent.mkdir(parents=True, exist_ok=True)
                    header.unlink(missing_ok=True)  # it may be a link by now
                    header.write_bytes(one.text.encode("utf-8", "surrogatepass"))
                    _link_beside(one.path, header.parent)
                    homes[one.path.parent] = None
            made += [str(copy), flag]
        made.append(word)
    for home in homes:  # for `#include "../other.h"`
        made += ["-iquote", str(home)]
    return made


def _link_beside(header: Path, place: Path) -> None:
    """Link the other headers of a header's folder into `place`, as far as the system lets us."""
    with suppress(OSError):
        for beside in islice(header.parent.iterdir(), _MOST_BESIDE):
            if beside.suffix.lower() in _HEADERS and not (place / beside.name).exists():
                (place / beside.name).symlink_to(beside)


def _harmless(words: list[str], folder: Path) -> list[str]:
    flags: list[str] = []
    for number, word in enumerate(words):
        if word in _TWO_WORDS and number + 1 < len(words):
            word += words[number + 1]  # noqa: PLW2901
        if not _HARMLESS.match(word):
            continue
        for flag in _FOLDERS:
            if word.startswith(flag) and len(word) > len(flag):
                flags += [flag, str(folder / word[len(flag) :])]
                break
        else:
            flags.append(word)
    return flags


def _title(edits: Sequence[Edit]) -> str:
    return f"Write {', '.join(repr(one.new_text.strip()) for one in edits)}"


def _own_place(row: dict[str, Any]) -> dict[str, Any] | None:
    for location in row.get("locations") or []:
        if location["caret"]["file"] == "<stdin>":
            return dict(location)
    return None


def _of_gcc(row: dict[str, Any], location: dict[str, Any], places: Places) -> Diagnostic:
    start = _gcc_offset(location.get("start") or location["caret"], places)
    finish = location.get("finish") or location["caret"]
    end = places.offset(finish["line"] - 1, finish.get("byte-column", finish["column"]))
    rule = row.get("option") or ""
    return Diagnostic(start, max(start, end), row["message"], _SEVERITIES[row["kind"]], "gcc", rule)


def _gcc_edit(fixit: dict[str, Any], places: Places) -> Edit:
    return Edit(_gcc_offset(fixit["start"], places), _gcc_offset(fixit["next"], places), fixit["string"])


def _gcc_offset(place: dict[str, Any], places: Places) -> int:
    return places.offset(place["line"] - 1, place.get("byte-column", place["column"]) - 1)
