"""A lock whose waiters get their turn."""

from __future__ import annotations

import threading

import pytest

from coderls.repo_context.turns import Questions, TurnLock


def test_a_thread_that_loops_lets_a_waiting_one_in():
    lock, waits, got = TurnLock(), threading.Event(), threading.Event()

    def wait_for_it() -> None:
        waits.set()
        with lock:
            got.set()

    with lock:
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        waits.wait()
        while not lock._door.locked():
            pass  # until the other one stands in the door
    with lock:  # it was asked for first
        assert got.is_set()
    thread.join()


def test_the_owner_takes_it_again_and_others_wait_until_all_is_let_go():
    lock, got = TurnLock(), threading.Event()

    def take() -> None:
        with lock:
            got.set()

    with lock:
        thread = threading.Thread(target=take)
        with lock:
            thread.start()
            while not lock._door.locked():
                pass
            with lock:
                assert not got.is_set()
        assert not got.is_set()
    thread.join()
    assert got.is_set()


def test_an_error_lets_it_go():
    lock = TurnLock()
    with pytest.raises(ValueError, match="within"), lock, lock:
        raise ValueError("within")
    thread = threading.Thread(target=lock.__enter__)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_many_threads_take_turns_and_lose_no_count():
    lock, total = TurnLock(), [0]

    def add() -> None:
        for _ in range(300):
            with lock, lock:
                seen = total[0]
                total[0] = seen + 1

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == [1_800]


def test_who_waits_for_a_question_has_its_turn_when_it_ends():
    questions, began, over = Questions(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        questions.wait(30)
        over.set()

    questions.wait(30)  # nobody asks
    with questions:
        thread = threading.Thread(target=work)
        thread.start()
        assert began.wait(30)
        assert not over.is_set()
    assert over.wait(30)
    thread.join()


def test_two_questions_at_once_are_both_waited_for():
    questions, asked, answered = Questions(), threading.Event(), threading.Event()

    def ask() -> None:
        with questions:
            asked.set()
            answered.wait(30)

    thread = threading.Thread(target=ask)
    with questions:
        thread.start()
        assert asked.wait(30)
    assert questions.wait(0) is False
    answered.set()
    thread.join()
    assert questions.wait(30) is True
