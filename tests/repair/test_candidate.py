"""Candidates: edits that are checked when they are made, and measured in tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.document import Edit
from coderls.errors import DocumentError
from coderls.repair.candidate import Candidate, apply_edits, line_edits


def test_edits_apply_together_whatever_their_order() -> None:
    candidate = Candidate("one two three", (Edit(8, 13, "3"), Edit(0, 3, "1")), "rule", "Write numbers")
    assert candidate.text == "1 two 3"


@pytest.mark.parametrize("edits", [[Edit(0, 3, ""), Edit(2, 4, "")], [Edit(2, 1, "")], [Edit(0, 14, "")]])
def test_edits_that_overlap_or_lie_outside_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(DocumentError):
        Candidate("one two three", tuple(edits), "rule", "Odd")


def test_a_rewritten_function_counts_what_it_really_changes() -> None:
    before = "def f(a):\n    b = a\n    return c\n"
    rewritten = Candidate(before, (Edit(0, len(before), before.replace("return c", "return b")),), "chat", "Mend f")
    assert rewritten.tokens_changed == 1
    assert rewritten.smallest == (Edit(20, 33, "    return b\n"),)


@given(st.text(alphabet="ab\n\r \x0c", max_size=40), st.text(alphabet="ab\n\r \x0c", max_size=40))
def test_line_edits_make_one_text_the_other(before: str, after: str) -> None:
    assert apply_edits(before, line_edits(before, after)) == after
