"""Syntax errors by a language's own parser, where the user has one.

tree-sitter's grammars let pass what compilers do not. The parser runs as a process that reads its standard input: for
parsing only, from the root of the disk, where no file of the project can configure it, with an environment of few
variables, and never a program that lies in the workspace. Nothing of the project is run. It has a fraction of a second;
when that is over the word of tree-sitter stands.

| language | program | how |
| --- | --- | --- |
| Rust | rustc | `-Zparse-crate-root-only` (rustc dev guide: the parser alone, no macro is expanded) |
| Go | gofmt | `-e`: all errors |
| C, C++ | clang, gcc | `-fsyntax-only`, where the headers are found beside the file or in a folder `include` above it |
| JavaScript | node | `vm.SourceTextModule`: a module is compiled and not evaluated; `vm.Script` for what is none |
| Ruby, PHP | ruby, php | `-c`, `-l` |
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repair.checkers.process import Done, run
from coderls.repair.checkers.surroundings import Surroundings

#: Nobody waits longer for a parser (seconds).
LIMIT_S = 0.4
#: One that is late so often in a row is left alone for a while: the machine is busy, or the program does not work here.
_LATE = 3
_RESTS_S = 60.0
_KNOWN = 64
#: Longer texts are not sent (characters).
_LONGEST = 400_000
#: So many folders above a file are looked at for headers.
_ABOVE = 6
#: Address space of a C compiler in KiB: `#include "/dev/zero"` ends there.
_C_MEMORY = 1_500_000
_LIMITED = ("/bin/sh", "-c", f'ulimit -v {_C_MEMORY}; exec "$0" "$@"') if Path("/bin/sh").exists() else ()
_NODE = """
const vm = require("vm"), text = require("fs").readFileSync(0, "utf8"), module = /^\\s*(import|export)\\b/m.test(text);
try { module ? new vm.SourceTextModule(text) : new vm.Script(text); }
catch (error) { if (error instanceof SyntaxError) { console.log("1 fault"); process.exit(3); } throw error; }
"""
_SHEBANG = re.compile(r"\A\ufeff?#!")
_GOFMT = re.compile(r"^<standard input>:\d+:\d+: ", re.MULTILINE)
#: In whatever file: a macro that is defined here may break a header.
_C_ANY = re.compile(r"^(?:[A-Za-z]:)?[^:\n]+:\d+:(?:\d+:)? (?:fatal )?error: (.*)$", re.MULTILINE)
#: How both compilers word what their parsers and lexers find. Names and types are not their matter here.
_C_SYNTAX = re.compile(
    r"expected |missing terminating|unterminated|extraneous|stray |function definition is not allowed|macro \"|"
    r"too (?:many|few) arguments provided to function-like macro"
)
_C_LOST = re.compile(r"fatal error: |file not found|No such file")


@dataclass(frozen=True, slots=True)
class _Row:
    """How a language's parser is asked. `read`: the number of errors it found, None where it could not tell.

    `first_only`: it stops at the first error, so in a file that is broken it has nothing to say.
    """

    languages: frozenset[str]
    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    read: Callable[[Done], int | None]
    first_only: bool = False
    environment: tuple[tuple[str, str], ...] = ()


def _of_rustc(done: Done) -> int | None:
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    found = sum(each.get("level") == "error" and bool(each.get("spans")) for each in said)
    return found if found or not done.code else None


def _of_gofmt(done: Done) -> int | None:
    found = len(_GOFMT.findall(done.stderr))
    return found if found or not done.code else None


def _of_c(done: Done) -> int | None:
    if _C_LOST.search(done.stderr):
        return None  # without its headers no name of a type is known
    errors = _C_ANY.findall(done.stderr)
    return sum(bool(_C_SYNTAX.match(error)) for error in errors) if errors or not done.code else None


def _of_node(done: Done) -> int | None:
    return {0: 0, 3: 1}.get(done.code)


def _of_ruby(done: Done) -> int | None:
    return 0 if not done.code else 1 if "syntax error" in done.stderr.lower() else None


def _of_php(done: Done) -> int | None:
    return 0 if not done.code else 1 if "error" in (done.stdout + done.stderr).lower() else None


_RUSTC = ("-Zparse-crate-root-only", "--error-format=json", "--edition=2021", "--crate-name=parsed", "-")
_CC = ("-fsyntax-only", "-w", "-fno-diagnostics-color")
_ROWS = (
    # The option is one of nightly compilers; this is how a stable one takes it.
    _Row(frozenset({"rust"}), ("rustc",), _RUSTC, _of_rustc, environment=(("RUSTC_BOOTSTRAP", "1"),)),
    _Row(frozenset({"go"}), ("gofmt",), ("-e",), _of_gofmt),
    _Row(frozenset({"c", "cpp"}), ("clang", "gcc", "cc"), _CC, _of_c),
    _Row(
        frozenset({"javascript"}),
        ("node",),
        ("--experimental-vm-modules", "--no-warnings", "-e", _NODE),
        _of_node,
        first_only=True,
    ),
    _Row(frozenset({"ruby"}), ("ruby",), ("--disable=gems", "-W0", "-c"), _of_ruby, first_only=True),
    _Row(frozenset({"php"}), ("php",), ("-n", "-l"), _of_php, first_only=True),
)


class OwnParsers:
    """The parsers for files of one workspace folder (None: of no folder), and what they said lately."""

    def __init__(self, folder: Path | None, limit_s: float = LIMIT_S) -> None:
        self._surroundings = Surroundings.of(folder, trusted=False)
        self._limit_s = limit_s
        self._programs: dict[str, Path | None] = {}
        self._said: OrderedDict[tuple[str, Path | None, bytes], int | None] = OrderedDict()
        self._late = 0
        self._rests_until = float("-inf")

    def name_of(self, language_id: str) -> str:
        """The program that is asked about a language; "" for none."""
        program = self._program(language_id)
        return "" if program is None else program.stem

    async def faults(self, document: Document, text: str) -> int | None:
        """Syntax errors of `text`, as a version of `document`; None where nobody can tell, or not in time.

        What was asked before is known. Cancelling ends the program.
        """
        key = document.language_id, document.path, blake2b(text.encode("utf-8", "surrogatepass")).digest()
        if key in self._said:
            self._said.move_to_end(key)
            return self._said[key]
        program = self._program(document.language_id)
        if program is None or len(text) > _LONGEST or time.monotonic() < self._rests_until:
            return None
        try:
            found = await self._ask(program, document, text)
        except CheckerFailed:
            self._late += 1
            if self._late >= _LATE:
                self._late, self._rests_until = 0, time.monotonic() + _RESTS_S
            return None
        except (ValueError, AttributeError):  # it printed something else than it should
            found = None
        self._late = 0
        self._said[key] = found
        while len(self._said) > _KNOWN:
            self._said.popitem(last=False)
        return found

    def more(self, document: Document, before: int | None, after: int | None) -> bool:
        """Whether a text with `after` errors is worse than the one of before, as far as this parser can tell."""
        row = _row(document.language_id)
        if row is None or before is None or after is None or (row.first_only and before):
            return False
        return after > before

    def _program(self, language_id: str) -> Path | None:
        if language_id not in self._programs:
            row = _row(language_id)
            self._programs[language_id] = None if row is None else self._surroundings.find(*row.programs)
        return self._programs[language_id]

    async def _ask(self, program: Path, document: Document, text: str) -> int | None:
        row = _row(document.language_id)
        if row is None:
            return None
        command = [str(program), *row.arguments]
        if row.read is _of_c:
            command = [*command, *_headers(document), "-x", "c++" if document.language_id == "cpp" else "c", "-"]
            command = [*_LIMITED, *command]
        done = await run(
            command,
            folder=Path(program.anchor),
            environment=self._surroundings.environment(**dict(row.environment)),
            limit_s=self._limit_s,
            text=_without_options(text) if row.read is _of_ruby else text,
        )
        return row.read(done)


def _row(language_id: str) -> _Row | None:
    return next((row for row in _ROWS if language_id in row.languages), None)


def _without_options(text: str) -> str:
    """Without the options of a line `#!`: older Rubies load what it names with `-r`, and start other programs that it
    names, although they are to parse only."""
    return _SHEBANG.sub("# ", text)


def _headers(document: Document) -> list[str]:
    """Where a file's headers most likely are: beside it, and in folders `include` above it."""
    if document.path is None:
        return []
    places = [str(above / "include") for above in document.path.parents[:_ABOVE] if (above / "include").is_dir()]
    return [
        "-iquote",
        str(document.path.parent),
        *(word for place in places for word in ("-I", os.path.abspath(place))),
    ]
