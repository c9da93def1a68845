from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from coderls.stats import Offered, Stats, kept_share

OFFER = Offered("python", "nano", "", False, 10, 100.0)


@pytest.fixture
def stats(tmp_path: Path) -> Stats:
    return Stats(tmp_path / "folder" / "stats.sqlite")


def test_nothing_yet(stats: Stats) -> None:
    summary = stats.summary()
    assert (summary.shown, summary.without_model, summary.p50_ms) == (0, None, None)
    assert set(summary.kept.values()) == {None}


def test_what_was_noted_is_summed_up(stats: Stats) -> None:
    rows = [stats.offered(OFFER) for _ in range(3)]
    other = stats.offered(Offered("go", "nano", "cache", True, 4, 20.0))
    stats.ended(rows[0], "accepted", 10)
    stats.ended(rows[1], "rejected", 0)
    stats.ended(other, "partly", 3)
    stats.kept(rows[0], 30, 0.5)
    stats.kept(other, 30, 1.0)
    summary = stats.summary()
    assert (summary.shown, summary.accepted, summary.partly, summary.rejected) == (4, 1, 1, 1)
    assert (summary.characters, summary.without_model) == (13, 0.25)
    assert (summary.p50_ms, summary.p95_ms) == (100.0, 100.0)
    assert summary.kept[30] == 0.75
    assert summary.kept[600] is None
    assert summary.by_language == {"python": (3, 1), "go": (1, 1)}


def test_only_the_days_asked_for(stats: Stats) -> None:
    stats.offered(OFFER)
    assert stats.summary(days=1).shown == 1
    assert stats.summary(days=-1).shown == 0


def test_forgetting(stats: Stats) -> None:
    stats.offered(OFFER)
    stats.clear()
    assert stats.summary().shown == 0


def test_a_file_of_another_version_begins_anew(stats: Stats, tmp_path: Path) -> None:
    stats.offered(OFFER)
    file = sqlite3.connect(tmp_path / "folder" / "stats.sqlite")
    file.execute("PRAGMA user_version = 99")
    file.commit()
    file.close()
    assert stats.summary().shown == 0
    stats.offered(OFFER)
    assert stats.summary().shown == 1


def test_kept_at_a_time_that_nobody_looks_at(stats: Stats) -> None:
    with pytest.raises(ValueError, match="not after 7"):
        stats.kept(1, 7, 1.0)


@pytest.mark.parametrize(
    ("taken", "text", "share"),
    [
        ("foo(a)", "x = foo(a)\n", 1.0),
        ("foo(a)", "y = 1\n" * 50 + "x = foo(a)\n", 1.0),  # it moved
        ("foo(a)", "x = foo(b)\n", 4 / 6),
        ("foo(a)", "", 0.0),
        ("", "x", 0.0),
    ],
)
def test_kept_share(taken: str, text: str, share: float) -> None:
    assert kept_share(taken, text, 4) == pytest.approx(share)
