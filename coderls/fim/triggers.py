"""Whether to ask the model at all."""

from __future__ import annotations

from coderls.document import Document
from coderls.secret_files import is_secret
from coderls.settings import CompletionSettings

#: Text this far around the cursor tells whether a file is binary.
_LOOKED_AT = 2000


def refusal(document: Document, offset: int, *, invoked: bool, settings: CompletionSettings) -> str:
    """Why there is nothing to ask at `offset`, in a few words; "" means: go on.

    `invoked`: the user asked by a key, and gets an answer at places where an automatic one would disturb.
    """
    text = document.text
    before, after = text[max(0, offset - _LOOKED_AT) : offset], text[offset : offset + _LOOKED_AT]
    reasons = {
        "completion is switched off": not settings.enabled,
        "the cursor is not in the text": not 0 <= offset <= len(text),
        "the file may hold secrets": is_secret(_path(document)),
        "the file is binary": "\0" in before or "\0" in after,
        "the cursor is inside a line end": before.endswith("\r") and after.startswith("\n"),
        "there is nothing to go by": not invoked and not before.strip() and not after.strip(),
        "the cursor is inside a word": not invoked and _in_word(before[-1:]) and _in_word(after[:1]),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _path(document: Document) -> str:
    return document.path.as_posix() if document.path else document.uri


def _in_word(char: str) -> bool:
    return char.isalnum() or char == "_"
