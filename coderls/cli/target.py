"""FILE:LINE:COLUMN of a command line becomes a document and an offset, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coderls.document import Document
from coderls.errors import DocumentError, UsageError
from coderls.repo_context import parse

#: Longer files are not completed (bytes): their text goes through every step of a keystroke.
LONGEST_FILE = 10_000_000

#: Files at the top of a project.
ROOT_MARKS = (".git", ".hg", "pyproject.toml", "package.json", "Cargo.toml", "go.mod", "pom.xml", "build.gradle")

#: LSP's language ids of common files without a grammar; the rest are "plaintext".
_LANGUAGE_IDS = {
    **{".rb": "ruby", ".sh": "shellscript", ".bash": "shellscript", ".pl": "perl", ".r": "r", ".lua": "lua"},
    **{".sql": "sql", ".hs": "haskell", ".elm": "elm", ".html": "html", ".xml": "xml", ".md": "markdown"},
    **{".vue": "vue", ".svelte": "svelte", ".css": "css", ".ml": "ocaml", ".clj": "clojure", ".lisp": "lisp"},
    **{".ini": "ini", ".tex": "latex", ".erl": "erlang", ".ex": "elixir", ".exs": "elixir", ".jl": "julia"},
    **{".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json", ".kt": "kotlin", ".swift": "swift"},
    **{".cs": "csharp", ".php": "php", ".scala": "scala", ".dart": "dart", ".ps1": "powershell", ".nim": "nim"},
}
_LANGUAGE_IDS_OF_NAMES = {"makefile": "makefile", "dockerfile": "dockerfile", "cmakelists.txt": "cmake"}


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


def read_document(path: Path) -> Document:
    """The file as a document. Raises DocumentError for what cannot be read as text."""
    data = _read(path)
    if b"\0" in data[:8192]:
        raise DocumentError(f"{path} is a binary file.", "Completion works on text.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{path} is not UTF-8: byte {error.start + 1} is 0x{data[error.start]:02x}.", "Save it as UTF-8."
        ) from error
    path = path.absolute()
    return Document(path.as_uri(), language_id_of(path), 1, text.removeprefix("\ufeff"), path)


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise DocumentError(f"{path} is a folder.", "Name a file in it.")
        if not path.is_file() and path.exists():
            raise DocumentError(f"{path} is no regular file.", "Name a file of text.")
        size = path.stat().st_size
        if size > LONGEST_FILE:
            raise DocumentError(
                f"{path} has {size / 1e6:.0f} MB; files of up to {LONGEST_FILE / 1e6:.0f} MB are completed.",
                "Complete in a smaller file.",
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DocumentError(f"There is no file {path}.", "Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DocumentError(f"{path} cannot be read: {reason}.", "Check its path and its permissions.") from error


def language_id_of(path: Path) -> str:
    """The id that LSP has for the language of a file, by its name."""
    known = parse.language_of(path)
    return known or _LANGUAGE_IDS_OF_NAMES.get(path.name.lower()) or _LANGUAGE_IDS.get(path.suffix.lower(), "plaintext")


def offset_of(document: Document, target: Target) -> int:
    """The target's offset in the document. Raises UsageError for a place past the end."""
    lines = len(document.line_starts)
    if target.line > lines:
        raise UsageError(f"{target.path} has {lines} lines; there is no line {target.line}.", "Give one of those.")
    start, end = document.line_span(target.line - 1)
    if target.column > end - start + 1:
        raise UsageError(
            f"Line {target.line} of {target.path} has {end - start} characters; there is no column {target.column}.",
            f"Columns go from 1 to {end - start + 1}, which is the end of the line.",
        )
    return start + target.column - 1


def workspace_of(path: Path, marks: Sequence[str] = ROOT_MARKS) -> Path:
    """The nearest folder at or above the file that looks like the top of a project; else the file's own folder."""
    return project_of(path, marks) or path.absolute().parent


def project_of(path: Path, marks: Sequence[str] = ROOT_MARKS) -> Path | None:
    """The nearest folder at or above the file that looks like the top of a project; None without one."""
    above = path.absolute().parents
    return next((folder for folder in above if any((folder / mark).exists() for mark in marks)), None)
