"""Drafts: where they come from, and that the likeliest is taken."""

from __future__ import annotations

from coderls.engine.draft_lengths import Acceptance, Costs
from coderls.engine.speculate import MOST_SAID, PRIORS, TAIL, Draft, Said, Speculation, TextDrafter


def drafter(prompt: list[int], expected: list[list[int]] | None = None, said: Said | None = None) -> TextDrafter:
    return TextDrafter(prompt, expected or [], said or Said(), Acceptance(PRIORS))


def test_the_prompt_goes_on_as_it_did_before() -> None:
    one = drafter([1, 2, 3, 4, 5, 6, 9, 1, 2, 3])
    assert one.propose(2) == Draft((4, 5), "own 3")
    one.came([4])
    assert one.propose(2) == Draft((5, 6), "own 4")
    one.came([7])
    assert one.propose(2) == Draft()


def test_an_expected_text_is_followed_from_the_start_and_after_a_change() -> None:
    one = drafter([1, 1, 1], expected=[[10, 11, 12, 13, 14, 15], [20, 21]])
    assert one.propose(3) == Draft((10, 11, 12), "expected")
    one.came([20])
    assert one.propose(3) == Draft((21,), "expected"), "the one that the output has followed so far"
    one.came([11, 12, 13])
    assert one.propose(3) == Draft((14, 15), "given 3"), "from the middle of a text"


def test_what_was_said_is_drafted_where_the_same_stood_before() -> None:
    said = Said()
    first = drafter([1, 2, 3, 4, 5], said=said)
    first.came([6, 7, 8, 9, 10])
    first.end()
    again = drafter([0, 0, 2, 3, 4, 5], said=said)
    assert again.propose(9) == Draft((6, 7, 8, 9, 10), "said 4")
    typed_into = drafter([0, 0, 2, 3, 4, 5, 6, 7], said=said)
    assert typed_into.propose(9) == Draft((8, 9, 10), "said 6"), "a keystroke later"


def test_the_longest_match_in_memory_counts_and_of_equals_the_newest() -> None:
    said = Said()
    said.remember([9, 9, 1, 2, 3], [4, 4, 4, 4])
    said.remember([7, 1, 2, 3], [5, 5, 5, 5])
    said.remember([8, 1, 2, 3], [6, 6, 6, 6])
    assert said.following([9, 9, 1, 2, 3], 2) == ([4, 4], 5)
    assert said.following([0, 1, 2, 3], 2) == ([6, 6], 3)
    assert said.following([3, 2, 1], 2) == ([], 0)


def test_memory_is_bounded_and_holds_nothing_twice() -> None:
    said = Said()
    for _ in range(3):
        said.remember(list(range(100)), [1, 2, 3, 4])
    assert [len(entry.tokens) for entry in said._entries] == [TAIL + 4]
    for number in range(2 * MOST_SAID):
        said.remember([number], [1, 2, 3, 4])
    assert len(said._entries) == MOST_SAID
    said.remember([5], [1])
    assert [5, 1] not in [entry.tokens for entry in said._entries], "too short to be of use"


def test_a_source_that_was_wrong_gives_way_to_one_that_was_right() -> None:
    acceptance = Acceptance(PRIORS)
    for _ in range(50):
        acceptance.record("expected", 0, 5, ended=True)
        acceptance.record("own 3", 5, 5, ended=False)
    one = TextDrafter([1, 2, 3, 4, 5, 6, 9, 1, 2, 3], [[30, 31]], Said(), acceptance)
    assert one.propose(5).kind == "own 3"


def test_drafts_are_judged_whether_they_were_verified_or_not() -> None:
    acceptance = Acceptance(PRIORS)
    one = TextDrafter([0], [[1, 2, 3, 4]], Said(), acceptance)
    before = acceptance.survival("expected", 4)
    one.propose(4)
    one.came([1, 2])
    assert acceptance.survival("expected", 4) == before, "it is not known yet"
    one.came([9])
    after = acceptance.survival("expected", 4)
    assert after[0] > before[0]
    assert after[2] < before[2]


def test_nothing_is_proposed_where_there_is_no_room() -> None:
    assert drafter([1, 2], expected=[[5, 6]]).propose(0) == Draft()
    assert drafter([1, 2], expected=[[]]).propose(5) == Draft()


def test_only_what_pays_is_verified() -> None:
    speculation = Speculation(Costs({1: 1.0, 16: 1.0}))
    drafts = [Draft((1, 2, 3), "expected"), Draft()]
    assert speculation.chosen(2, drafts) == [(1, 2, 3), ()]
    assert Speculation().chosen(2, drafts) == [(), ()]
    assert speculation.chosen(1, []) == []
