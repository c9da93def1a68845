from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderls.repo_context.languages.language import Import
from coderls.repo_context.outline import KINDS, Definition, Outline, from_bytes, to_bytes

words = st.text(st.characters(), max_size=12)
numbers = st.integers(0, 100_000)
bases = st.lists(st.text("abcé_.", min_size=1, max_size=5), max_size=3).map(tuple)
definitions = st.builds(
    Definition, words, st.sampled_from(KINDS), numbers, numbers, words, st.integers(-1, 9), words, bases, words
)


def _with_parent_before(index: int, item: Definition) -> Definition:
    return replace(item, parent=min(item.parent, index - 1))


outlines = st.builds(
    Outline,
    st.lists(definitions, max_size=5).map(lambda items: tuple(map(_with_parent_before, range(5), items))),
    st.lists(st.builds(Import, words, words, words), max_size=5).map(tuple),
    st.lists(numbers, max_size=5).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(outlines)
def test_a_record_gives_back_the_outline(outline: Outline):
    assert from_bytes(to_bytes(outline)) == outline


def test_lone_surrogates_survive():
    outline = Outline((Definition("a\ud83d", "class", 0, 1, "é漢\udc80", -1, ""),), ())
    assert from_bytes(to_bytes(outline)) == outline


BROKEN = [b"", b"{}", b"[]", b"null", b"[[],[]]", b"\xff\xfe", b"[" * 100_000, json.dumps([1] * 13).encode()]


@pytest.mark.parametrize("record", BROKEN)
def test_anything_else_is_refused(record: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 (any text of it will do)
        from_bytes(record)


def test_a_record_cut_short_is_refused():
    whole = to_bytes(Outline((Definition("a", "class", 0, 1, "class a:", -1, ""),), (Import("m", "n", "n"),), (1,)))
    for end in range(len(whole)):
        with pytest.raises(ValueError):  # noqa: PT011
            from_bytes(whole[:end])


@pytest.mark.parametrize(("column", "value"), [(2, "1"), (3, None), (4, 7), (5, 0), (5, 3), (5, -2), (8, [])])
def test_a_column_of_something_else_is_refused(column: int, value: object):
    columns = json.loads(to_bytes(Outline((Definition("a", "class", 0, 1, "class a:", -1, ""),), ())))
    columns[column] = [value]
    with pytest.raises(ValueError, match="column"):
        from_bytes(json.dumps(columns).encode())
