"""Where coderls keeps things on disk. Everything it leaves behind is under `cache_dir()` and `runtime_dir()`.

`CODERLS_CACHE` moves the cache (tests and CI use it); the runtime folder follows the platform.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import platformdirs

from coderls.errors import EngineStartFailed


def cache_dir() -> Path:
    """Models, logs and the index: safe to delete, made again when needed."""
    override = os.environ.get("CODERLS_CACHE")
    return Path(override).absolute() if override else platformdirs.user_cache_path("coderls", appauthor=False)


def models_dir() -> Path:
    """One folder for each model that was built or pulled."""
    return cache_dir() / "models"


def logs_dir() -> Path:
    """Logs of engine processes."""
    return cache_dir() / "logs"


def runtime_dir() -> Path:
    """A folder for sockets and locks that only this user can enter (mode 0700, checked).

    `CODERLS_RUNTIME`, else the session's own (`XDG_RUNTIME_DIR`), else one below the folder for temporary files.
    Raises EngineStartFailed when the folder belongs to somebody else, or is open to others.
    """
    override, of_session = os.environ.get("CODERLS_RUNTIME"), os.environ.get("XDG_RUNTIME_DIR")
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    if override:
        return private_folder(Path(override).absolute() / "coderls")
    if of_session and _is_ours(Path(of_session)):
        return private_folder(Path(of_session).absolute() / "coderls")
    return private_folder(Path(tempfile.gettempdir()) / f"coderls-{user}")


def _is_ours(folder: Path) -> bool:
    """Whether this is a folder of this user: after `sudo` the variable may still name another's."""
    try:
        return folder.is_dir() and (not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid())
    except OSError:
        return False


def private_folder(folder: Path) -> Path:
    """Make `folder`, or check that it is one that only this user can enter. Raises EngineStartFailed."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EngineStartFailed(
            f"{folder} cannot be made: {error}.", "Set CODERLS_RUNTIME to a folder of yours."
        ) from error
    if hasattr(os, "getuid"):
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise EngineStartFailed(
                f"{folder} is not a private folder of yours (mode 0700).",
                "Remove it, or set XDG_RUNTIME_DIR to a folder that only you can enter.",
            )
    return folder
