"""A pass on the threads that come at once, whatever else runs on the cores."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from coderls.engine.model.threads import Threads
from coderls.engine.model.torch_runner import load_runner
from coderls.engine.runner import Work

from .checkpoints import SMALL, oracle, save, some_tokens

QUICK, SLOW = 0.0001, 0.02


class Cores:
    """So many threads come at once; more take long. `used` is what PyTorch was told last, `calls` what was tried."""

    def __init__(self, free: int) -> None:
        self.free, self.used, self.now = free, 8, 0.0
        self.calls: list[int] = []

    def call(self, count: int) -> float:
        self.calls.append(count)
        assert self.used == count
        return QUICK if count <= self.free else SLOW

    def use(self, count: int) -> None:
        self.used = count


def used(threads: Threads, cores: Cores) -> int:
    """What a pass runs on; afterwards all that are allowed are there again."""
    with threads.gathered():
        found = cores.used
    return found


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)


def threads_on(cores: Cores) -> Threads:
    return Threads(call=cores.call, use=cores.use, clock=lambda: cores.now)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(("free", "expected"), [(8, 8), (7, 4), (4, 4), (3, 2), (1, 1)])
def test_as_many_as_come_at_once(free: int, expected: int) -> None:
    cores = Cores(free)
    assert used(threads_on(cores), cores) == expected
    assert cores.used == 8, "the pass is over"


@pytest.mark.usefixtures("eight")
def test_an_answer_holds_for_a_moment_and_longer_where_some_stayed_away() -> None:
    cores = Cores(8)
    threads = threads_on(cores)
    assert used(threads, cores) == 8
    cores.free, cores.now = 1, 0.01
    assert used(threads, cores) == 8
    assert cores.calls == [1, 8], "no call at every step"
    cores.now = 0.03
    assert used(threads, cores) == 1
    assert cores.calls == [1, 8, 8, 4, 2, 1]
    cores.free, cores.now = 8, 0.04
    assert used(threads, cores) == 1, "the answer of before"
    cores.now = 0.06
    assert used(threads, cores) == 8


@pytest.mark.usefixtures("eight")
def test_where_some_stay_away_for_long_they_are_called_less_and_less() -> None:
    cores = Cores(1)
    threads = threads_on(cores)
    tried = 0
    for _ in range(1000):  # ten seconds
        cores.calls.clear()
        assert used(threads, cores) == 1
        tried += bool(cores.calls)
        cores.now += 0.01
    assert tried < 40


@pytest.mark.usefixtures("eight")
def test_they_come_back_in_the_middle_of_a_pass() -> None:
    cores = Cores(1)
    threads = threads_on(cores)
    with threads.gathered():
        assert cores.used == 1
        cores.free, cores.now = 8, 0.1
        threads.gather()
        assert cores.used == 8


@pytest.mark.usefixtures("eight")
def test_a_slow_machine_is_no_busy_one() -> None:
    cores = Cores(8)
    times = iter([0.0006, 0.0012, 0.0018])
    threads = Threads(call=lambda _: next(times), use=cores.use, clock=lambda: cores.now)
    assert used(threads, cores) == 8
    cores.now = 1
    assert used(threads, cores) == 8, "it takes one thread as long"


@pytest.mark.usefixtures("eight")
def test_never_more_than_allowed() -> None:
    cores = Cores(8)
    threads = threads_on(cores)
    threads.allow(4)
    assert cores.used == 4
    assert used(threads, cores) == 4
    threads.allow(1)
    assert used(threads, cores) == 1
    assert cores.calls == [1, 4], "one thread has nobody to wait for"
    threads.allow(8)
    assert used(threads, cores) == 8


@pytest.mark.usefixtures("eight")
def test_a_pass_that_fails_leaves_all_threads_behind() -> None:
    cores = Cores(1)
    with pytest.raises(ZeroDivisionError), threads_on(cores).gathered():
        _ = 1 // 0
    assert cores.used == 8


def test_the_real_call_leaves_pytorch_as_it_was() -> None:
    before = torch.get_num_threads()
    threads = Threads()
    with threads.gathered():
        assert 1 <= torch.get_num_threads() <= before
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_number_of_threads_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr(Threads, "gathered", lambda _: nullcontext())
    runner = load_runner(save(oracle(SMALL), tmp_path), name="x", device="cpu", dtype=dtype, context_length=512)
    tokens = some_tokens(200)
    before = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(runner.logits(Work(0, 0, tokens)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
