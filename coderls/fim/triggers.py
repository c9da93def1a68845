"""Whether to ask the model at all, and how long after a keystroke."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath

from coderls.document import Document
from coderls.fim.inside import inside
from coderls.secret_files import is_secret
from coderls.settings import CompletionSettings

#: Text this far around the cursor tells whether a file is binary.
_LOOKED_AT = 2000
_GLOB = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def refusal(document: Document, offset: int, *, invoked: bool, settings: CompletionSettings) -> str:
    """Why there is nothing to ask at `offset`, in a few words; "" means: go on.

    `invoked`: the user asked by a key, and gets an answer at places where an automatic one would disturb.
    """
    text = document.text
    before, after = text[max(0, offset - _LOOKED_AT) : offset], text[offset : offset + _LOOKED_AT]
    reasons = {
        "completion is switched off": not settings.enabled,
        "the cursor is not in the text": not 0 <= offset <= len(text),
        (never := exclusion(document, settings)): bool(never),
        "the file is binary": "\0" in before or "\0" in after,
        "the cursor is inside a line end": before.endswith("\r") and after.startswith("\n"),
        "there is nothing to go by": not invoked and not before.strip() and not after.strip(),
        "the cursor is inside a word": not invoked and _in_word(before[-1:]) and _in_word(after[:1]),
    }
    reason = next((reason for reason, holds in reasons.items() if holds), "")
    return reason or ("" if invoked else _unwelcome(document, offset, settings))


def exclusion(document: Document, settings: CompletionSettings) -> str:
    """Why nothing is ever completed in a document, in a few words; "" where that is not so."""
    if is_secret(_path(document)):
        return "the file may hold secrets"
    return "the file or its language is excluded by the options" if _is_excluded(document, settings) else ""


def _unwelcome(document: Document, offset: int, settings: CompletionSettings) -> str:
    """Why an automatic answer would disturb here."""
    if settings.in_comments and settings.in_strings:
        return ""
    place = inside(document.text, offset, document.language_id)
    if place == "comment" and not settings.in_comments:
        return "the cursor is in a comment"
    return "the cursor is in a string" if place == "string" and not settings.in_strings else ""


def _is_excluded(document: Document, settings: CompletionSettings) -> bool:
    if document.language_id in settings.exclude_languages:
        return True
    return bool(settings.exclude) and _matches(_path(document), settings.exclude)


@lru_cache(maxsize=256)
def _matches(path: str, globs: tuple[str, ...]) -> bool:
    """Whether a glob fits the path, or an end of it that begins with a folder's or the file's name."""
    parts = PurePosixPath(path).parts
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    return any(translated(glob).fullmatch(end) for glob in globs for end in ends)


@lru_cache(maxsize=256)
def translated(glob: str) -> re.Pattern[str]:
    """A glob as a pattern: `*` and `?` stay within a name, `**` goes over folders, `[...]` is taken as it stands."""
    pattern = "".join(_GLOB.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", glob.strip("/")))
    return re.compile(pattern, re.DOTALL)


def _path(document: Document) -> str:
    """Its path; without one the path in its URI: editors show older versions of files as `git:/project/.env?...`."""
    return document.path.as_posix() if document.path else document.uri.partition("?")[0].partition("#")[0]


def _in_word(char: str) -> bool:
    return char.isalnum() or char == "_"
