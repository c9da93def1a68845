"""A copy of the workspace folder for checkers that read from disk, and for tests: the editor never sees it.

It holds what git lists (else what lies there, without folders of dependencies), brought up to date before each use.
Secrets are not copied. A link is copied as the file it leads to if that lies in the folder, and left out if it leads
elsewhere. The copy lies in a private folder and goes when it is closed.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repo_context.git import git_files
from coderls.secret_files import is_secret

#: A folder with more is not copied.
MOST_FILES = 20_000
MOST_BYTES = 500_000_000
#: Where git does not say what belongs to the project.
_SKIPPED = frozenset(
    {".git", ".hg", ".svn", "node_modules", "target", "build", "dist", ".venv", "venv", "__pycache__", ".tox", ".cache"}
)
#: Dependencies that a project's tests need are not copied: the shadow has a link to them.
LINKED = ("node_modules", ".venv", "venv")

Stamp = tuple[int, int]


class Shadow:
    """The copy of `folder`. Not for two tasks at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self.root = Path(os.path.realpath(tempfile.mkdtemp(prefix="coderls-shadow-"))) / self.folder.name
        self._stamps: dict[str, Stamp] = {}

    def refresh(self, linked: Sequence[str] = ()) -> None:
        """Copy what is new or has changed, and drop what is gone. Raises CheckerFailed for a folder that is too big.

        `linked` are folders of dependencies to link to.
        """
        seen: dict[str, Stamp] = {}
        size = 0
        for name, status in self._files():
            seen[name] = (status.st_mtime_ns, status.st_size)
            size += status.st_size
            if len(seen) > MOST_FILES or size > MOST_BYTES:
                raise CheckerFailed(
                    f"{self.folder} is too big to be copied ({MOST_FILES} files or {MOST_BYTES / 1e6:.0f} MB at most).",
                    "Open a smaller folder, or use a checker that needs no copy.",
                )
        for name in self._stamps.keys() - seen.keys():
            (self.root / name).unlink(missing_ok=True)
        self.root.mkdir(parents=True, exist_ok=True)
        for name, stamp in seen.items():
            if self._stamps.get(name) != stamp:
                self._copy(name)
        self._stamps = seen
        for name in linked:
            if (self.folder / name).is_dir() and not (self.root / name).exists():
                os.symlink(self.folder / name, self.root / name, target_is_directory=True)

    @contextmanager
    def holding(self, path: Path, text: str) -> Iterator[Path]:
        """While this is open the shadow of `path` holds `text`. Gives its place; raises CheckerFailed outside."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.folder):
            raise CheckerFailed(f"{path} lies outside of {self.folder}.")
        name = real.relative_to(self.folder).as_posix()
        if is_secret(name):
            raise CheckerFailed(f"{path} may hold secrets: it is not copied.")
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            yield place
        finally:
            self._stamps.pop(name, None)  # copied again when it is next needed
            place.unlink(missing_ok=True)
            if (self.folder / name).is_file():
                self._copy(name)
                os.utime(place)  # newer than what was built from the other text

    @contextmanager
    def as_open(self, documents: Sequence[Document]) -> Iterator[None]:
        """While this is open the shadow holds these documents as the editor does; those that it never holds are left
        out (secrets, and what lies elsewhere)."""
        with ExitStack() as stack:
            for one in documents:
                if one.path is not None:
                    with suppress(CheckerFailed):
                        stack.enter_context(self.holding(one.path, one.text))
            yield

    def close(self) -> None:
        """Delete the copy. Links in it are removed, not followed."""
        shutil.rmtree(self.root.parent, ignore_errors=True)

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        listed = git_files(self.folder)
        for name in sorted(set(self._walked() if listed is None else listed)):
            real = os.path.realpath(self.folder / name)
            if is_secret(name) or not Path(real).is_relative_to(self.folder):
                continue
            if is_secret(Path(real).relative_to(self.folder).as_posix()):
                continue
            with suppress(OSError):
                status = os.stat(real)
                if stat.S_ISREG(status.st_mode):
                    yield name, status

    def _walked(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if name not in _SKIPPED]
            for name in files:
                yield Path(folder, name).relative_to(self.folder).as_posix()

    def _copy(self, name: str) -> None:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.unlink(missing_ok=True)
            shutil.copy2(os.path.realpath(self.folder / name), place)
        except OSError as error:
            raise CheckerFailed(f"{self.folder / name} could not be copied: {error}.") from error
