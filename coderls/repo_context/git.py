"""The files that git knows of, asked in a way that runs nothing of the repository's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from coderls.stand_ins import stands_for_nothing

_LIMIT_S = 20.0
#: About one file: a completion may wait for it.
CHECK_LIMIT_S = 2.0
_MAX_DEPTH = 4
#: A repository's own configuration can name programs; these settings keep git from running any, or going online.
_SAFE = (
    "--no-pager",
    "-c", "core.fsmonitor=false",
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "protocol.allow=never",
    "-c", "submodule.recurse=false",
)  # fmt: skip
_LIST = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")


def git_files(folder: Path) -> list[str] | None:
    """Tracked and untracked files below `folder`, without ignored ones; None where git has no answer.

    Submodules and repositories inside are listed as well. Paths are relative to `folder`; some may not exist.
    """
    program = _program(folder)
    if program is None:
        return None
    files = _list(program, folder, "", _MAX_DEPTH)
    if files and not any(os.path.lexists(folder / name) for name in files):
        return None  # core.worktree points elsewhere
    return files


def git_ignores(path: Path, folder: Path) -> bool:
    """Whether git ignores this file or folder, of workspace folder `folder`; false too where git has no answer.

    Unlike our own reading of .gitignore it knows `.git/info/exclude`, the user's own ignore file, and ignore files
    above the workspace folder.
    """
    answer = _check_ignore(path, folder, "--quiet")
    return answer is not None and answer.returncode == 0


def git_ignore_rule(path: Path, folder: Path) -> str:
    """The line by which git ignores this file, as `file:line:pattern`; empty where it does not."""
    answer = _check_ignore(path, folder, "--verbose")
    if answer is None or answer.returncode:
        return ""
    return os.fsdecode(answer.stdout).partition("\t")[0].strip()


def _check_ignore(path: Path, folder: Path, option: str) -> subprocess.CompletedProcess[bytes] | None:
    program = _program(folder)
    return (
        None
        if program is None
        else _run(program, path.parent, "check-ignore", option, "--", path.name, limit_s=CHECK_LIMIT_S)
    )


def _program(folder: Path) -> str | None:
    """The git that is installed; None for one that lies in the workspace folder or is found by a relative name.

    (Windows looks into the current folder first, which may well be the workspace.)
    """
    program = shutil.which("git")
    if program is None or not os.path.isabs(program) or Path(program).resolve().is_relative_to(folder.resolve()):
        return None
    return None if stands_for_nothing(Path(program)) else program


def _list(program: str, folder: Path, inside: str, depth: int) -> list[str] | None:
    names = _ask(program, folder / inside)
    if names is None:
        return None
    files: list[str] = []
    for name in dict.fromkeys(names):
        path = f"{inside}/{name}" if inside else name
        place = folder / path
        # A submodule is listed by its folder, a repository inside with a slash at its end.
        if depth and not place.is_symlink() and place.is_dir() and (place / ".git").exists():
            files += _list(program, folder, path.rstrip("/"), depth - 1) or []
        else:
            files.append(path)
    return files


def _ask(program: str, folder: Path) -> list[str] | None:
    answer = _run(program, folder, *_LIST)
    if answer is None or answer.returncode:
        return None  # no repository, not ours ("dubious ownership"), broken, or too slow
    return [os.fsdecode(name) for name in answer.stdout.split(b"\0") if name]


def _run(
    program: str, folder: Path, *arguments: str, limit_s: float = _LIMIT_S
) -> subprocess.CompletedProcess[bytes] | None:
    try:
        return subprocess.run(
            [program, *_SAFE, "-C", str(folder), *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _environment() -> dict[str, str]:
    """Ours, less what a git hook around us may have set (GIT_DIR and its kind)."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return plain | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        # Nothing may be fetched, whatever the repository's configuration allows: an `ext::` remote is a program.
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",  # older versions of git do not know it
        "LC_ALL": "C",
    }
