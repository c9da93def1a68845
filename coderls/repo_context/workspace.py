"""Which files of the workspace may be read: listed by git or by walking, less what is ignored, secret or no source.

Nothing of the repository is ever run: git is called with the settings that run programs switched off, without
a shell, with a time limit. Symbolic links never lead out of the workspace folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from coderls.repo_context.git import git_files, git_ignores
from coderls.repo_context.ignore import IgnoreRules
from coderls.repo_context.languages import by_path, is_settings_file
from coderls.repo_context.languages.language import normal
from coderls.repo_context.reading import read_regular
from coderls.secret_files import SECRET_FOLDERS, is_secret

#: Longer files are not indexed (bytes).
MAX_FILE_BYTES = 1_000_000
#: Files of one workspace folder that are looked at, at most: the index is in memory, about 8 KB a file.
MAX_FILES = 50_000
#: Answers of git about single files that are kept.
_MAX_ANSWERS = 10_000

#: Folders that are skipped where no git says what is ignored.
_NOT_SOURCE = frozenset(
    {"node_modules", "__pycache__", "site-packages", ".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache",
     ".pytest_cache", ".cache", ".idea", ".vscode", ".gradle", ".next"}
)  # fmt: skip
_GENERATED_NAMES = ("*.min.js", "*.min.mjs", "*.bundle.js", "*_pb2.py", "*_pb2_grpc.py", "*.pb.go", "*.pb.cc", "*.pb.h")
_GENERATED = re.compile(r"@generated\b|\b(?:code|file) (?:is )?(?:auto)?generated\b.*\bdo not (?:edit|modify)", re.I)


class Workspace:
    """The folders that the editor has open. `notes` are sentences for the user about what is not indexed."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(Path(os.path.abspath(folder)) for folder in folders)
        self._real = tuple(os.path.realpath(folder) for folder in self.folders)
        self._rules = tuple(IgnoreRules(folder) for folder in self.folders)
        self._listed: list[frozenset[str]] = [frozenset() for _ in self.folders]
        self._real_parents: dict[str, str] = {}
        self._git_ignores: dict[tuple[int, str], bool] = {}
        self.notes: dict[str, None] = {}

    def locate(self, path: Path) -> tuple[int, str] | None:
        """Number of the innermost folder that holds `path`, and the path in it; None outside of all."""
        best: tuple[int, int, str] | None = None
        given = os.path.abspath(path)
        for number, folder in enumerate(self.folders):
            for root in {str(folder), self._real[number]}:
                inside = _below(given, root)
                if inside and (best is None or len(root) > best[0]):
                    best = (len(root), number, inside)
        return None if best is None else best[1:]

    def is_allowed(self, path: Path) -> bool:
        """Whether this file may give context: inside the workspace, not secret, not ignored, no way out by links."""
        place = self.locate(path)
        if place is None:
            return False
        number, inside = place
        if is_secret(inside) or not inside.isprintable() or not self._stays_inside(number, inside):
            return False
        return inside in self._listed[number] or not self._is_ignored(number, inside)

    def list_files(self, number: int) -> list[str]:
        """Sources and settings files of one folder, sorted; what is not looked at is said in `notes`."""
        folder = self.folders[number]
        if _is_too_much(folder):
            self.notes[f"{folder} is a home folder or the whole disk: only open files are indexed."] = None
            return []
        if not folder.is_dir():
            self.notes[f"{folder} is no folder that can be read: nothing of it is indexed."] = None
            return []
        self._rules[number].forget()
        self._git_ignores.clear()
        self._listed[number] = self._wanted(number, "")
        self._real_parents.clear()
        return sorted(self._listed[number])

    def list_below(self, number: int, inside: str) -> list[str]:
        """The same for a folder that is new in folder `number`."""
        found = self._wanted(number, inside)
        self._listed[number] |= found
        return sorted(found)

    def read(self, number: int, inside: str) -> str | None:
        """The text of a file of folder `number`; None when it is not to be indexed, or cannot be read.

        Broken UTF-8 becomes U+FFFD.
        """
        if not self._stays_inside(number, inside):
            return None
        data = read_regular(self.folders[number] / inside, MAX_FILE_BYTES)
        if data is None or b"\0" in data[:8192]:
            return None
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
        return None if _is_made_by_machine(text) else text

    def changed(self, path: Path) -> bool:
        """Take note that `path` changed on disk. True for an ignore file: what is allowed may have changed."""
        self._real_parents.clear()  # it may be a link now
        place = self.locate(path)
        if place is None or path.name not in IgnoreRules.NAMES:
            return False
        self._rules[place[0]].forget()
        self._git_ignores.clear()
        self._listed[place[0]] = frozenset()
        return True

    def _wanted(self, number: int, inside: str) -> frozenset[str]:
        """Sources and settings files in and below `inside`."""
        folder, rules = self.folders[number], self._rules[number]
        listed = git_files(folder / inside)
        above = f"{inside}/" if inside else ""
        wanted: set[str] = set()
        for path in self._walk(number, inside) if listed is None else (above + name for name in listed):
            found = normal(path)
            if not found or not _is_wanted(found) or is_secret(found):
                continue
            if listed is not None and rules.ignores(found, with_git=False):
                continue
            wanted.add(found)
            if len(wanted) >= MAX_FILES:
                self.notes[f"{folder} has more than {MAX_FILES} source files: the rest is not indexed."] = None
                break
        return frozenset(wanted)

    def _is_ignored(self, number: int, inside: str) -> bool:
        """Whether a file that was not listed (new since then, or open) is ignored: by our rules, or by git's others."""
        if self._rules[number].ignores(inside):
            return True
        key = (number, inside)
        if key not in self._git_ignores:
            if len(self._git_ignores) >= _MAX_ANSWERS:
                self._git_ignores.clear()
            self._git_ignores[key] = git_ignores(self.folders[number] / inside)
        return self._git_ignores[key]

    def _stays_inside(self, number: int, inside: str) -> bool:
        parent = os.path.join(self.folders[number], os.path.dirname(inside))
        real = self._real_parents.get(parent)
        if real is None:
            real = self._real_parents[parent] = os.path.realpath(parent)
        name = os.path.join(real, os.path.basename(inside))
        target = os.path.realpath(name) if os.path.islink(name) else name
        found = _below(target, self._real[number])
        return found is not None and not is_secret(found)

    def _walk(self, number: int, start: str) -> Iterator[str]:
        """Files of a folder without git. Links to folders are not followed, so there are no loops."""
        rules = self._rules[number]
        waiting = [start]
        while waiting:
            inside = waiting.pop()
            try:
                entries = sorted(os.scandir(self.folders[number] / inside), key=lambda entry: entry.name)
            except OSError:
                self.notes[f"{self.folders[number] / inside} cannot be read: nothing of it is indexed."] = None
                continue
            for entry in entries:
                path = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _NOT_SOURCE and entry.name not in SECRET_FOLDERS and not rules.hides(path):
                        waiting.append(path)
                elif not rules.hides(path):
                    yield path


def _below(path: str, root: str) -> str | None:
    """`path` as seen from `root`, with forward slashes; None when it is not below it."""
    root = root.rstrip(os.sep) + os.sep
    if not os.path.normcase(path).startswith(os.path.normcase(root)):
        return None
    return path[len(root) :].replace(os.sep, "/")


def _is_too_much(folder: Path) -> bool:
    """A home folder, a folder that holds it, or a disk."""
    home = os.path.realpath(Path.home())
    real = os.path.realpath(folder)
    return real == home or _below(home, real) is not None


def _is_wanted(path: str) -> bool:
    name = path.rpartition("/")[2]
    if not path.isprintable():  # broken UTF-8, line ends: nothing that can be written into a prompt
        return False
    if is_settings_file(name):
        return True
    return by_path(path) is not None and not any(fnmatchcase(name, pattern) for pattern in _GENERATED_NAMES)


def _is_made_by_machine(text: str) -> bool:
    """Minified (very long lines) or marked as generated in its first lines."""
    head = text[:2_000]
    if _GENERATED.search(head):
        return True
    return len(text) > 2_000 and len(text) / (text.count("\n") + 1) > 250
