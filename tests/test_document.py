"""Documents and their lines: what an edit leaves behind is what reading the whole text again would find."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderls import lines
from coderls.document import Document, Edit
from coderls.errors import DocumentError

# Every character that some language takes for a line end, of which LSP has only the first two.
CHARACTERS = "ab\n\r\f\v\x1c\x85\u2028\u2029é漢😀"
texts = st.text(alphabet=CHARACTERS, max_size=60)


def document(text: str) -> Document:
    return Document("file:///x.py", "python", 1, text)


def starts_of(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\r\n|\n|\r", text))]


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("", [0]),
        ("a", [0]),
        ("a\n", [0, 2]),
        ("a\r\nb", [0, 3]),
        ("a\rb", [0, 2]),
        ("\n\r", [0, 1, 2]),
        ("a\fb\vc\u2028d\x85e", [0]),
    ],
)
def test_lines_end_as_lsp_says(text: str, starts: list[int]) -> None:
    assert list(document(text).line_starts) == starts


@settings(deadline=None)
@given(texts, st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9), texts), max_size=8))
def test_line_starts_follow_edits(text: str, edits: list[tuple[int, int, str]]) -> None:
    before = lines._BLOCK
    lines._BLOCK = 3  # many blocks in a small text
    try:
        current = document(text)
        assert len(current.line_starts) == len(starts_of(text))
        for at, length, new_text in edits:
            start = min(at, len(current.text))
            current = current.apply(Edit(start, min(start + length, len(current.text)), new_text))
            expected = starts_of(current.text)
            assert list(current.line_starts) == expected
            assert [current.line_starts[i] for i in range(len(expected))] == expected
            assert current.line_starts[-1] == expected[-1]
            for offset in range(len(current.text) + 1):
                line = current.line_of(offset)
                assert expected[line] <= offset
                assert line + 1 == len(expected) or offset < expected[line + 1]
    finally:
        lines._BLOCK = before


def test_an_edit_shares_the_blocks_it_does_not_touch() -> None:
    current = document("x = 1\n" * 10_000)
    before = current.line_starts
    after = current.apply(Edit(30_000, 30_000, "y")).line_starts
    shared = {id(block) for block in before._blocks} & {id(block) for block in after._blocks}
    assert len(shared) > 0.95 * len(before._blocks)


def test_the_document_before_an_edit_stays_as_it_was() -> None:
    first = document("one\ntwo\n")
    assert first.line_of(5) == 1
    second = first.apply(Edit(0, 4, ""), version=2)
    assert (first.text, first.version, list(first.line_starts)) == ("one\ntwo\n", 1, [0, 4, 8])
    assert (second.text, second.version, list(second.line_starts)) == ("two\n", 2, [0, 4])


def test_line_span_leaves_the_line_end_out() -> None:
    current = document("a\r\nbc\rd")
    assert [current.line_span(line) for line in range(3)] == [(0, 1), (3, 5), (6, 7)]
    with pytest.raises(DocumentError, match="3 lines; there is no line 4"):
        current.line_span(3)


def test_an_edit_outside_the_text_is_refused() -> None:
    with pytest.raises(DocumentError, match="outside"):
        document("abc").apply(Edit(2, 4, ""))
    with pytest.raises(DocumentError, match="outside"):
        document("abc").apply(Edit(2, 1, ""))


def test_line_starts_are_a_sequence() -> None:
    starts = document("a\nb\nc").line_starts
    assert starts[1:] == [2, 4]
    with pytest.raises(IndexError):
        starts[3]
