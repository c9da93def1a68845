"""Delays, as somebody types, accepts and rejects."""

from __future__ import annotations

import pytest

from coderls.session.rhythm import Rhythm


def typing(interval: float, keys: int = 50) -> Rhythm:
    rhythm = Rhythm()
    for number in range(keys):
        rhythm.key(number * interval)
    return rhythm


def test_the_delay_follows_the_typing() -> None:
    slow, fast = typing(0.4), typing(0.08)
    assert slow.delay(20.0) > 2 * fast.delay(20.0)
    assert 0.01 <= fast.delay(20.0) <= 0.05


def test_pauses_are_no_typing() -> None:
    rhythm = typing(0.1)
    before = rhythm.delay(100.0)
    rhythm.key(100.0)
    assert rhythm.delay(100.0) == before


def test_a_slow_engine_is_asked_at_once() -> None:
    rhythm = typing(0.3)
    before = rhythm.delay(20.0)
    for _ in range(20):
        rhythm.responded(1.0)
    assert rhythm.delay(20.0) == 0.01 < before


def test_rejections_make_it_longer_accepts_shorter_and_both_fade() -> None:
    rhythm = typing(0.2)
    plain = rhythm.delay(10.0)
    rhythm.rejected(10.0)
    rhythm.rejected(10.0)
    assert rhythm.delay(10.0) == pytest.approx(plain * 1.5 * 1.5)
    assert plain < rhythm.delay(300.0) < plain * 1.5 * 1.5
    assert rhythm.delay(610.0) == pytest.approx(plain)
    rhythm.accepted(610.0)
    assert rhythm.delay(610.0) == pytest.approx(plain * 0.8)


def test_the_delay_has_a_longest() -> None:
    rhythm = typing(1.4)
    for _ in range(5):
        rhythm.rejected(70.0)
    assert rhythm.delay(70.0) == 1.0


def test_after_many_rejections_it_rests_until_somebody_asks() -> None:
    rhythm = Rhythm()
    for number in range(6):
        assert not rhythm.rests(10.0)
        rhythm.rejected(10.0 + number / 10)
    assert rhythm.rests(11.0)
    assert not rhythm.rests(60.0)
    for _ in range(6):
        rhythm.rejected(70.0)
    assert rhythm.rests(71.0)
    rhythm.invoked()
    assert not rhythm.rests(71.0)


def test_an_accept_ends_the_row() -> None:
    rhythm = Rhythm()
    for _ in range(5):
        rhythm.rejected(1.0)
    rhythm.accepted(1.0)
    rhythm.rejected(1.0)
    assert not rhythm.rests(1.5)
