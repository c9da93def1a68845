"""Who runs next, with whom, and that nobody is lost."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.api import Priority
from coderls.engine.kv_slots import KvSlots
from coderls.engine.scheduler import (
    FIRST_CHUNK,
    HURRIED_PROMPTS,
    LARGEST_CHUNK,
    LONE_CHUNKS,
    MOST_TOGETHER,
    REPAIR_SHARE,
    SHORT,
    SMALLEST_CHUNK,
    Generation,
    Pace,
    Round,
    Scheduler,
    Step,
)


def scheduler(lengths: list[int], rate: float = 0.0) -> Scheduler:
    return Scheduler(KvSlots(lengths), Pace(0.050, rate))


def generation(
    tokens: list[int], output: int = 4, priority: Priority = Priority.INTERACTIVE, client: str = "", long: bool = False
) -> Generation:
    return Generation(tokens, len(tokens) + output, priority, client=client, long=long)


def run(books: Scheduler, token: int = 7, seconds: float = 0.0) -> Round:
    """One round; each step takes `seconds`."""
    made = books.next()
    assert made is not None
    assert made.steps
    for step in made.steps:
        books.ran(step, [token] if step.last else [], seconds)
    books.check()
    return made


def only(made: Round) -> Step:
    assert len(made.steps) == 1
    return made.steps[0]


def who(made: Round) -> list[Generation]:
    return [step.generation for step in made.steps]


def test_prefill_then_decode_token_by_token() -> None:
    books = scheduler([32])
    one = generation([1, 2, 3])
    books.add(one)
    first, second = only(run(books)), only(run(books))
    assert (first.start, first.tokens, first.last) == (0, (1, 2, 3), True)
    assert (second.start, second.tokens, second.last) == (3, (7,), True)
    books.remove(one)
    assert books.next() is None


def test_verified_tokens_are_in_the_slot_and_rejected_ones_are_not() -> None:
    books = scheduler([32])
    one = generation([1, 2, 3], output=20)
    books.add(one)
    made = books.next()
    assert made is not None
    books.ran(made.steps[0], [4, 5, 6])  # 4 and 5 were drafted and chosen, 6 was chosen after them
    books.check()
    assert (one.tokens, one.computed, one.lacking) == ([1, 2, 3, 4, 5, 6], 5, 1)
    assert only(run(books)).tokens == (6,)


def test_prefill_runs_in_equal_chunks_of_about_the_time_asked_for() -> None:
    books = scheduler([4096], rate=2000)  # 100 tokens in 50 ms
    books.add(generation(list(range(210))))
    books.add(generation([1]))
    steps = [only(run(books)) for _ in range(6)]
    chunks = [step for step in steps if len(step.tokens) > 1]
    assert [len(step.tokens) for step in chunks] == [70, 70, 70]
    assert [step.last for step in chunks] == [False, False, True]


def test_a_prompt_that_nobody_waits_behind_runs_in_long_chunks_until_it_is_interrupted() -> None:
    books = scheduler([4096], rate=2000)
    one = generation(list(range(2000)))
    books.add(one)
    made = books.next()
    assert made is not None
    assert made.lone
    assert len(only(made).tokens) == 2000 / 3 + 1 / 3 < 100 * LONE_CHUNKS
    books.stopped(made)
    again = run(books)
    assert not again.lone
    assert (only(again).start, len(only(again).tokens)) == (0, 100)


def test_somebody_who_types_loses_one_long_chunk_and_no_more() -> None:
    """Each key cancels the prompt of the one before, which was read for a while, and asks with one token more."""
    books = scheduler([4096], rate=2000)
    prompt = list(range(2000))
    read = 0
    for key in range(HURRIED_PROMPTS):
        one = generation([*prompt, *range(key)])
        books.add(one)
        made = books.next()
        assert made is not None
        assert made.lone == (key == 0)
        if made.lone:
            books.stopped(made)
        else:
            books.ran(only(made), [])
            assert one.computed > read + 90, "what was read stays, and the next goes on from there"
            read = one.computed
        books.remove(one)
    books.add(generation(list(range(5000, 7000))))
    made = books.next()
    assert made is not None
    assert made.lone, "after a while without such stops chunks are long again"


def test_what_is_done_ahead_may_be_stopped_without_anybody_being_in_a_hurry() -> None:
    books = scheduler([2048, 2048], rate=2000)
    ahead = Generation(list(range(400)), 500, Priority.BACKGROUND)
    books.add(ahead)
    run = books.next()
    assert run is not None
    assert run.lone
    books.stopped(run)
    books.remove(ahead)
    books.add(Generation(list(range(1000, 1400)), 500))
    run = books.next()
    assert run is not None
    assert run.lone, "a long chunk, as if nothing had been"


def test_generations_of_one_class_decode_together() -> None:
    books = scheduler([64] * 3)
    everyone = [generation([number, number]) for number in range(3)]
    for one in everyone:
        books.add(one)
    assert who(run(books)) == everyone
    books.remove(everyone[1])
    assert who(run(books)) == [everyone[0], everyone[2]]


def test_no_more_run_together_than_may() -> None:
    books = scheduler([64] * 12)
    everyone = [generation([number, number], output=40) for number in range(12)]
    for one in everyone:
        books.add(one)
    assert len(run(books).steps) == MOST_TOGETHER
    for one in everyone[:MOST_TOGETHER]:
        books.remove(one)
    assert who(run(books)) == everyone[MOST_TOGETHER:]


def test_an_interactive_request_takes_over_and_the_other_goes_on_later() -> None:
    books = scheduler([64, 64])
    slow, fast = generation([1, 2], priority=Priority.BACKGROUND), generation([3, 4])
    books.add(slow)
    run(books)
    books.add(fast)
    assert who(run(books)) == [fast]
    assert who(run(books)) == [fast]
    books.remove(fast)
    resumed = only(run(books))
    assert (resumed.generation, resumed.start, resumed.tokens) == (slow, 2, (7,)), "nothing is computed twice"


def test_with_one_slot_the_interrupted_one_is_computed_again() -> None:
    books = scheduler([64])
    slow, fast = generation([1, 2], priority=Priority.REPAIR), generation([3, 4])
    books.add(slow)
    run(books)
    books.add(fast)
    assert who(run(books)) == [fast]
    books.remove(fast)
    resumed = only(run(books))
    assert (resumed.generation, resumed.start, resumed.tokens) == (slow, 0, (1, 2, 7))
    assert slow.cached == 0


def test_only_a_slot_that_is_large_enough_is_taken_away() -> None:
    books = scheduler([64, 16])
    small, large = (generation([number], output=size, priority=Priority.REPAIR) for number, size in ((1, 8), (2, 40)))
    for one in (small, large):
        books.add(one)
    run(books)
    urgent = generation([3], output=40)
    books.add(urgent)
    assert who(run(books)) == [urgent]
    assert large.slot is None
    assert small.slot is not None


def test_priorities_go_interactive_repair_background() -> None:
    books = scheduler([64, 64, 64])
    everyone = {priority: generation([priority], priority=priority) for priority in reversed(Priority)}
    for one in everyone.values():
        books.add(one)
    order = []
    while (made := books.next()) is not None:
        order.append(only(made).generation.priority)
        books.remove(only(made).generation)
    assert order == [Priority.INTERACTIVE, Priority.REPAIR, Priority.BACKGROUND]


def test_candidates_of_one_prompt_are_forks_of_the_first_and_then_one_batch() -> None:
    books = scheduler([256] * 4, rate=2000)
    prompt = list(range(150))
    everyone = [generation(list(prompt)) for _ in range(3)]
    for one in everyone:
        books.add(one)
    assert [len(only(run(books)).tokens) for _ in range(2)] == [75, 75], "only the first computes the prompt"
    forks = run(books)
    assert who(forks)[-1] is everyone[0] or who(forks)[0] is everyone[0]
    assert [(grant.cached, grant.copy_from) for grant in forks.grants] == [(149, everyone[0].slot)] * 2
    assert sorted(step.start for step in forks.steps) == [149, 149, 150]
    assert [one.cached for one in everyone] == [0, 149, 149]


def test_a_chunk_and_a_common_step_take_turns() -> None:
    books = scheduler([256] * 3, rate=400)
    talking, filling = generation([1], output=40), generation(list(range(100)))
    books.add(talking)
    run(books)
    books.add(filling)
    order = [who(run(books))[0] is filling for _ in range(6)]
    assert order in ([True, False] * 3, [False, True] * 3)


def test_the_shortest_prompt_goes_first_but_the_oldest_is_not_forgotten() -> None:
    books = scheduler([256] * 3, rate=400)
    long = generation([9] * 200)
    books.add(long)
    run(books)
    done = 0
    while books.generations[0].lacking > SHORT:
        short = generation([done % 7 + 1] * 20)
        books.add(short)
        while short in books.generations:
            made = run(books)
            for step in made.steps:
                if step.generation is short and step.last:
                    books.remove(short)
        done += 1
        assert done < 100, "the long one starves"
    assert done > 3, "short ones went ahead"


def test_the_time_is_shared_by_clients_and_not_by_requests() -> None:
    books = scheduler([64] * 9)
    flood = [generation([1, number], output=1000 - 2, client="many") for number in range(6)]
    books.slots = KvSlots([2000] * 9)
    for one in flood:
        books.add(one)
    for _ in range(10):
        run(books, seconds=0.01)
    lone = generation([5] * 300, client="one")
    books.add(lone)
    books.pace.rate = 400  # 20 tokens a chunk
    turns = []
    for _ in range(12):
        made = books.next()
        assert made is not None
        cost = 0.05 if lone in who(made) else 0.02 / len(made.steps)
        for step in made.steps:
            books.ran(step, [7] if step.last else [], cost)
        turns.append(lone in who(made))
    spent = {True: 0.05 * sum(turns), False: 0.02 * (12 - sum(turns))}
    assert abs(spent[True] - spent[False]) <= 0.05 + 1e-9


def test_who_comes_again_and_again_gets_no_more_than_who_stays() -> None:
    books = scheduler([4096] * 3)
    stays = generation([1] * 2000, client="stays")
    books.add(stays)
    run(books, seconds=1.0)
    turns = []
    for number in range(10):
        guest = generation([2, number], client="guest")
        books.add(guest)
        while guest in books.generations:
            made = run(books, seconds=1.0)
            turns.append(who(made)[0] is guest)
            if guest in who(made):
                books.remove(guest)
    assert 0.3 < sum(turns) / len(turns) < 0.7


def test_a_client_without_a_slot_gets_one_of_who_has_several() -> None:
    books = scheduler([64, 64])
    greedy = [generation([1, number], client="greedy") for number in range(3)]
    for one in greedy:
        books.add(one)
    assert who(run(books)) == greedy[:2]
    modest = generation([2], client="modest")
    books.add(modest)
    made = run(books)
    assert modest in who(made)
    assert [one.slot is None for one in greedy] == [False, True, True]
    run(books)
    assert modest.slot is not None, "and keeps it"


def test_clients_with_many_requests_each_share_the_slots_evenly() -> None:
    books = scheduler([64] * MOST_TOGETHER)
    first = [generation([1, number], output=50, client="first") for number in range(MOST_TOGETHER)]
    for one in first:
        books.add(one)
    run(books)
    second = [generation([2, number], output=50, client="second") for number in range(MOST_TOGETHER)]
    for one in second:
        books.add(one)
    made = run(books)
    held = Counter(one.client for one in who(made))
    assert held == {"first": MOST_TOGETHER // 2, "second": MOST_TOGETHER // 2}
    for _ in range(10):
        assert set(who(run(books))) == set(who(made)), "and nobody is pushed to and fro"
    books.remove(second[0])
    assert second[4] in who(run(books)), "who holds fewer is the next"


def test_who_gave_up_a_slot_to_another_client_goes_on_exactly() -> None:
    books = scheduler([64] * 2)
    greedy = [generation([1, number], output=30, client="greedy") for number in range(2)]
    for one in greedy:
        books.add(one)
    for token in (11, 12, 13):
        run(books, token)
    modest = generation([2], client="modest")
    books.add(modest)
    run(books)
    assert greedy[1].slot is None
    books.remove(modest)
    resumed = next(step for step in run(books, 14).steps if step.generation is greedy[1])
    assert (resumed.start, resumed.tokens, resumed.last) == (1, (1, 11, 12, 13), True), "the prompt's start is a copy"
    assert greedy[1].tokens == [1, 1, 11, 12, 13, 14]


def test_a_repair_goes_on_while_others_type_without_a_pause() -> None:
    books = scheduler([256] * 3, rate=400)  # 20 tokens in 50 ms
    repair = generation([5] * 40, output=100, priority=Priority.REPAIR, client="a")
    ahead = generation([6] * 40, output=100, priority=Priority.BACKGROUND, client="a")
    books.add(repair)
    books.add(ahead)
    spent = dict.fromkeys(Priority, 0.0)
    longest = waited = 0.0
    typed = None
    for key in range(400):
        if typed is None or len(typed.tokens) > 6:
            if typed is not None:
                books.remove(typed)
            typed = generation([7, key % 5], output=20, client="b")
            books.add(typed)
        made = books.next()
        assert made is not None
        (kind,) = {step.generation.priority for step in made.steps}
        cost = 0.05 if len(made.steps[0].tokens) > SHORT else 0.01
        waited = waited + cost if kind is not Priority.INTERACTIVE else 0.0
        longest = max(longest, waited)
        for step in made.steps:
            books.ran(step, [7] if step.last else [], cost / len(made.steps))
        books.check()
        spent[kind] += cost
    assert spent[Priority.REPAIR] / sum(spent.values()) == pytest.approx(REPAIR_SHARE, abs=0.03)
    assert spent[Priority.BACKGROUND] == 0.0, "nobody waits for that"
    assert longest <= 0.05 + 0.01 + 1e-9, "who types waits for no more than a chunk"
    assert len(repair.tokens) > 45


def test_typing_that_pauses_owes_a_repair_nothing() -> None:
    books = scheduler([64] * 3)
    typed = generation([1], output=40)
    books.add(typed)
    for _ in range(10):
        run(books, seconds=0.04)
    books.add(generation([2], priority=Priority.REPAIR))
    assert who(run(books, seconds=0.01)) == [typed], "it has only just come"


def test_a_repair_without_a_slot_keeps_nobody_waiting() -> None:
    books = scheduler([64])
    repair, typed = generation([2], priority=Priority.REPAIR), generation([1], output=60)
    books.add(repair)
    run(books)
    books.add(typed)
    for _ in range(40):
        assert who(run(books, seconds=0.04)) == [typed]
    books.remove(typed)
    assert who(run(books)) == [repair]


def test_a_sequence_with_yarn_shares_no_prefix_with_one_without() -> None:
    books = scheduler([64, 64])
    plain = generation([1, 2, 3, 4])
    books.add(plain)
    run(books)
    books.remove(plain)
    for long, expected in ((True, 0), (True, 3), (False, 3)):
        one = generation([1, 2, 3, 4], long=long)
        books.add(one)
        run(books)
        assert one.cached == expected
        books.remove(one)


def test_a_failed_round_leaves_nothing_to_go_on_from_and_each_is_tried_alone() -> None:
    books = scheduler([64, 64])
    broken = [generation([1, 2, 3]), generation([4, 5])]
    for one in broken:
        books.add(one)
    run(books)
    made = books.next()
    assert made is not None
    books.failed(made)
    books.check()
    again = [only(run(books)), only(run(books))]
    assert [step.generation for step in again] == broken
    assert [(step.start, len(step.tokens)) for step in again] == [(0, 4), (0, 3)]
    for one in broken:
        books.remove(one)
    fresh = generation([6])
    books.add(fresh)
    assert who(run(books)) == [fresh]


def test_a_generation_that_failed_beside_others_leaves_nothing_behind() -> None:
    books = scheduler([64])
    broken = generation([1, 2, 3])
    books.add(broken)
    run(books)
    books.spoil(broken)
    books.remove(broken)
    books.add(generation([1, 2, 3]))
    assert only(run(books)).start == 0


def test_what_no_slot_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="no slot has room"):
        scheduler([8]).add(generation([1] * 8))


def test_books_that_do_not_agree_are_noticed() -> None:
    books = scheduler([64, 64])
    books.add(generation([1, 2]))
    run(books)
    books.slots.acquire([5], 8)
    with pytest.raises(RuntimeError, match="in use"):
        books.check()
    books.slots.release(1)
    books.generations[0].tokens[0] = 9
    with pytest.raises(RuntimeError, match="does not hold"):
        books.check()


def test_the_pace_follows_what_was_measured() -> None:
    pace = Pace(0.050)
    assert pace.chunk(10_000) <= FIRST_CHUNK
    pace.measured(2000, 1.0)
    assert pace.chunk(100) == 100
    assert pace.chunk(400, times=4) == 400
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
        st.lists(st.integers(0, 1), min_size=1, max_size=60),
        st.sampled_from(Priority),
        st.integers(1, 5),
        st.sampled_from("abc"),
        st.booleans(),
        st.booleans(),
    ),
    max_size=14,
)
EVENTS = st.lists(st.sampled_from(["arrive", "run", "run", "run", "cancel", "fail", "spoil", "stop"]), max_size=60)


def prepare(made: Round, books: Scheduler, memory: list[tuple[list[int], bool]]) -> None:
    """Do the copies, and look whether each step finds in its slot what it builds on."""
    for grant in made.grants:
        kind = next(one.long for one in books.generations if one.slot == grant.slot)
        source = grant.slot if grant.copy_from is None else grant.copy_from
        assert not grant.cached or memory[source][1] == kind, "YaRN and plain do not mix"
        memory[grant.slot] = (memory[source][0][: grant.cached], kind)
    for step in made.steps:
        held, kind = memory[step.generation.slot]
        assert held[: step.start] == step.generation.tokens[: step.start], "the cache holds its own tokens"
        assert kind == step.generation.long


@given(
    lengths=st.lists(st.integers(65, 90), min_size=1, max_size=4),
    arrivals=ARRIVALS,
    events=EVENTS,
    rate=st.sampled_from([0, 400, 1000]),
    accepted=st.lists(st.integers(0, 3), min_size=1, max_size=5),
)
def test_everybody_is_finished_once_with_the_books_in_order(lengths, arrivals, events, rate, accepted) -> None:
    """Requests come and go while others run, runs fail or are stopped; each gets all of its tokens, none is lost."""
    books = scheduler(lengths, rate)
    memory: list[tuple[list[int], bool]] = [([], False) for _ in lengths]  # what a runner would have written, and how
    waiting = list(arrivals)
    expected: list[Generation] = []
    finished: list[Generation] = []
    plan = iter(events)
    rounds = 0
    while waiting or books.generations:
        event = next(plan, "run" if not waiting else "arrive")
        if event == "arrive" and waiting:
            tokens, priority, output, client, long, _ = waiting.pop()
            one = generation(list(tokens), output, priority, client, long)
            books.add(one)
            expected.append(one)
        elif event == "cancel" and books.generations:
            victim = books.generations[len(books.generations) // 2]
            books.remove(victim)
            finished.append(victim)
        made = books.next()
        if made is None:
            continue
        rounds += 1
        assert rounds < 3000
        urgent = min(one.priority for one in books.generations)
        assert made.steps
        assert len({step.generation.slot for step in made.steps}) == len(made.steps) <= MOST_TOGETHER
        (kind,) = {step.generation.priority for step in made.steps}
        assert kind == urgent or (kind, urgent) == (Priority.REPAIR, Priority.INTERACTIVE)
        prepare(made, books, memory)
        if event == "fail":
            for slot in [step.generation.slot for step in made.steps] + [grant.slot for grant in made.grants]:
                memory[slot] = ([-1] * 99, False)
            books.failed(made)
        elif event == "stop":
            books.stopped(made)
        else:
            for number, step in enumerate(made.steps):
                one = step.generation
                if event == "spoil" and number == 0:
                    memory[one.slot] = ([-1] * 99, False)
                    books.spoil(one)
                    books.remove(one)
                    finished.append(one)
                    continue
                room = one.room - len(one.tokens) - 1
                chosen = [rounds % 2] * (1 + min(accepted[rounds % len(accepted)], room)) if step.last else []
                memory[one.slot] = ([*memory[one.slot][0][: step.start], *step.tokens, *chosen[:-1], -1], one.long)
                books.ran(step, chosen, 0.01)
                if len(one.tokens) == one.room:
                    books.remove(one)
                    finished.append(one)
        books.check()
    assert sorted(map(id, finished)) == sorted(map(id, expected))


def test_an_exact_one_that_lost_its_slot_goes_the_same_way_again() -> None:
    books = scheduler([512], rate=10_000.0)
    one = generation(list(range(300)), 20, Priority.BACKGROUND)
    one.exact = 300
    books.add(one)
    first = [only(run(books)) for _ in range(4)]
    assert [(step.start, len(step.tokens)) for step in first] == [(0, 256), (256, 44), (300, 1), (301, 1)]
    other = generation([7] * 20)
    books.add(other)
    run(books)
    books.remove(other)
    again = []
    while not again or not again[-1].last:
        again.append(only(run(books)))
    assert [(step.start, len(step.tokens)) for step in again] == [(0, 256), (256, 44), (300, 1), (301, 1), (302, 1)]
