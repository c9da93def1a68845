"""Diagnostics are found again after edits."""

from __future__ import annotations

import pytest

from coderls.document import Edit
from coderls.repair.diagnostic import Diagnostic, clamped, shifted


@pytest.mark.parametrize(
    ("offset", "edits", "expected"),
    [
        (5, [], 5),
        (5, [Edit(0, 2, "")], 3),
        (5, [Edit(0, 2, ""), Edit(3, 3, "xy")], 5),
        (5, [Edit(6, 9, "long text")], 5),
        (5, [Edit(5, 5, "ab")], 5),
        (5, [Edit(4, 9, "ab")], 4),
        (8, [Edit(0, 1, "abc"), Edit(6, 9, "xy")], 8),
    ],
)
def test_an_offset_moves_with_the_text(offset: int, edits: list[Edit], expected: int) -> None:
    assert shifted(offset, edits) == expected


def test_the_end_of_a_replaced_range_is_the_end_of_the_new_text() -> None:
    moved = Diagnostic(4, 6, "bad").shifted([Edit(0, 0, "12"), Edit(4, 6, "longer")])
    assert (moved.start, moved.end) == (6, 12)


def test_the_places_that_a_message_names_do_not_make_it_another_one() -> None:
    one = Diagnostic(0, 1, "Redefinition of unused `f` from line 3", rule="F811")
    assert one.key == Diagnostic(7, 8, "Redefinition of unused `f` from line 12", rule="F811").key
    assert one.key != Diagnostic(0, 1, "Redefinition of unused `g` from line 3", rule="F811").key


def test_a_place_of_another_version_is_brought_into_the_text() -> None:
    assert clamped(Diagnostic(90, 80, "old"), 10) == Diagnostic(10, 10, "old")
    assert clamped(Diagnostic(-3, 4, "odd"), 10) == Diagnostic(0, 4, "odd")
