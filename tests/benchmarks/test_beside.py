"""The benchmark of prompts beside other programs."""

from __future__ import annotations

import os

import psutil
import pytest

from benchmarks import beside


def test_other_programs_run_until_the_end_of_a_turn() -> None:
    me = psutil.Process()
    before = set(me.children())
    with beside.busy(2):
        programs = set(me.children()) - before
        assert len(programs) == 2
    assert not any(program.is_running() for program in programs)


def test_a_row_for_each_number_of_programs_and_each_prompt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def contender(way: str, runs: int) -> dict[str, float]:
        asked.append(way)
        return {"48": 1.0 + runs, "256": 2000.0}

    monkeypatch.setattr(beside, "_contender", contender)
    assert beside.main(["--rounds", "2", "--runs", "4", "--idle-wait", "0"]) == 0
    said = capsys.readouterr().out
    cores = os.cpu_count() or 1
    assert [f"| {others} | 48 | 5, 5 | 5, 5 |" in said for others in (0, 1, cores + 1)] == [True] * 3
    assert "| 1 | 256 | 2,000, 2,000 |" in said
    assert asked[:4] == ["plain", "brief", "plain", "brief"], "in turns"
