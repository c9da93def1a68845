"""Which program parses which language, how it is asked, and what it means by what it prints."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coderls.document import Document
from coderls.repair.checkers.process import WITHOUT_GCH, Done

#: So many folders above a file are looked at for headers.
_ABOVE = 6
#: Address space of a C compiler in KiB while somebody types: it looks at no types, and needs less than a checker.
_C_MEMORY_KIB = 1_500_000
_SHEBANG = re.compile(r"\A\ufeff?#!")
_GOFMT = re.compile(r"^<standard input>:\d+:\d+: ", re.MULTILINE)
#: In whatever file: a macro that is defined here may break a header.
_C_ANY = re.compile(r"^(?:[A-Za-z]:)?[^:\n]+:\d+:(?:\d+:)? (?:fatal )?error: (.*)$", re.MULTILINE)
#: How both compilers word what their parsers and lexers find. Names and types are not their matter here.
_C_SYNTAX = re.compile(
    r"expected |missing terminating|unterminated|extraneous|stray |function definition is not allowed|macro \"|"
    r"pasting |too (?:many|few) arguments provided to function-like macro"
)
_C_LOST = re.compile(r"fatal error: |file not found|No such file")


@dataclass(frozen=True, slots=True)
class Once:
    """A program that reads one text and ends. `read`: the number of errors it found, None where it could not tell.

    `first_only`: it stops at the first error, so in a file that is broken it has nothing to say.
    """

    languages: frozenset[str]
    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    read: Callable[[Done], int | None]
    first_only: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    memory_kib: int | None = None

    def command(self, program: Path, document: Document) -> list[str]:
        """What is run."""
        if self.read is not _of_c:
            return [str(program), *self.arguments]
        kind = "c++" if document.language_id == "cpp" else "c"
        return [str(program), *self.arguments, *_headers(document), "-x", kind, "-"]

    def asked(self, text: str) -> str:
        """What goes to its standard input."""
        return _without_options(text) if self.read is _of_ruby else text


@dataclass(frozen=True, slots=True)
class Stays:
    """A program that takes long to start, and then is asked one text after the other (see `processes`).

    `script` lies beside this file. `kinds`: what a language is called in a question. `typescript`: the script needs
    the package of that name.
    """

    kinds: dict[str, str]
    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    script: str
    first_only: bool = False
    typescript: bool = False

    @property
    def languages(self) -> frozenset[str]:
        """Language ids."""
        return frozenset(self.kinds)

    def command(self, program: Path, package: Path | None) -> tuple[str, ...]:
        """What is started. `package`: TypeScript's `typescript.js`."""
        script = Path(__file__).with_name(self.script)
        more = [str(package)] if package is not None else []
        return (str(program), *self.arguments, str(script), *more)


def row_of(language_id: str) -> Once | Stays | None:
    """Who parses a language; None for nobody."""
    return next((row for row in _ROWS if language_id in row.languages), None)


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


def _of_ruby(done: Done) -> int | None:
    return 0 if not done.code else 1 if "syntax error" in done.stderr.lower() else None


def _of_php(done: Done) -> int | None:
    return 0 if not done.code else 1 if "error" in (done.stdout + done.stderr).lower() else None


_RUSTC = ("-Zparse-crate-root-only", "--error-format=json", "--edition=2021", "--crate-name=parsed", "-")
_CC = ("-fsyntax-only", "-w", "-fno-diagnostics-color", *WITHOUT_GCH)
_NODE = ("--max-old-space-size=512", "--experimental-vm-modules", "--no-warnings")
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError")
_ROWS: tuple[Once | Stays, ...] = (
    # The option is one of nightly compilers; this is how a stable one takes it.
    Once(frozenset({"rust"}), ("rustc",), _RUSTC, _of_rustc, environment=(("RUSTC_BOOTSTRAP", "1"),)),
    Once(frozenset({"go"}), ("gofmt",), ("-e",), _of_gofmt),
    Once(frozenset({"c", "cpp"}), ("clang", "gcc", "cc"), _CC, _of_c, memory_kib=_C_MEMORY_KIB),
    Once(frozenset({"ruby"}), ("ruby",), ("--disable=gems", "-W0", "-c"), _of_ruby, first_only=True),
    Once(frozenset({"php"}), ("php",), ("-n", "-l"), _of_php, first_only=True),
    Stays({"javascript": "module"}, ("node",), _NODE, "parse.cjs", first_only=True),
    Stays(
        {"typescript": "ts", "typescriptreact": "tsx", "javascriptreact": "jsx"},
        ("node",),
        _NODE,
        "parse.cjs",
        typescript=True,
    ),
    Stays({"java": "java"}, ("java",), _JAVA, "ParseJava.java"),
)


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
