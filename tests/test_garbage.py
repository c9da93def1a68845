from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from coderls import garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_a_question_ends_before_python_looks_for_garbage() -> None:
    looked: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        looked.append(phase)

    garbage.look_seldom()
    gc.collect()
    gc.callbacks.append(note)
    try:
        made = [[number] for number in range(10_000)]
    finally:
        gc.callbacks.remove(note)
    assert not looked
    assert len(made) == 10_000
    assert gc.isenabled()


def test_what_is_set_aside_is_not_looked_at() -> None:
    kept = [[number] for number in range(1_000)]
    garbage.set_aside()
    try:
        assert gc.get_freeze_count() > len(kept)
        assert not any(each is kept for each in gc.get_objects())
    finally:
        gc.unfreeze()
