"""The index of tokens against a plain search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.ngrams import GRAM, LONGEST_MATCH, TokenIndex

TOKENS = st.lists(st.integers(0, 3), max_size=40)


def searched(tokens: list[int], last: list[int]) -> tuple[int, int]:
    """What `after` says, found by looking everywhere."""
    for place in range(len(tokens) - 1, GRAM - 1, -1):
        if len(last) >= GRAM and tokens[place - GRAM : place] == last[-GRAM:]:
            size = GRAM
            while size < min(LONGEST_MATCH, place, len(last)) and tokens[place - size - 1] == last[-size - 1]:
                size += 1
            return place, size
    return 0, 0


@given(first=TOKENS, later=TOKENS, other=TOKENS, pieces=st.integers(1, 9))
def test_it_finds_what_a_search_finds(first: list[int], later: list[int], other: list[int], pieces: int) -> None:
    index = TokenIndex(first)
    for _ in range(len(first) // pieces + 1):
        index.take_in(pieces)
    for token in later:
        index.add(token)
    assert index.tokens == first + later
    for last in (index.tokens, other):
        assert index.after(last) == searched(index.tokens, last)


def test_a_long_sequence_is_taken_in_from_its_end() -> None:
    index = TokenIndex([1, 2, 3, 4, *[0] * 10, 1, 2, 3, 5, 0, 0])
    assert index.after([1, 2, 3]) == (0, 0)
    index.take_in(4)
    assert index.after([1, 2, 3]) == (17, 3)
    index.take_in(100)
    assert index.after([2, 3, 4]) == (4, 3)
    assert index.after([1, 2, 3]) == (17, 3), "the newest place counts"
    index.take_in(100)
    index.add(1)
    assert len(index._pieces) == 2


def test_a_loop_goes_on_as_a_loop() -> None:
    index = TokenIndex([1, 2, 1, 2, 1, 2])
    index.take_in()
    place, size = index.after(index.tokens)
    assert (place, size) == (4, 4)
    assert index.following(place, 5, repeat=True) == [1, 2, 1, 2, 1]
    assert index.following(place, 5) == [1, 2]
    assert index.following(6, 5, repeat=True) == []
