"""Keystrokes become changes, and a change is where its text is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from coderls.document import Document, Edit
from coderls.next_edit.history import History, difference
from tests.next_edit.edited import Edited

TEXTS = st.text("ab_ (=\n😀", max_size=12)
EDITS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6), st.text("ab_ (\n😀", max_size=4)), max_size=25)


@given(TEXTS, EDITS)
@settings(max_examples=150, deadline=None)
def test_every_change_stands_where_it_says_and_was_what_it_says(text: str, edits: list[tuple[int, int, str]]) -> None:
    document = Document("file:///a", "python", 1, text)
    history = History(document)
    for at, length, new in edits:
        start = min(at, len(document.text))
        end = min(start + length, len(document.text))
        document = document.apply(Edit(start, end, new), document.version + 1)
        history.changed(document)
        changes = history.changes()
        for change in changes:
            assert document.text[change.place : change.place + len(change.text)] == change.text
            assert change.old != change.text
            old, new_words, place = change.words()
            assert document.text[place : place + len(new_words)] == new_words or not change.is_open
            assert old in change.origin.text
        assert sum(change.is_open for change in changes) <= 1


@given(TEXTS, TEXTS)
def test_the_difference_makes_one_text_of_the_other(old: str, new: str) -> None:
    edit = difference(old, new)
    if edit is None:
        assert old == new
    else:
        assert old[: edit.start] + edit.new_text + old[edit.end :] == new


def test_keys_at_one_place_are_one_change_and_elsewhere_another() -> None:
    made = Edited.of("one two three\n")
    made.type(4, 7, "second")
    made.type(0, 3, "first")
    newest, older = made.history.changes()
    assert (newest.words(), older.words()) == (("one", "first", 0), ("two", "second", 6))
    assert (newest.is_open, older.is_open) == (True, False)


def test_the_same_replacement_again_counts() -> None:
    made = Edited.of("x = «old→new»\ny = «old→new»\nz = «old→new»\n")
    [change] = made.history.changes()
    assert change.times == 3
    assert change.before.text == "x = old\ny = old\nz = old\n"


def test_what_was_taken_back_is_no_change() -> None:
    made = Edited.of("one two\n")
    made.type(0, 3, "first")
    made.type(0, 5, "one")
    assert made.history.changes() == ()


def test_a_word_that_is_typed_over_is_one_change_though_its_first_key_leaves_a_letter() -> None:
    """An editor that replaces a selection does so with the first key: `count` becomes `t`."""
    made = Edited.of("count + 1\n")
    made.edit(0, 5, "t")
    for number, sign in enumerate("otal", start=1):
        made.edit(number, number, sign)
    [change] = made.history.changes()
    assert change.words() == ("count", "total", 0)


def test_another_word_is_another_change() -> None:
    made = Edited.of("one two\n")
    made.edit(0, 3, "e")
    made.edit(2, 5, "o")
    assert [change.words() for change in made.history.changes()] == [("two", "o", 2), ("one", "e", 0)]
