"""Files and folders that a command names, looked at before anything is imported or started for it."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coderls.errors import NotThere, UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """A place in a file. `line` and `column` count from 1; a column counts characters (code points)."""

    path: Path
    line: int
    column: int

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read FILE:LINE:COLUMN; colons before the last two belong to the file (`C:\\a.py:3:1`). Raises ValueError."""
        pieces = text.rsplit(":", 2)
        if len(pieces) < 3 or not pieces[0] or not all(piece.isdecimal() for piece in pieces[1:]):
            raise ValueError(f"{text!r} is no FILE:LINE:COLUMN, for example src/app.py:12:5")
        line, column = int(pieces[1]), int(pieces[2])
        if not line or not column:
            raise ValueError(f"{text!r}: lines and columns count from 1")
        return cls(Path(pieces[0]), line, column)


def needs_file(path: Path) -> None:
    """Raises NotThere for a path that no file is at."""
    if os.path.isdir(path):
        raise NotThere(f"{path} is a folder.", "Name a file in it.")
    if _is_missing(path):
        raise NotThere(f"There is no file {path}.", "Check the path.")


def needs_folder(path: Path | None, what: str = "", todo: str = "Name the folder of the project.") -> None:
    """Raises NotThere for a path (None: it was not given) that no folder is at. `what` stands before it."""
    if path is not None and not os.path.isdir(path):
        raise NotThere(f"{what} {path.absolute()} is no folder.".lstrip(), todo)


def _is_missing(path: Path) -> bool:
    """Whether nothing is there. What may not be looked at is: reading it says why it cannot be."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # no permission; a name that is too long, or holds a null byte
        return False
    return False


def of_complete(args: argparse.Namespace) -> None:
    """What `coderls complete` names."""
    needs_file(args.target.path)
    needs_folder(args.root, "--root")


def of_replay(args: argparse.Namespace) -> None:
    """What `coderls replay` names."""
    for path in args.files:
        if _is_missing(path):
            raise NotThere(f"There is no file {path}.", "Name a file that `coderls --record` wrote.")
    if args.as_test is not None and (len(args.files) != 1 or os.path.isdir(args.files[0])):
        raise UsageError("A test is made of one record.", "Name one file.")


def of_repair(args: argparse.Namespace) -> None:
    """What `coderls repair` names."""
    paths: Sequence[Path] = args.paths
    if args.line is not None and (args.check or len(paths) != 1):
        raise UsageError("--line goes with one FILE.", "Leave out --check, and name one file.")
    if not paths and not args.check:
        raise UsageError("There is no FILE to repair.", "Name one, or use --check for a whole folder.")
    if not args.check and (len(paths) > 1 or os.path.isdir(paths[0])):
        raise UsageError("Several files or a folder need --check.", "With --apply it writes, too.")
    missing = next(filter(_is_missing, paths), None)
    if missing is not None:
        place = re.fullmatch(r"(.+?):(\d+)(?::\d+)?", str(missing))
        line = f"For one line: {place[1]} --line {place[2]}" if place and os.path.isfile(place[1]) else ""
        raise NotThere(f"There is no file {missing}.", line or "Check the path.")
    needs_folder(args.root, "--root")


def of_index(args: argparse.Namespace) -> None:
    """What `coderls index` names. A file that is not there is no misuse: --why says so."""
    needs_folder(args.folder, todo="Name the folder of a project.")


def of_doctor(args: argparse.Namespace) -> None:
    """What `coderls doctor` names."""
    needs_folder(args.folder, "--folder")
