from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coderls.fim.model import Budgets
from coderls.fim.window import window, with_spare


def words(text: str) -> int:
    """A count that is easy to reckon with: a token is four characters."""
    return -(-len(text) // 4)


LINES = "".join(f"line {number:04} = value\n" for number in range(2000))


def test_a_small_file_goes_in_whole() -> None:
    view = window("ab\ncd\nef\n", 4, 100, 100, words)
    assert (view.start, view.end) == (0, 9)


def test_both_ends_lie_between_lines() -> None:
    offset = len(LINES) // 2
    view = window(LINES, offset, 200, 100, words)
    assert LINES[view.start - 1] == "\n"
    assert LINES[view.end - 1] == "\n"
    assert 150 <= words(LINES[view.start : offset]) <= 200
    assert 90 <= words(LINES[offset : view.end]) <= 100


def test_the_start_stays_while_somebody_types() -> None:
    offset = len(LINES) // 2
    text, after = LINES[:offset], LINES[offset:]
    starts = [window(text + "x" * keys + after, offset + keys, 200, 100, words).start for keys in range(400)]
    assert len(set(starts)) <= 3
    assert starts == sorted(starts)


def test_the_end_depends_on_the_text_after_the_cursor_alone() -> None:
    offset = len(LINES) // 2
    text, after = LINES[:offset], LINES[offset:]
    ends = {window(text + "x" * keys + after, offset + keys, 200, 100, words).end - keys for keys in range(50)}
    assert len(ends) == 1


def test_a_line_without_end_is_cut_inside() -> None:
    text = "x" * 20_000
    view = window(text, 10_000, 100, 50, words)
    assert 200 <= 10_000 - view.start <= 400
    assert 0 < view.end - 10_000 <= 200


def test_only_text_near_the_cursor_is_counted() -> None:
    seen = 0

    def count(text: str) -> int:
        nonlocal seen
        seen += len(text)
        return words(text)

    text = LINES * 100
    window(text, len(text) // 2, 200, 100, count)
    assert seen < 10_000


def test_text_of_many_tokens_a_character() -> None:
    def dense(text: str) -> int:
        return 3 * len(text)

    text = "語" * 5000
    view = window(text, 2500, 90, 30, dense)
    assert 0 < 2500 - view.start <= 30
    assert 0 < view.end - 2500 <= 10


def test_what_a_short_text_leaves_goes_to_other_files() -> None:
    budget = Budgets(200, 100, 300)
    middle = len(LINES) // 2
    assert with_spare(budget, LINES, middle, words) == budget
    assert with_spare(budget, LINES, 0, words) == Budgets(200, 100, 300 + 192)  # nothing stands before the cursor
    assert with_spare(budget, LINES, len(LINES), words) == Budgets(200, 100, 300 + 96)
    assert with_spare(budget, "x = 1\n", 6, words) == Budgets(200, 100, 300 + 288)
    assert with_spare(Budgets(200, 100, 0), "x = 1\n", 6, words).context == 0  # other files get nothing there


def test_what_is_left_over_changes_in_steps() -> None:
    budget, text = Budgets(200, 100, 300), "line = value\n" * 20
    wanted = {with_spare(budget, text + "x" * keys, len(text) + keys, words).context for keys in range(60)}
    assert len(wanted) <= 2


def test_no_budget_is_no_text() -> None:
    assert window("abc\ndef", 3, 0, 0, words) == window("abc\ndef", 3, -1, -1, words)
    assert window("abc\ndef", 3, 0, 0, words).start == 3


@given(st.text(alphabet="ab \n\r語😀", max_size=600), st.data(), st.integers(0, 80), st.integers(0, 80))
def test_budgets_are_kept_wherever_the_cursor_is(text: str, data: st.DataObject, prefix: int, suffix: int) -> None:
    offset = data.draw(st.integers(0, len(text)))
    view = window(text, offset, prefix, suffix, words)
    assert 0 <= view.start <= offset <= view.end <= len(text)
    # Each block is counted by itself: each may be rounded up, never down.
    assert words(text[view.start : offset]) <= prefix
    assert words(text[offset : view.end]) <= suffix
