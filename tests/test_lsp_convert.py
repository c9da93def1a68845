"""Positions, changes, URIs and items: what LSP says, against references that are slow and plain."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types as lsp

from coderls import lsp_convert
from coderls.document import Document
from coderls.lsp_convert import Encoding

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")
# Every character that some language takes for a line end; one, two, three and four bytes; two UTF-16 units.
texts = st.text(alphabet="ab\n\r\f\v\x1c\x85\u2028\u2029é漢😀\u0301", max_size=50)


def document(text: str) -> Document:
    return Document("file:///x.py", "python", 1, text)


def units(text: str, encoding: Encoding) -> list[bytes]:
    """The code units of a text."""
    if encoding == "utf-8":
        return [bytes([byte]) for byte in text.encode()]
    if encoding == "utf-16":
        data = text.encode("utf-16-le")
        return [data[i : i + 2] for i in range(0, len(data), 2)]
    return [char.encode("utf-32-le") for char in text]


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends, as the LSP specification defines them."""
    return re.split("\r\n|\n|\r", text)


def reference_offset(text: str, line: int, character: int, encoding: Encoding) -> int:
    """Walk there, character by character."""
    lines = split_lines(text)
    if line >= len(lines):
        return len(text)
    offset = 0
    for _ in range(line):
        end = re.compile("\r\n|\n|\r").search(text, offset)
        assert end is not None
        offset = end.end()
    for char in lines[line]:
        width = len(units(char, encoding))
        if character < width:
            break
        character -= width
        offset += 1
    return offset


@settings(deadline=None)
@given(texts, st.integers(0, 12), st.integers(0, 40), st.sampled_from(ENCODINGS))
def test_positions_become_offsets_as_if_walked(text: str, line: int, character: int, encoding: Encoding) -> None:
    found = lsp_convert.offset_at(document(text), lsp.Position(line, character), encoding)
    assert found == reference_offset(text, line, character, encoding)


@settings(deadline=None)
@given(texts, st.sampled_from(ENCODINGS))
def test_offsets_come_back(text: str, encoding: Encoding) -> None:
    current = document(text)
    for offset in range(len(text) + 1):
        back = lsp_convert.offset_at(current, lsp_convert.position_at(current, offset, encoding), encoding)
        inside_line_end = text[offset - 1 : offset + 1] == "\r\n"
        assert back == (offset - 1 if inside_line_end and offset else offset)


@settings(deadline=None)
@given(
    texts,
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 20), st.integers(0, 8), st.integers(0, 20), texts), max_size=6
    ),
    st.sampled_from(ENCODINGS),
)
def test_incremental_edits_equal_a_reference(
    text: str, edits: list[tuple[int, int, int, int, str]], encoding: Encoding
) -> None:
    """Some in one notification, some in notifications of their own, all on the editor's copy too."""
    current, expected = document(text), text
    pending: list[Any] = []
    for number, (line, character, end_line, end_character, new) in enumerate(edits):
        start, end = sorted([(line, character), (end_line, end_character)])
        low = reference_offset(expected, *start, encoding)
        high = reference_offset(expected, *end, encoding)
        expected = expected[:low] + new + expected[high:]
        pending.append(lsp.TextDocumentContentChangePartial(lsp.Range(lsp.Position(*start), lsp.Position(*end)), new))
        if number % 2:
            current = lsp_convert.apply_changes(current, pending, number, encoding)
            pending = []
            assert current.text == expected
    current = lsp_convert.apply_changes(current, pending, 99, encoding)
    assert (current.text, current.version) == (expected, 99)


def test_a_whole_new_text_replaces_the_old() -> None:
    change = lsp.TextDocumentContentChangeWholeDocument("new\n")
    after = lsp_convert.apply_changes(document("old"), [change], 7, "utf-16")
    assert (after.text, after.version) == ("new\n", 7)


def test_a_range_that_ends_before_it_starts_is_turned_round() -> None:
    change = lsp.TextDocumentContentChangePartial(lsp.Range(lsp.Position(0, 3), lsp.Position(0, 1)), "-")
    assert lsp_convert.apply_changes(document("abcd"), [change], 2, "utf-16").text == "a-d"


@pytest.mark.parametrize(
    ("encoding", "text", "offsets"),
    [
        ("utf-8", "é😀b", [0, 0, 1, 1, 1, 1, 2, 3, 3]),
        ("utf-16", "é😀b", [0, 1, 1, 2, 3, 3]),
        ("utf-32", "é😀b", [0, 1, 2, 3, 3]),
    ],
)
def test_a_column_inside_a_character_means_its_start(encoding: Encoding, text: str, offsets: list[int]) -> None:
    columns = [lsp.Position(0, column) for column in range(len(offsets))]
    assert [lsp_convert.offset_at(document(text), column, encoding) for column in columns] == offsets


def test_the_first_encoding_that_we_know_is_chosen() -> None:
    assert lsp_convert.choose_encoding(["utf-7", "utf-32", "utf-8"]) == "utf-32"
    assert lsp_convert.choose_encoding(["utf-8", "utf-16"]) == "utf-8"
    assert lsp_convert.choose_encoding(["utf-7"]) == lsp_convert.choose_encoding(None) == "utf-16"


def test_halves_of_surrogate_pairs_become_characters_that_can_be_written() -> None:
    cleaned = lsp_convert.clean_text("a\ud83db\udc00")
    assert cleaned == "a\ufffdb\ufffd"
    assert lsp_convert.clean_text("😀") == "😀"


@pytest.mark.parametrize(
    ("uri", "posix", "windows"),
    [
        ("file:///home/me/x.py", "/home/me/x.py", "\\home\\me\\x.py"),
        ("file:///home/me/a%20b%23c%3F.py", "/home/me/a b#c?.py", "\\home\\me\\a b#c?.py"),
        ("file:///home/me/%E6%BC%A2.py", "/home/me/漢.py", "\\home\\me\\漢.py"),
        ("file:///c%3A/Users/x.py", "/c:/Users/x.py", "C:\\Users\\x.py"),
        ("file:///C:/Users/x.py", "/C:/Users/x.py", "C:\\Users\\x.py"),
        ("file:///c:", "/c:", "C:\\"),
        ("file://server/share/x.py", None, "\\\\server\\share\\x.py"),
        ("file://localhost/x.py", "/x.py", "\\x.py"),
        ("FILE:///x.py", "/x.py", "\\x.py"),
        ("file:/x.py", "/x.py", "\\x.py"),
        ("file:///x.py#L3", "/x.py", "\\x.py"),
        ("untitled:Untitled-1", None, None),
        ("vscode-notebook-cell:/x.ipynb#W0", None, None),
        ("git:/x.py?ref", None, None),
        ("file:relative.py", None, None),
        ("file:///a%00b", None, None),
        ("no uri at all", None, None),
        ("", None, None),
    ],
)
def test_uris_name_files(uri: str, posix: str | None, windows: str | None) -> None:
    assert lsp_convert._pure_path_of(uri, False) == posix
    assert lsp_convert._pure_path_of(uri, True) == windows
    assert lsp_convert.path_of(uri, windows=False) == (None if posix is None else Path(posix))


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (PurePosixPath("/a b/#?%/漢.py"), "file:///a%20b/%23%3F%25/%E6%BC%A2.py"),
        (PureWindowsPath("C:\\Users\\me\\x y.py"), "file:///c%3A/Users/me/x%20y.py"),
        (PureWindowsPath("\\\\server\\share\\x.py"), "file://server/share/x.py"),
    ],
)
def test_files_have_uris(path: PurePosixPath | PureWindowsPath, uri: str) -> None:
    assert lsp_convert.uri_of(path) == uri
    assert lsp_convert._pure_path_of(uri, isinstance(path, PureWindowsPath)) == str(path)


def completion(text: str, start: int, end: int) -> Any:
    return SimpleNamespace(text=text, start=start, end=end, offer=0)


def test_ghost_text_has_the_range_it_replaces() -> None:
    current = document("x = 1\n漢😀 = fo)\n")
    start = current.text.index("fo")
    listed = lsp_convert.inline_items(current, [completion("foo(bar)", start, start + 3)], "utf-16")
    [item] = listed.items
    assert (item.insert_text, item.filter_text) == ("foo(bar)", "foo(bar)")
    assert item.range == lsp.Range(lsp.Position(1, 6), lsp.Position(1, 9))
    assert lsp_convert.inline_items(current, [], "utf-16").items == []


def test_a_popup_item_replaces_the_word_before_the_cursor() -> None:
    current = document("value = comp\n")
    listed = lsp_convert.completion_items(current, 12, [completion("ute(1)\nprint(`value`)", 12, 12)], "utf-16")
    [item] = listed.items
    assert listed.is_incomplete
    assert item.label == "compute(1) …"
    assert item.filter_text == "compute(1)\nprint(`value`)"
    assert item.text_edit == lsp.TextEdit(
        lsp.Range(lsp.Position(0, 8), lsp.Position(0, 12)), "compute(1)\nprint(`value`)"
    )
    assert item.insert_text_format == lsp.InsertTextFormat.PlainText
    assert isinstance(item.documentation, lsp.MarkupContent)
    assert item.documentation.value.startswith("```python\ncompute")
    assert lsp_convert.completion_items(current, 12, [], "utf-16").items == []


def test_an_edit_over_several_lines_is_never_sent() -> None:
    current = document("a\nb\n")
    assert lsp_convert.inline_items(current, [completion("x", 0, 3)], "utf-16").items == []
    assert lsp_convert.completion_items(current, 0, [completion("x", 0, 3)], "utf-16").items == []


def test_a_popup_item_after_a_very_long_word_comes_at_once() -> None:
    """It took time in the square of the word's length: minutes for this one."""
    current = document("x = '" + "a" * 200_000 + "' + \n")
    at = len(current.text) - 1
    [item] = lsp_convert.completion_items(current, at, [completion("y", at, at)], "utf-16").items
    assert item.label == "y"
