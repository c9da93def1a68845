from __future__ import annotations

from pathlib import Path

import pytest

from coderls.document import Document
from coderls.fim.triggers import refusal
from coderls.settings import CompletionSettings
from tests.marked_text import at_cursor


def check(marked: str, *, invoked: bool = False, name: str = "file.py", enabled: bool = True) -> str:
    document, offset = at_cursor(marked, name=name)
    return refusal(document, offset, invoked=invoked, settings=CompletionSettings(enabled=enabled))


@pytest.mark.parametrize("marked", ["x = $0", "$0x = 1", "foo$0", "foo($0)", "語$0 = 1", "\n\n$0\nx", "a.$0b"])
def test_places_where_an_answer_is_welcome(marked: str) -> None:
    assert check(marked) == ""


@pytest.mark.parametrize("marked", ["fo$0o", "a_$0b", "語$0語", "x = 12$03"])
def test_inside_a_word_only_when_invoked(marked: str) -> None:
    assert check(marked) == "the cursor is inside a word"
    assert check(marked, invoked=True) == ""


def test_an_empty_file_only_when_invoked() -> None:
    assert check(" \n$0\n") == "there is nothing to go by"
    assert check("$0", invoked=True) == ""


def test_switched_off() -> None:
    assert check("x = $0", enabled=False, invoked=True) == "completion is switched off"


@pytest.mark.parametrize("name", [".env", ".env.local", "prod.env", "ID_RSA", "server.pem", "credentials.json"])
def test_secrets_are_never_asked_about(name: str) -> None:
    assert check("x = $0", name=name, invoked=True) == "the file may hold secrets"


def test_the_path_counts_before_the_uri() -> None:
    document = Document("untitled:1", "plaintext", 1, "x = ", Path("/project/id_ed25519"))
    assert refusal(document, 4, invoked=True, settings=CompletionSettings()) == "the file may hold secrets"


def test_binary_files() -> None:
    assert check("a\0b $0", invoked=True) == "the file is binary"


def test_inside_a_line_end() -> None:
    assert check("a\r$0\nb", invoked=True) == "the cursor is inside a line end"


@pytest.mark.parametrize("offset", [-1, 4])
def test_outside_the_text(offset: int) -> None:
    document = Document("file:///x.py", "python", 1, "abc")
    assert refusal(document, offset, invoked=True, settings=CompletionSettings()) == "the cursor is not in the text"
