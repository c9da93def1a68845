"""Which files of the workspace may be read: listed by git or by walking, less what is ignored, secret or no source.

Nothing of the repository is ever run: git is called with the settings that run programs switched off, without
a shell, with a time limit. Symbolic links never lead out of the workspace folder.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from coderls.repo_context.exclusion import Reason, Tally
from coderls.repo_context.filters import (
    MAX_FILE_BYTES,
    NOT_SOURCE,
    decoded,
    is_binary,
    is_plain,
    name_reason,
    text_reason,
)
from coderls.repo_context.git import CHECK_LIMIT_S, git_files, git_ignore_rule, git_ignores
from coderls.repo_context.ignore import IGNORE_FILES, IgnoreRules
from coderls.repo_context.languages.language import normal
from coderls.repo_context.reading import Bytes, Stamp, read_stamped
from coderls.secret_files import SECRET_FOLDERS, is_secret

#: Files of one workspace folder that are looked at, at most: a file takes about 1 KB of memory.
MAX_FILES = 250_000
#: Answers of git about single files that are kept.
_MAX_ANSWERS = 10_000
#: A git that does not answer (a slow disk, a pipe where it looks for patterns) is not asked about each file in turn.
_GIT_RESTS_S = 60.0


class Workspace:
    """The folders that the editor has open. `notes` are sentences for the user about what is not indexed.

    `tallies` say, for each folder, how many files were left out when they were listed, and why.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(Path(os.path.abspath(folder)) for folder in folders)
        #: Of these only open files are indexed: home folders, and what holds them.
        self.open_only = tuple(_is_too_much(folder) for folder in self.folders)
        self.tallies = [Tally() for _ in self.folders]
        self.notes: dict[str, None] = {}
        self._real = tuple(os.path.realpath(folder) for folder in self.folders)
        self._rules = tuple(IgnoreRules(folder) for folder in self.folders)
        self._listed: list[frozenset[str]] = [frozenset() for _ in self.folders]
        self._real_parents: dict[str, str] = {}
        self._git_ignores: dict[tuple[int, str], bool] = {}
        self._git_rests_until = float("-inf")
        #: Folders that a repository around them ignores: git has nothing to say about their files.
        self._without_git: set[int] = set()
        #: Where `A.py` is `a.py`: the names as they were listed, by the same in lower case.
        self._folds = tuple(_folds_case(folder) for folder in self.folders)
        self._spelled: list[dict[str, str]] = [{} for _ in self.folders]

    def locate(self, path: Path) -> tuple[int, str] | None:
        """Number of the innermost folder that holds `path`, and the path in it; None outside of all."""
        best: tuple[int, int, str] | None = None
        given = os.path.abspath(path)
        for number, folder in enumerate(self.folders):
            for root in {str(folder), self._real[number]}:
                inside = _below(given, root)
                if inside and (best is None or len(root) > best[0]):
                    best = (len(root), number, inside)
        if best is None:
            return None
        _, number, inside = best
        return number, self._spelled[number].get(inside.casefold(), inside) if self._folds[number] else inside

    def is_allowed(self, path: Path) -> bool:
        """Whether this file may give context: inside the workspace, not secret, not ignored, no way out by links."""
        return self.forbidden(path) is None

    def forbidden(self, path: Path) -> Reason | None:
        """Why this file may not give context, whatever is in it."""
        place = self.locate(path)
        if place is None:
            return Reason.OUTSIDE
        number, inside = place
        if is_secret(inside):
            return Reason.SECRET
        if not is_plain(inside):
            return Reason.NAME
        if not self._stays_inside(number, inside):
            return Reason.LINK
        if inside in self._listed[number] or not self._is_ignored(number, inside):
            return None
        return Reason.IGNORED

    def ignore_rule(self, number: int, inside: str) -> str:
        """The line that ignores a file of folder `number`, as `file:line: pattern`; empty where none does."""
        folder = self.folders[number]
        by_git = "" if number in self._without_git else git_ignore_rule(folder / inside, folder)
        return self._rules[number].rule(inside, with_git=False) or by_git or self._rules[number].rule(inside)

    def is_passed_over(self, number: int, inside: str) -> bool:
        """Whether a file is in a folder such as node_modules, which is skipped where git does not list it."""
        return inside not in self._listed[number] and any(part in NOT_SOURCE for part in inside.split("/")[:-1])

    def may_hold_sources(self, folder: Path) -> bool:
        """Whether files of a new folder could be read."""
        place = self.locate(folder)
        if place is None:
            return False
        number, inside = place
        skipped = self.open_only[number] or self.is_passed_over(number, f"{inside}/")
        skipped = skipped or is_secret(f"{inside}/x") or self._rules[number].ignores(f"{inside}/")
        return not skipped and self.is_allowed(folder)

    def list_files(self, number: int) -> list[str]:
        """Sources and settings files of one folder, sorted; what is not looked at is said in `notes`."""
        folder = self.folders[number]
        self.tallies[number] = Tally()
        if self.open_only[number]:
            self.notes[f"{folder} is a home folder or the whole disk: only open files are indexed."] = None
            return []
        if not folder.is_dir():
            self.notes[f"{folder} is no folder that can be read: nothing of it is indexed."] = None
            return []
        self._rules[number].forget()
        self._git_ignores.clear()
        self._without_git.discard(number)
        if not (folder / ".git").exists() and git_ignores(folder, folder):
            self._without_git.add(number)
            self.notes[f"A git repository around {folder} ignores it: its files are read all the same."] = None
        self._listed[number] = self._wanted(number, "")
        if self._folds[number]:
            self._spelled[number] = {path.casefold(): path for path in self._listed[number]}
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
        found = self.read_bytes(number, inside)
        text = decoded(found.data)
        return None if found.reason or text_reason(text) else text

    def read_bytes(self, number: int, inside: str) -> Bytes:
        """The bytes of a file of folder `number`, or why there are none."""
        if not self._stays_inside(number, inside):
            return Bytes(reason=Reason.LINK)
        found = read_stamped(os.path.join(self.folders[number], inside), MAX_FILE_BYTES)
        if found.reason is None and is_binary(found.data):
            return Bytes(stamp=found.stamp, reason=Reason.BINARY)
        return found

    def stamp(self, number: int, inside: str) -> Stamp | None:
        """Time of change and size of a file of folder `number`; None for what is no file that may be read."""
        path = os.path.join(self.folders[number], inside)
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                status = os.stat(path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or not self._stays_inside(number, inside):
            return None
        return Stamp(status.st_mtime_ns, status.st_size)

    def changed(self, path: Path) -> bool:
        """Take note that `path` changed on disk. True for an ignore file: what is allowed may have changed."""
        self._real_parents.clear()  # it may be a link now
        place = self.locate(path)
        if place is None or path.name not in IGNORE_FILES:
            return False
        self._rules[place[0]].forget()
        self._git_ignores.clear()
        self._listed[place[0]] = frozenset()
        return True

    def _wanted(self, number: int, inside: str) -> frozenset[str]:
        """Sources and settings files in and below `inside`."""
        folder, rules, tally = self.folders[number], self._rules[number], self.tallies[number]
        listed = None if number in self._without_git else git_files(folder / inside)
        above = f"{inside}/" if inside else ""
        wanted: set[str] = set()
        for path in self._walk(number, inside) if listed is None else (above + name for name in listed):
            found = normal(path)
            if not found:
                continue
            reason = name_reason(found)
            if is_secret(found):
                reason = Reason.SECRET
            elif reason is None and listed is not None and rules.ignores(found, with_git=False):
                reason = Reason.IGNORED
            elif reason is None and len(wanted) >= MAX_FILES:
                reason = Reason.TOO_MANY
                self.notes[f"{folder} has more than {MAX_FILES} source files: the rest is not indexed."] = None
            if reason is None:
                wanted.add(found)
            else:
                tally.add(reason, found)
        return frozenset(wanted)

    def _is_ignored(self, number: int, inside: str) -> bool:
        """Whether a file that was not listed (new since then, or open) is ignored: by our rules, or by git's others."""
        if self._rules[number].ignores(inside):
            return True
        if number in self._without_git:
            return False
        key = (number, inside)
        if key not in self._git_ignores:
            began = time.monotonic()
            if began < self._git_rests_until:
                return False
            if len(self._git_ignores) >= _MAX_ANSWERS:
                self._git_ignores.clear()
            answer = git_ignores(self.folders[number] / inside, self.folders[number])
            if time.monotonic() - began >= CHECK_LIMIT_S:  # that was no answer
                self._git_rests_until = time.monotonic() + _GIT_RESTS_S
                return False
            self._git_ignores[key] = answer
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
        rules, tally = self._rules[number], self.tallies[number]
        waiting = [start]
        while waiting:
            inside = waiting.pop()
            try:
                with os.scandir(os.path.join(self.folders[number], inside)) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError:
                self.notes[f"{self.folders[number] / inside} cannot be read: nothing of it is indexed."] = None
                continue
            if IGNORE_FILES.isdisjoint(entry.name for entry in entries):
                rules.has_none(inside)
            for entry in entries:
                path = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    reason = _folder_reason(entry.name, hidden=rules.hides(f"{path}/"))
                    if reason is None:
                        waiting.append(path)
                    else:
                        tally.add(reason, f"{path}/")
                elif rules.hides(path):
                    tally.add(Reason.IGNORED, path)
                else:
                    yield path


def _below(path: str, root: str) -> str | None:
    """`path` as seen from `root`, with forward slashes; None when it is not below it."""
    root = root.rstrip(os.sep) + os.sep
    if not os.path.normcase(path).startswith(os.path.normcase(root)):
        return None
    return path[len(root) :].replace(os.sep, "/")


def _is_too_much(folder: Path) -> bool:
    """A home folder, a folder that holds it, or a disk."""
    real = os.path.realpath(folder)
    if os.path.dirname(real) == real:
        return True
    try:
        home = os.path.realpath(Path.home())
    except RuntimeError:  # nobody says where it is
        return False
    return real == home or _below(home, real) is not None


def _folder_reason(name: str, *, hidden: bool) -> Reason | None:
    if name in SECRET_FOLDERS:
        return Reason.SECRET
    if name in NOT_SOURCE:
        return Reason.FOLDER
    return Reason.IGNORED if hidden else None


def _folds_case(folder: Path) -> bool:
    """Whether the disk takes `A` and `a` for the same name (as macOS and Windows mostly do)."""
    name = folder.name
    try:
        return name != name.swapcase() and folder.with_name(name.swapcase()).samefile(folder)
    except (OSError, ValueError):
        return False
