"""The checkers that coderls knows, one row each: `find_checkers` and the table in the README are made from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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

#: Longer configuration files are not looked into (bytes).
_MOST_BYTES = 1_000_000
_MYPY = ("mypy.ini", ".mypy.ini", "pyproject.toml", "setup.cfg")
_ESLINT = ("eslint.config.js", "eslint.config.mjs", "eslint.config.cjs", "eslint.config.ts", "eslint.config.mts")


def always(_folder: Path | None, _found: frozenset[str]) -> bool:
    """Wanted wherever its language is."""
    return True


def where_mypy_is_used(folder: Path | None, found: frozenset[str]) -> bool:
    """A project without it would get complaints that its authors never saw; unless there is nothing else."""
    return "pyright" not in found or (folder is not None and any(_names_mypy(folder / name) for name in _MYPY))


def where_eslint_is_set_up(folder: Path | None, _found: frozenset[str]) -> bool:
    """Without a configuration it has no rules, and says that as an error."""
    return folder is not None and any((folder / name).is_file() for name in _ESLINT)


def _names_mypy(path: Path) -> bool:
    try:
        text = path.read_text("utf-8", "replace") if path.stat().st_size <= _MOST_BYTES else ""
    except OSError:
        return False  # it is not there
    return re.search(r"^\[(?:tool\.)?mypy", text, re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Row:
    """One checker: the programs to look for, best first, and what its users should know.

    `needs_trust`: it runs code of the project. `reads`: how it gets the text. `untrusted`: how it is used in a folder
    that is not trusted ("" where it is not). `wanted`: whether a folder wants it, given the names of those found
    before it; `when` says so in words.
    """

    kind: type[CommandChecker]
    programs: tuple[str, ...]
    reads: str
    needs_trust: bool = False
    untrusted: str = "as in a trusted one"
    fixes: bool = False
    wanted: Callable[[Path | None, frozenset[str]], bool] = always
    when: str = ""


TABLE: tuple[Row, ...] = (
    Row(Ruff, ("ruff",), "standard input", fixes=True),
    Row(
        Pyright,
        ("basedpyright-langserver", "pyright-langserver"),
        "language server, kept warm",
        untrusted="its environment is read, not run",
    ),
    Row(
        Mypy,
        ("mypy",),
        "`--shadow-file`",
        untrusted="without the project's configuration, which can name plugins",
        wanted=where_mypy_is_used,
        when="where the project configures it, or there is no pyright",
    ),
    Row(Tsc, ("tsc",), "language server, kept warm", fixes=True, untrusted="version 5 or newer, without plugins"),
    Row(
        Eslint,
        ("eslint",),
        "standard input",
        needs_trust=True,
        untrusted="",
        fixes=True,
        wanted=where_eslint_is_set_up,
        when="where there is an `eslint.config.*`",
    ),
    Row(GoVet, ("go",), "`-overlay`", untrusted="without cgo"),
    Row(Cargo, ("cargo",), "shadow copy", needs_trust=True, untrusted="", fixes=True),
    Row(CCompiler, ("gcc", "clang", "cc"), "standard input", fixes=True),
    Row(Javac, ("javac",), "copy of the file"),
)
