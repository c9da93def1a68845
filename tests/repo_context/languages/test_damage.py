"""Files of every language, cut and garbled: an answer always comes, and soon."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from coderls.repo_context import parse
from coderls.repo_context.languages import LANGUAGES, by_path
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import from_bytes, to_bytes
from tests.repo_context.languages.shown import Tree

HERE = Path(__file__).parent
FILES = {"csharp": "test_csharp.py", "tsx": "test_typescript.py", "javascript": "test_typescript.py"}
PIECES = [
    "(",
    ")",
    "{",
    "}",
    "[",
    "<",
    ">",
    "\n",
    "    ",
    '"',
    "'",
    "/*",
    "#",
    "end",
    "class ",
    "def f",
    "::",
    "@",
    "\0",
    "é漢😀",
]


def source(language: Language) -> str:
    """The text of the tests of a language: much of it, and never quite right."""
    return (HERE / FILES.get(language.name, f"test_{language.name}.py")).read_text("utf-8")


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_damaged_files(language: Language):
    chance = random.Random(5)
    text = source(language)
    for _ in range(25):
        start = chance.randrange(len(text))
        damaged = text[start : start + chance.choice([200, 1000, 3000])]
        for _ in range(chance.randrange(12)):
            place = chance.randrange(len(damaged) + 1)
            damaged = damaged[:place] + chance.choice(PIECES) + damaged[place + chance.randrange(9) :]
        outline = parse.outline(language, damaged)
        if outline is None:
            continue
        assert from_bytes(to_bytes(outline)) == outline
        lines = damaged.count("\n") + 1
        assert all(item.parent < index for index, item in enumerate(outline.definitions))
        assert all(0 <= item.start_line <= item.end_line <= lines for item in outline.definitions)
        for item in parse.bindings(language, damaged, first_line=7):
            assert 7 <= item.line <= item.end_line <= lines + 7
        for entry in outline.imports:
            assert list(language.resolve(entry.module, "a/b", Tree({}))) in ([], ["a/b"])


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a<" * 9_000,
        "({[" * 9_000,
        "(" * 5_000 + ")" * 5_000,
        "{\n" * 5_000 + "}\n" * 5_000,
        "x." * 20_000,
        "\\" * 9_000,
        "\ud83d \udc80\r\r\n",
        "<" * 501 + "\n" + "a" * 200_000,
    ],
)
def test_strange_texts(language: Language, text: str):
    outline = parse.outline(language, text, limit_s=0.3)
    assert outline is None or len(outline.definitions) < 10
    assert len(parse.bindings(language, text, limit_s=0.1)) < 10


def test_a_header_of_empty_lines_is_told_apart_at_once():
    """Each line looked for a word of C++ in all that follow it."""
    language = by_path("x.h", "\n" * 300_000)
    assert language is not None
    assert language.name == "c"


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("a.rb", "class A" + "\n" * 20_000 + "# c\nend\n", "A"),
        ("a.cpp", "int a" + "\n" * 100_000 + "(int x) { return x; }\n", "a"),
    ],
)
def test_empty_lines_within_a_definition_cost_nothing(path: str, text: str, name: str):
    """Patterns went over them again from each of them."""
    language = by_path(path)
    assert language is not None
    outline = parse.outline(language, text)
    assert outline is not None
    assert [item.name for item in outline.definitions] == [name]
