"""A place in a file becomes a document and an offset, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coderls.cli.places import Target, needs_file
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
        needs_file(path)
        if not path.is_file() and path.exists():
            raise DocumentError(f"{path} is no regular file.", "Name a file of text.")
        size = path.stat().st_size
        if size > LONGEST_FILE:
            raise DocumentError(
                f"{path} has {size / 1e6:.0f} MB; files of up to {LONGEST_FILE / 1e6:.0f} MB are completed.",
                "Complete in a smaller file.",
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DocumentError(f"{path} cannot be read: {reason}.", "Check its path and its permissions.") from error


def language_id_of(path: Path) -> str:
    """The id that LSP has for the language of a file, by its name."""
    known = parse.language_of(path)
    return known or _LANGUAGE_IDS_OF_NAMES.get(path.name.lower()) or _LANGUAGE_IDS.get(path.suffix.lower(), "plaintext")


def lines_of(document: Document) -> int:
    """How many lines it has. What stands behind the last line end is no line where that is nothing."""
    return max(1, len(document.line_starts) - document.text.endswith(("\n", "\r")))


def offset_of(document: Document, target: Target) -> int:
    """The target's offset in the document; the empty rest behind the last line end is a place too.

    Raises UsageError for a place past the end.
    """
    if target.line > len(document.line_starts):
        raise no_such_line(document, target.path, target.line)
    start, end = document.line_span(target.line - 1)
    if target.column > end - start + 1:
        raise UsageError(
            f"Line {target.line} of {target.path} has {end - start} characters; there is no column {target.column}.",
            f"Columns go from 1 to {end - start + 1}, which is the end of the line.",
        )
    return start + target.column - 1


def no_such_line(document: Document, path: Path, line: int) -> UsageError:
    """The error for a line past the end."""
    lines = lines_of(document)
    said = f"{lines} line{'' if lines == 1 else 's'}"
    return UsageError(f"{path} has {said}; there is no line {line}.", "Name one of those.")


def workspace_of(path: Path, marks: Sequence[str] = ROOT_MARKS) -> Path:
    """The nearest folder at or above the file that looks like the top of a project; else the file's own folder."""
    return project_of(path, marks) or path.absolute().parent


def project_of(path: Path, marks: Sequence[str] = ROOT_MARKS) -> Path | None:
    """The nearest folder at or above the file that looks like the top of a project; None without one."""
    above = path.absolute().parents
    return next((folder for folder in above if any((folder / mark).exists() for mark in marks)), None)
