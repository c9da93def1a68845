from __future__ import annotations

import re

import pytest

from coderls.fim.names import unknown_names

REACH = "import os\nshop = os.getcwd()\ntotal_of = 1\n"


def in_reach(name: str) -> bool:
    return re.search(rf"\b{name}\b", REACH) is not None


@pytest.mark.parametrize(
    ("language", "text", "unknown"),
    [
        ("python", "total_of(shop, made_up)", ("made_up",)),
        ("python", "made_up.value + len(other_one)", ("made_up", "other_one")),
        ("python", "shop.anything(key=1)", ()),
        ("python", "os.path.join('made_up', \"too\")  # and this", ()),
        ("python", "found = [each for each in shop if each]\nreturn found", ()),
        ("python", "for left, right in shop:\n    print(left, right)", ()),
        ("python", "def area(width, height):\n    return width * height", ()),
        ("python", "with open(shop) as file:\n    file.read()", ()),
        ("python", "sorted(shop, key=lambda item: item.name)", ()),
        ("python", "from somewhere import thing\nthing()", ()),
        ("python", "x, yy = shop\nprint(yy)", ()),
        ("python", "return missing", ("missing",)),
        ("typescript", "shop.map((item) => item.name + missing)", ("missing",)),
        ("typescript", "const { name, size } = shop; use({ name: size })", ("use",)),
        ("rust", "shop.iter().map(|item| item + missing)", ("missing",)),
        ("rust", "let Some(found) = shop else { return };\nfound", ()),
        ("rust", "match shop {\n    Some(inner) => inner,\n    None => missing,\n}", ("missing",)),
        ("go", "found, err := os.Open(missing)", ("missing",)),
        ("java", "for (String word : shop) words.add(word);", ("words",)),
        ("c", "size_t amount = total_of(shop);", ()),
        ("c", "made_up_t *amount = shop;", ("made_up_t",)),
        ("markdown", "whatever is written", ()),
    ],
)
def test_names_that_exist_nowhere(language: str, text: str, unknown: tuple[str, ...]) -> None:
    assert unknown_names(text, language, in_reach) == unknown


@pytest.mark.parametrize(
    ("line_before", "text", "line_after", "unknown"),
    [
        ("total", "_of(shop)", "", ()),
        ("shop.", "anything()", "", ()),
        ("shop->", "anything()", "", ()),
        ("", "total_", "of", ()),
        ("x = ", "anything()", "", ("anything",)),
    ],
)
def test_names_are_read_across_the_cursor(
    line_before: str, text: str, line_after: str, unknown: tuple[str, ...]
) -> None:
    assert unknown_names(text, "python", in_reach, line_before, line_after) == unknown


def test_long_lines_and_texts_take_no_longer() -> None:
    asked: list[str] = []

    def known(name: str) -> bool:
        asked.append(name)
        return False

    line = '"' + "A" * 1_000_000 + '" + '  # hours, if each place of it were a beginning
    assert unknown_names("made_up()\n", "python", known, line) == ("made_up",)
    assert unknown_names("made_up()\n" * 1_000, "python", known) == ()
    assert asked == ["made_up"]
