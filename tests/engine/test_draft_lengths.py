"""How long drafts should be, by what they cost and how often they come true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.draft_lengths import LONGEST_DRAFT, MOST_DRAFTED, POINTS, Acceptance, Costs, lengths

CHANCES = st.lists(st.floats(0, 1), max_size=LONGEST_DRAFT).map(lambda each: sorted(each, reverse=True))


def flat() -> Costs:
    """A card: sixteen tokens cost what one costs."""
    return Costs(dict.fromkeys((1, 2, 4, 8, 16), 0.01))


def steep() -> Costs:
    """A processor: tokens cost what they cost one by one."""
    return Costs({tokens: tokens * 0.01 for tokens in (1, 2, 4, 8, 16)})


def test_where_tokens_cost_nothing_everything_promising_is_verified() -> None:
    assert lengths(flat(), 1, [[0.9, 0.8, 0.7]]) == [3]
    assert lengths(flat(), 2, [[0.9], []]) == [1, 0]


def test_where_each_token_costs_as_much_as_a_step_nothing_is_verified() -> None:
    assert lengths(steep(), 1, [[0.9, 0.8, 0.7]]) == [0]
    assert lengths(Costs(), 1, [[1.0] * 8]) == [0], "and nothing where no cost is known"


def test_a_draft_ends_where_its_tokens_stop_to_pay() -> None:
    costs = Costs({1: 0.010, 2: 0.012, 4: 0.016, 8: 0.024, 16: 0.040})
    assert lengths(costs, 1, [[0.9, 0.8, 0.1, 0.05]]) == [2]
    assert lengths(costs, 1, [[0.1, 0.05]]) == [0]


def test_making_drafts_has_its_price() -> None:
    assert lengths(flat(), 1, [[0.9, 0.8]], drafting=0.001) == [2]
    assert lengths(flat(), 1, [[0.9, 0.8]], drafting=0.02) == [0]


@given(each=st.lists(CHANCES, min_size=1, max_size=8), rising=st.floats(0, 2))
def test_what_is_chosen_is_never_expected_to_be_slower(each: list[list[float]], rising: float) -> None:
    costs = Costs({tokens: 0.01 + 0.01 * rising * tokens for tokens in POINTS})
    chosen = lengths(costs, len(each), each)
    assert all(0 <= size <= len(chances) for size, chances in zip(chosen, each, strict=True))
    assert sum(chosen) <= MOST_DRAFTED
    gained = sum(sum(chances[:size]) for size, chances in zip(chosen, each, strict=True))
    before, after = costs.of(len(each)), costs.of(len(each) + sum(chosen))
    assert (len(each) + gained) / after >= len(each) / before * (1 - 1e-9)


def test_acceptance_begins_with_a_guess_and_follows_what_is_seen() -> None:
    acceptance = Acceptance({"good": 0.8})
    assert acceptance.survival("good", 2) == pytest.approx([0.8, 0.64])
    assert acceptance.survival("unknown", 1) == [0.5]
    for _ in range(100):
        acceptance.record("good", 1, 4, ended=True)
    first, second = acceptance.survival("good", 2)
    assert first > 0.95
    assert second < 0.1
    for _ in range(300):
        acceptance.record("good", 4, 4, ended=False)
    assert acceptance.survival("good", 4)[3] > 0.9, "what was long ago is forgotten"
    assert acceptance.survival("good", 15) == sorted(acceptance.survival("good", 15), reverse=True)


def test_an_output_that_ends_says_nothing_about_the_rest_of_its_draft() -> None:
    acceptance = Acceptance({"kind": 0.5})
    acceptance.record("kind", 2, 10, ended=False)
    before = acceptance.survival("kind", 10)
    assert before[2] == pytest.approx(0.5**3)
    acceptance.record("kind", 2, 10, ended=True)
    assert acceptance.survival("kind", 3)[2] < before[2]


def test_costs_between_and_beyond_what_was_measured() -> None:
    costs = Costs({1: 1.0, 4: 2.5, 16: 4.0})
    assert costs.of(1) == 1.0
    assert costs.of(2) == pytest.approx(1.5)
    assert costs.of(10) == pytest.approx(3.25)
    assert costs.of(32) == pytest.approx(8.0), "in proportion"
    assert Costs({1: 2.0, 2: 1.0}).of(2) == 2.0, "more tokens are never cheaper"


def test_costs_follow_what_is_noted() -> None:
    costs = flat()
    for _ in range(30):
        costs.note(8, 0.1)
        costs.note(1, 0.01)
    assert costs.of(8) == pytest.approx(0.1, rel=0.05)
    assert costs.of(1) == pytest.approx(0.01, rel=0.1)
    assert lengths(costs, 1, [[0.9] * 7])[0] < 7
    for _ in range(400):
        costs.note(1, 0.01)
    assert costs.of(8) == pytest.approx(0.01, rel=0.1), "a cost that was too high once is tried again"
    for _ in range(60):
        costs.note(6, 0.02)
    assert costs.of(6) == pytest.approx(0.02, rel=0.1)
    costs.note(1, 1000.0)
    assert costs.of(1) < 0.05, "one pause of the machine is no measure"


def test_without_a_measurement_nothing_is_learned() -> None:
    costs = Costs()
    costs.note(4, 1.0)
    assert costs.of(4) == 4 * costs.of(1)
