"""Real code (of tqdm): one place is renamed, and all others that mean the same are offered, and nothing else."""

from __future__ import annotations

import inspect

import jedi
import pytest
import tqdm.std

from coderls.document import Document
from tests.next_edit.edited import Edited

TEXT = inspect.getsource(tqdm.std)


def references(line: int, column: int) -> set[tuple[int, int]]:
    """What jedi, which follows types, says of the same file."""
    script = jedi.Script(TEXT)
    return {(name.line, name.column) for name in script.get_references(line, column, scope="file")}


def place_of(marked: str) -> tuple[int, int]:
    """Line (from 1) and column of the `$0` in a line that is there once."""
    line = marked.replace("$0", "")
    [number] = [number for number, text in enumerate(TEXT.split("\n"), 1) if text.strip() == line]
    column = TEXT.split("\n")[number - 1].index(line) + marked.index("$0")
    return number, column


@pytest.mark.parametrize(
    ("marked", "name"),
    [
        ("elapsed_str = tqdm.format_interval($0elapsed)", "elapsed"),  # a parameter, by one use
        ("$0frac = max(0, min(1, frac))", "frac"),  # an attribute and a keyword are called so too
        ("raise $0TqdmDeprecationWarning(", "TqdmDeprecationWarning"),  # of the file; in a string of __all__, too
        ("$0last_len = [0]", "last_len"),  # used in a function inside
    ],
)
def test_one_use_offers_each_of_the_others_and_nothing_else(marked: str, name: str) -> None:
    line, column = place_of(marked)
    document = Document("file:///std.py", "python", 1, TEXT)
    made = Edited.of(TEXT)
    start = document.line_span(line - 1)[0] + column
    made.edit(start, start + len(name), "entirely_new")
    made.offset = 0
    offers = made.follow()
    wanted = references(line, column)
    assert len(wanted) > 1
    assert sorted(offers) == sorted(place[0] for place in wanted - {(line, column)})
    renamed = made.document.text.split("\n")
    expected = TEXT.split("\n")
    for row, start in sorted(wanted, reverse=True):
        text = expected[row - 1]
        assert text[start : start + len(name)] == name
        expected[row - 1] = text[:start] + "entirely_new" + text[start + len(name) :]
    assert renamed == expected
