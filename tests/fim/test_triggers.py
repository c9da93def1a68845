from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coderls.document import Document
from coderls.fim.triggers import refusal
from coderls.settings import CompletionSettings
from tests.marked_text import at_cursor


def check(
    marked: str, language: str = "python", *, invoked: bool = False, name: str = "file.py", **options: Any
) -> str:
    document, offset = at_cursor(marked, language, name)
    return refusal(document, offset, invoked=invoked, settings=CompletionSettings(**options))


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


@pytest.mark.parametrize("uri", ["git:/project/.env?ref=HEAD", "vscode-notebook-cell:/project/.env#a1", "x:/a/id_rsa"])
def test_other_schemes_have_secrets_too(uri: str) -> None:
    document = Document(uri, "plaintext", 1, "x = ", None)
    assert refusal(document, 4, invoked=True, settings=CompletionSettings()) == "the file may hold secrets"


def test_binary_files() -> None:
    assert check("a\0b $0", invoked=True) == "the file is binary"


def test_inside_a_line_end() -> None:
    assert check("a\r$0\nb", invoked=True) == "the cursor is inside a line end"


@pytest.mark.parametrize("offset", [-1, 4])
def test_outside_the_text(offset: int) -> None:
    document = Document("file:///x.py", "python", 1, "abc")
    assert refusal(document, offset, invoked=True, settings=CompletionSettings()) == "the cursor is not in the text"


@pytest.mark.parametrize("marked", ["# note $0\n", "x = 1  # $0", "# a\n# b$0\nx"])
def test_comments(marked: str) -> None:
    assert check(marked) == "the cursor is in a comment"
    assert check(marked, invoked=True) == check(marked, in_comments=True) == ""


@pytest.mark.parametrize("marked", ["x = 'a $0", "x = 'a $0'\n", '"""Say $0\n"""\n', "f('a', \"b $0\")"])
def test_strings(marked: str) -> None:
    assert check(marked) == "the cursor is in a string"
    assert check(marked, invoked=True) == check(marked, in_strings=True) == ""


@pytest.mark.parametrize("pattern", ["file.py", "*.py", "project/*.py", "project/**", "**/file.py", "f?le.py", "/*.py"])
def test_excluded_files(pattern: str) -> None:
    expected = "the file or its language is excluded by the options"
    assert check("x = $0", exclude=("*.js", pattern), invoked=True) == expected


@pytest.mark.parametrize("pattern", ["*.js", "ile.py", "project", "other/**", "project/x/*.py", "file.p"])
def test_files_that_no_pattern_fits(pattern: str) -> None:
    assert check("x = $0", exclude=(pattern,)) == ""


def test_excluded_languages() -> None:
    assert check("x = $0", "markdown", exclude_languages=("markdown",)).startswith("the file or its language")
    assert check("x = $0", "python", exclude_languages=("markdown",)) == ""
