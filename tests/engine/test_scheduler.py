"""Who runs next, and that nobody is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.api import Priority
from coderls.engine.kv_slots import KvSlots
from coderls.engine.scheduler import FIRST_CHUNK, LARGEST_CHUNK, SMALLEST_CHUNK, Generation, Pace, Scheduler, Step


def scheduler(lengths: list[int], rate: float = 0.0) -> Scheduler:
    return Scheduler(KvSlots(lengths), Pace(0.050, rate))


def generation(tokens: list[int], output: int = 4, priority: Priority = Priority.INTERACTIVE) -> Generation:
    return Generation(tokens, len(tokens) + output, priority)


def run(books: Scheduler, token: int = 7) -> Step:
    step = books.next()
    assert step is not None
    books.ran(step, token if step.last else None)
    books.check()
    return step


def test_prefill_then_decode_token_by_token() -> None:
    books = scheduler([32])
    one = generation([1, 2, 3])
    books.add(one)
    first, second = run(books), run(books)
    assert (first.start, first.tokens, first.last) == (0, (1, 2, 3), True)
    assert (second.start, second.tokens, second.last) == (3, (7,), True)
    books.remove(one)
    assert books.next() is None


def test_prefill_runs_in_equal_chunks_of_about_the_time_asked_for() -> None:
    books = scheduler([4096], rate=2000)  # 100 tokens in 50 ms
    books.add(generation(list(range(210))))
    steps = [run(books) for _ in range(3)]
    assert [len(step.tokens) for step in steps] == [70, 70, 70]
    assert [step.last for step in steps] == [False, False, True]


def test_an_interactive_request_takes_over_and_the_other_goes_on_later() -> None:
    books = scheduler([64, 64])
    slow, fast = generation([1, 2], priority=Priority.BACKGROUND), generation([3, 4])
    books.add(slow)
    run(books)
    books.add(fast)
    assert run(books).generation is fast
    assert run(books).generation is fast
    books.remove(fast)
    resumed = run(books)
    assert (resumed.generation, resumed.start, resumed.tokens) == (slow, 2, (7,)), "nothing is computed twice"


def test_with_one_slot_the_interrupted_one_is_computed_again() -> None:
    books = scheduler([64])
    slow, fast = generation([1, 2], priority=Priority.REPAIR), generation([3, 4])
    books.add(slow)
    run(books)
    books.add(fast)
    assert run(books).generation is fast
    books.remove(fast)
    resumed = run(books)
    assert (resumed.generation, resumed.start, resumed.tokens) == (slow, 0, (1, 2, 7))
    assert slow.cached == 0


def test_equals_are_served_in_the_order_of_arrival() -> None:
    books = scheduler([64, 64])
    first, second = generation([1]), generation([2])
    books.add(first)
    books.add(second)
    assert [run(books).generation for _ in range(3)] == [first] * 3


def test_priorities_go_interactive_repair_background() -> None:
    books = scheduler([64, 64, 64])
    everyone = {priority: generation([priority], priority=priority) for priority in reversed(Priority)}
    for one in everyone.values():
        books.add(one)
    order = []
    while (step := books.next()) is not None:
        order.append(step.generation.priority)
        books.remove(step.generation)
    assert order == [Priority.INTERACTIVE, Priority.REPAIR, Priority.BACKGROUND]


def test_candidates_of_one_prompt_share_it() -> None:
    books = scheduler([64, 64])
    first, second = generation([1, 2, 3, 4]), generation([1, 2, 3, 4])
    books.add(first)
    books.add(second)
    run(books)
    books.remove(first)
    assert run(books).tokens == (4,)
    assert second.cached == 3


def test_a_failed_step_leaves_nothing_to_go_on_from() -> None:
    books = scheduler([64])
    broken = generation([1, 2, 3])
    books.add(broken)
    run(books)
    step = books.next()
    assert step is not None
    books.failed(step)
    books.remove(broken)
    books.add(generation([1, 2, 3]))
    assert run(books).start == 0


def test_what_no_slot_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="no slot has room"):
        scheduler([8]).add(generation([1] * 8))


def test_the_pace_follows_what_was_measured() -> None:
    pace = Pace(0.050)
    assert pace.chunk(10_000) <= FIRST_CHUNK
    pace.measured(2000, 1.0)
    assert pace.chunk(100) == 100
    pace.measured(1, 10.0)  # a decode step says nothing
    assert pace.rate == 2000
    for _ in range(50):
        pace.measured(100, 1.0)
    assert pace.chunk(1000) <= SMALLEST_CHUNK
    assert pace.best == 2000  # what the machine can do does not shrink with its load
    pace.measured(10_000_000, 0.1)
    assert pace.chunk(100_000) <= LARGEST_CHUNK


ARRIVALS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 1), min_size=1, max_size=20),
        st.sampled_from(Priority),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=12,
)


@given(lengths=st.lists(st.integers(25, 40), min_size=1, max_size=3), arrivals=ARRIVALS, rate=st.sampled_from([0, 400]))
def test_everybody_is_finished_once_with_the_books_in_order(lengths, arrivals, rate) -> None:
    """Requests arrive while others run, some are cancelled half-way; each gets all of its tokens, none is lost."""
    books = scheduler(lengths, rate)
    memory: list[list[int]] = [[] for _ in lengths]
    waiting = list(arrivals)
    expected, finished = [], []
    steps = 0
    while waiting or books.generations:
        if waiting and steps % 2 == 0:
            tokens, priority, output, cancel = waiting.pop()
            one = generation(list(tokens), output, priority)
            books.add(one)
            expected.append(one)
            if cancel and len(books.generations) > 1:
                victim = books.generations[0]
                books.remove(victim)
                finished.append(victim)
        step = books.next()
        steps += 1
        if step is None:
            continue
        assert step.generation.priority == min(one.priority for one in books.generations)
        if step.grant is not None and step.grant.copy_from is not None:
            memory[step.grant.slot] = memory[step.grant.copy_from][: step.grant.cached]
        slot = step.generation.slot
        assert memory[slot][: step.start] == step.generation.tokens[: step.start], "the cache holds its own tokens"
        memory[slot] = memory[slot][: step.start] + list(step.tokens)
        books.ran(step, steps % 2 if step.last else None)
        books.check()
        if len(step.generation.tokens) == step.generation.room:
            books.remove(step.generation)
            finished.append(step.generation)
        assert steps < 2000
    assert sorted(map(id, finished)) == sorted(map(id, expected))
