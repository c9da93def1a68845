"""The folder that records go into. Imported before the server has replied to anything: nothing heavy here."""

from __future__ import annotations

from pathlib import Path

from coderls.errors import RecordBroken


def prepared(folder: Path) -> Path:
    """The folder, made if it was not there. Raises RecordBroken when it cannot be written to."""
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ignore = folder / ".gitignore"
        if not ignore.exists():  # a folder inside of a repository: nothing of it goes into a commit by accident
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise RecordBroken(
            f"Records cannot be written to {folder}: {error.strerror or error}.", "Name another folder."
        ) from error
    return folder


def notice(folder: Path) -> str:
    """What the user has to know while records are written."""
    return (
        f"Recording: the code around each completion, pieces of other files and what the model said are written to "
        f"{folder}, where only you can read them. Completions are slower meanwhile. Start coderls without --record to "
        "end it."
    )
