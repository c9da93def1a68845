"""The checkers that coderls knows, one row each: `find_checkers` and the table in the README are made from it."""

from __future__ import annotations

from dataclasses import dataclass

from coderls.repair.checkers.cargo import Cargo
from coderls.repair.checkers.cc import CCompiler
from coderls.repair.checkers.command import CommandChecker
from coderls.repair.checkers.eslint import Eslint
from coderls.repair.checkers.go_vet import GoVet
from coderls.repair.checkers.javac import Javac
from coderls.repair.checkers.mypy import Mypy
from coderls.repair.checkers.pyright import Pyright
from coderls.repair.checkers.ruff import Ruff
from coderls.repair.checkers.typescript import Tsc


@dataclass(frozen=True, slots=True)
class Row:
    """One checker: the programs to look for, best first, and what its users should know.

    `needs_trust`: it runs code of the project. `reads`: how it gets the text. `untrusted`: how it is used in a folder
    that is not trusted ("" where it is not).
    """

    kind: type[CommandChecker]
    programs: tuple[str, ...]
    reads: str
    needs_trust: bool = False
    untrusted: str = "as in a trusted one"
    fixes: bool = False


TABLE: tuple[Row, ...] = (
    Row(Ruff, ("ruff",), "standard input", fixes=True),
    Row(
        Pyright,
        ("basedpyright-langserver", "pyright-langserver"),
        "language server, kept warm",
        untrusted="its environment is read, not run",
    ),
    Row(Mypy, ("mypy",), "`--shadow-file`", untrusted="without the project's configuration, which can name plugins"),
    Row(Tsc, ("tsc",), "language server, kept warm", fixes=True),
    Row(Eslint, ("eslint",), "standard input", needs_trust=True, untrusted="", fixes=True),
    Row(GoVet, ("go",), "`-overlay`", untrusted="without cgo"),
    Row(Cargo, ("cargo",), "shadow copy", needs_trust=True, untrusted="", fixes=True),
    Row(CCompiler, ("gcc", "clang", "cc"), "standard input", fixes=True),
    Row(Javac, ("javac",), "copy of the file"),
)
