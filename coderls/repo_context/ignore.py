"""Ignore files, read as git reads .gitignore: nested, the deepest that has an opinion wins."""

from __future__ import annotations

from pathlib import Path

import pathspec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from coderls.repo_context.reading import read_regular

_MAX_BYTES = 200_000


class IgnoreRules:
    """The rules of one workspace folder. Files are read when first needed and kept until `forget`."""

    NAMES = (".gitignore", ".ignore", ".coderlsignore")

    def __init__(self, root: Path) -> None:
        self._root = root
        self._specs: dict[tuple[str, bool], pathspec.GitIgnoreSpec | None] = {}

    def ignores(self, path: str, *, with_git: bool = True) -> bool:
        """Whether `path` or a folder above it is ignored. `with_git=False` leaves .gitignore to git itself."""
        parts = path.split("/")
        folders = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return any(self.hides(f"{folder}/", with_git=with_git) for folder in folders) or self.hides(
            path, with_git=with_git
        )

    def hides(self, path: str, *, with_git: bool = True) -> bool:
        """Whether this path itself is ignored (a folder with or without a slash at its end)."""
        folder = path.rstrip("/")
        while folder:
            folder = folder.rpartition("/")[0]
            spec = self._spec(folder, with_git)
            if spec is not None:
                seen = path[len(folder) + 1 :] if folder else path
                include = spec.check_file(seen).include
                if include is not None:
                    return include
        return False

    def forget(self) -> None:
        """Read the ignore files again when they are needed."""
        self._specs.clear()

    def _spec(self, folder: str, with_git: bool) -> pathspec.GitIgnoreSpec | None:
        key = (folder, with_git)
        if key not in self._specs:
            self._specs[key] = self._read(folder, with_git)
        return self._specs[key]

    def _read(self, folder: str, with_git: bool) -> pathspec.GitIgnoreSpec | None:
        patterns: list[GitIgnoreSpecPattern] = []
        for name in self.NAMES[0 if with_git else 1 :]:
            data = read_regular(self._root / folder / name, _MAX_BYTES) or b""
            for line in data.decode("utf-8", "replace").splitlines():
                patterns += _patterns(line)
        return pathspec.GitIgnoreSpec(patterns) if patterns else None


def _patterns(line: str) -> list[GitIgnoreSpecPattern]:
    try:
        return list(pathspec.GitIgnoreSpec.from_lines([line]).patterns)
    except ValueError:  # a line that is no pattern
        return []
