"""Ignore files, read as git reads .gitignore: nested, the deepest that has an opinion wins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pathspec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from coderls.repo_context.reading import read_regular

_MAX_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class _Rules:
    """The patterns of one folder, and where each stands: `file:line`."""

    spec: pathspec.GitIgnoreSpec
    places: tuple[str, ...]


class IgnoreRules:
    """The rules of one workspace folder. Files are read when first needed and kept until `forget`."""

    NAMES = (".gitignore", ".ignore", ".coderlsignore")

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

    def forget(self) -> None:
        """Read the ignore files again when they are needed."""
        self._rules.clear()
        self._hidden.clear()

    def _hides_folder(self, folder: str, with_git: bool) -> bool:
        """Whether a folder or one above it is ignored; remembered, because thousands of files ask."""
        if not folder:
            return False
        key = (folder, with_git)
        known = self._hidden.get(key)
        if known is None:
            above = self._hides_folder(folder.rpartition("/")[0], with_git)
            known = self._hidden[key] = above or self.hides(f"{folder}/", with_git=with_git)
        return known

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
        for name in self.NAMES[0 if with_git else 1 :]:
            data = read_regular(self._root / folder / name, _MAX_BYTES) or b""
            for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
                found = _patterns(line)
                patterns += found
                places += [f"{folder}/{name}:{number}: {line.strip()}".lstrip("/")] * len(found)
        return _Rules(pathspec.GitIgnoreSpec(patterns), tuple(places)) if patterns else None


def _patterns(line: str) -> list[GitIgnoreSpecPattern]:
    try:
        return list(pathspec.GitIgnoreSpec.from_lines([line]).patterns)
    except ValueError:  # a line that is no pattern
        return []
