"""Ignore files, read as git reads .gitignore: nested, the deepest that has an opinion wins."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pathspec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from coderls.repo_context.exclusion import Reason
from coderls.repo_context.reading import read_stamped

_NAMES = (".gitignore", ".ignore", ".coderlsignore")
IGNORE_FILES = frozenset(_NAMES)
_MAX_BYTES = 200_000
#: Stars in one part of a pattern, and `**` in all of it. Matching takes time in that power of the length of a path.
_MAX_STARS, _MAX_DEEP = 3, 3
_STARS = re.compile(r"\*+|/")


@dataclass(frozen=True, slots=True)
class _Rules:
    """The patterns of one folder, and where each stands: `file:line`."""

    spec: pathspec.GitIgnoreSpec
    places: tuple[str, ...]


class IgnoreRules:
    """The rules of one workspace folder. Files are read when first needed and kept until `forget`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: dict[tuple[str, bool], _Rules | None] = {}
        self._hidden: dict[tuple[str, bool], bool] = {}

    def ignores(self, path: str, *, with_git: bool = True) -> bool:
        """Whether `path` or a folder above it is ignored. `with_git=False` leaves .gitignore to git itself."""
        return self._hides_folder(path.rpartition("/")[0], with_git) or self.hides(path, with_git=with_git)

    def hides(self, path: str, *, with_git: bool = True) -> bool:
        """Whether this path itself is ignored (a folder with or without a slash at its end)."""
        found = self._opinion(path, with_git)
        return found is not None and found[0]

    def rule(self, path: str, *, with_git: bool = True) -> str:
        """The line that ignores `path` or a folder above it, as `file:line: pattern`; empty where none does."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            found = self._opinion("/".join(parts[:count]) + ("/" if count < len(parts) else ""), with_git)
            if found is not None and found[0]:
                return found[1]
        return ""

    def has_none(self, folder: str) -> None:
        """There is no ignore file in this folder: who lists it knows, and nobody has to look for one."""
        for with_git in (False, True):
            self._rules[folder, with_git] = None

    def forget(self) -> None:
        """Read the ignore files again when they are needed."""
        self._rules.clear()
        self._hidden.clear()

    def _hides_folder(self, folder: str, with_git: bool) -> bool:
        """Whether a folder or one above it is ignored; remembered, because thousands of files ask."""
        above = []
        while folder and (folder, with_git) not in self._hidden:
            above.append(folder)
            folder = folder.rpartition("/")[0]
        hidden = bool(folder) and self._hidden[folder, with_git]
        for inner in reversed(above):
            hidden = hidden or self.hides(f"{inner}/", with_git=with_git)
            self._hidden[inner, with_git] = hidden
        return hidden

    def _opinion(self, path: str, with_git: bool) -> tuple[bool, str] | None:
        """Whether the deepest ignore file that says something about `path` ignores it, and its line."""
        folder = path.rstrip("/")
        while folder:
            folder = folder.rpartition("/")[0]
            rules = self._of(folder, with_git)
            if rules is not None:
                found = rules.spec.check_file(path[len(folder) + 1 :] if folder else path)
                if found.include is not None:
                    return found.include, rules.places[found.index] if found.index is not None else ""
        return None

    def _of(self, folder: str, with_git: bool) -> _Rules | None:
        key = (folder, with_git)
        if key not in self._rules:
            self._rules[key] = self._read(folder, with_git)
        return self._rules[key]

    def _read(self, folder: str, with_git: bool) -> _Rules | None:
        patterns: list[GitIgnoreSpecPattern] = []
        places: list[str] = []
        for name in _NAMES[0 if with_git else 1 :]:
            read = read_stamped(os.path.join(self._root, folder, name), _MAX_BYTES)
            if read.reason is Reason.TOO_LONG:  # what it would ignore is not known: nothing here is let in
                patterns += _patterns("*")
                places.append(f"{folder}/{name}: too long to be read, so all of its folder is left out".lstrip("/"))
                continue
            text = read.data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
            for number, line in enumerate(text.split("\n"), 1):  # where git ends lines, and nowhere else
                found = _patterns(line)
                patterns += found
                places += [f"{folder}/{name}:{number}: {line.strip()}".lstrip("/")] * len(found)
        return _Rules(pathspec.GitIgnoreSpec(patterns), tuple(places)) if patterns else None


def _patterns(line: str) -> list[GitIgnoreSpecPattern]:
    try:
        return list(pathspec.GitIgnoreSpec.from_lines([_affordable(line)]).patterns)
    except ValueError:  # a line that is no pattern
        return []


def _affordable(line: str) -> str:
    """`line`, cut after the last star that can be afforded: then it ignores more. One that lets files in is dropped."""
    here = deep = end = 0
    for match in _STARS.finditer(line):
        if match.group() == "/":
            here = 0
            continue
        here += 1
        deep += match.end() - match.start() > 1
        if here > _MAX_STARS or deep > _MAX_DEEP:
            return "" if line.lstrip().startswith("!") else line[:end]
        end = match.end()
    return line
