"""KV slots against a naive model: whatever is asked, what is in a slot is what the books say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.kv_slots import KvSlots, common_prefix

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@given(left=TOKENS, right=TOKENS)
def test_common_prefix_is_what_a_loop_finds(left: list[int], right: list[int]) -> None:
    expected = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        expected += 1
    assert common_prefix(left, right) == expected


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("acquire"), TOKENS, st.integers(0, 4)),
        st.tuples(st.just("extend"), st.integers(0, 5), st.integers(1, 3)),
        st.tuples(st.just("release"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("forget"), st.integers(0, 5), st.just(0)),
    ),
    max_size=40,
)


@given(lengths=st.lists(st.integers(4, 16), min_size=1, max_size=4), actions=ACTIONS)
def test_slots_hold_what_a_naive_memory_holds(lengths: list[int], actions: list[tuple]) -> None:
    slots = KvSlots(lengths)
    memory: list[list[int]] = [[] for _ in lengths]  # what a runner would have written
    running: dict[int, list[int]] = {}  # slot -> tokens that are still to be computed
    for kind, subject, number in actions:
        if kind == "acquire":
            room = len(subject) + number
            grant = slots.acquire(subject, room)
            fitting = [slot for slot, length in enumerate(lengths) if length >= room and slot not in running]
            assert (grant is None) == (not fitting)
            if grant is None:
                continue
            assert grant.slot in fitting
            assert grant.cached < len(subject)
            best = max(common_prefix(held, subject[:-1]) for held in memory)
            assert grant.cached == best, "the longest prefix that is anywhere is used, exact to the token"
            if grant.copy_from is not None:
                memory[grant.slot] = memory[grant.copy_from][: grant.cached]
            memory[grant.slot] = memory[grant.slot][: grant.cached]
            assert memory[grant.slot] == subject[: grant.cached]
            running[grant.slot] = subject[grant.cached :]
        elif running:
            slot = sorted(running)[subject % len(running)]
            if kind == "extend":
                piece, running[slot] = running[slot][:number], running[slot][number:]
                slots.extend(slot, piece)
                memory[slot] += piece
            elif kind == "release":
                slots.release(slot)
                del running[slot]
            else:
                slots.forget(slot)
                slots.release(slot)
                memory[slot] = []
                del running[slot]
        slots.check()
        assert [list(slots.tokens(slot)) for slot in range(len(lengths))] == memory


def computed(slots: KvSlots, tokens: list[int], room: int = 0) -> int:
    """Run `tokens` to their end; returns the slot."""
    grant = slots.acquire(tokens, room or len(tokens))
    assert grant is not None
    slots.extend(grant.slot, tokens[grant.cached :])
    slots.release(grant.slot)
    return grant.slot


def test_a_prompt_that_grew_goes_on_in_place() -> None:
    slots = KvSlots([16, 16])
    slot = computed(slots, [1, 2, 3, 4])
    grant = slots.acquire([1, 2, 3, 4, 5], 8)
    assert grant is not None
    assert (grant.slot, grant.cached, grant.copy_from) == (slot, 4, None)


def test_the_last_token_is_always_computed_again() -> None:
    slots = KvSlots([16])
    computed(slots, [1, 2, 3])
    grant = slots.acquire([1, 2, 3], 3)
    assert grant is not None
    assert grant.cached == 2


def test_a_prefix_in_use_is_copied() -> None:
    slots = KvSlots([16, 16])
    first = slots.acquire([1, 2, 3, 4], 8)
    assert first is not None
    slots.extend(first.slot, [1, 2, 3, 4])
    second = slots.acquire([1, 2, 3, 9], 8)
    assert second is not None
    assert (second.cached, second.copy_from) == (3, first.slot)
    assert second.slot != first.slot


def test_a_long_text_is_not_destroyed_for_a_short_prefix() -> None:
    slots = KvSlots([16, 16])
    long = computed(slots, [1, *range(10, 20)])
    grant = slots.acquire([1, 99], 4)
    assert grant is not None
    assert (grant.slot != long, grant.cached, grant.copy_from) == (True, 1, long)


def test_the_least_recently_used_goes_first() -> None:
    slots = KvSlots([8, 8, 8])
    used = [computed(slots, [number, number]) for number in (1, 2, 3)]
    assert sorted(used) == [0, 1, 2]
    computed(slots, [1, 1])
    grant = slots.acquire([7, 7], 2)
    assert grant is not None
    assert grant.slot == used[1]


def test_the_smallest_slot_that_fits_is_taken() -> None:
    slots = KvSlots([100, 10, 50])
    assert [slots.acquire([number] * 8, 8).slot for number in (1, 2, 3)] == [1, 2, 0]
    assert slots.acquire([4], 1) is None


def test_nothing_is_reused_from_a_slot_whose_run_failed() -> None:
    slots = KvSlots([8])
    slot = computed(slots, [1, 2, 3])
    slots.forget(slot)
    grant = slots.acquire([1, 2, 3, 4], 4)
    assert grant is not None
    assert grant.cached == 0


def test_who_spares_the_others_leaves_what_they_go_on_from() -> None:
    slots = KvSlots([16, 16, 16])
    grant = slots.acquire([1, 2, 3, 4, 9], 8)
    assert grant is not None
    slots.extend(grant.slot, [1, 2, 3, 4, 9])
    slots.release(grant.slot)
    for last in (5, 6, 7):
        spare = slots.acquire([1, 2, 3, 4, last], 8, spares=True)
        assert spare is not None
        assert spare.slot != grant.slot
        assert spare.cached == 4
        slots.extend(spare.slot, [last])
        slots.release(spare.slot)
    assert list(slots.tokens(grant.slot)) == [1, 2, 3, 4, 9]
    alone = KvSlots([16])
    only = alone.acquire([1, 2], 8, spares=True)
    assert only is not None


def test_a_fresh_slot_has_nothing_of_before() -> None:
    slots = KvSlots([16, 16])
    computed(slots, [1, 2, 3, 4])
    grant = slots.acquire([1, 2, 3, 4, 5], 8, fresh=True)
    assert grant is not None
    assert (grant.cached, grant.copy_from) == (0, None)
    assert list(slots.tokens(grant.slot)) == []


def test_misuse_and_broken_books_are_noticed() -> None:
    slots = KvSlots([4])
    with pytest.raises(ValueError, match="not in use"):
        slots.extend(0, [1])
    with pytest.raises(ValueError, match="at least one token"):
        slots.acquire([], 1)
    with pytest.raises(ValueError, match="at least one slot"):
        KvSlots([])
    slots.acquire([1], 4)
    with pytest.raises(ValueError, match="no room"):
        slots.extend(0, [1] * 5)
    slots._slots[0].tokens = [1] * 9
    with pytest.raises(RuntimeError, match="9 tokens in room for 4"):
        slots.check()
