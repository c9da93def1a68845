from __future__ import annotations

import json

import pytest

from coderls.cli import main
from coderls.stats import Offered, Stats, stats_file


def test_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats"]) == 0
    assert "No completion was shown in the last 30 days." in capsys.readouterr().out
    stats = Stats()
    row = stats.offered(Offered("python", "nano", "shown", False, 10, 12.0))
    stats.ended(row, "accepted", 10)
    stats.kept(row, 15, 1.0)
    assert main(["stats", "--days", "7"]) == 0
    said = capsys.readouterr().out
    assert "Last 7 days: 1 completion shown." in said
    assert "taken         1 (100%)" in said
    assert "kept          100% after 15 s" in said
    assert "python        1 of 1 taken" in said
    assert main(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["without_model"] == 1.0


def test_forgetting(capsys: pytest.CaptureFixture[str]) -> None:
    Stats().offered(Offered("python", "nano", "", False, 10, 12.0))
    assert main(["stats", "--clear"]) == 0
    assert not stats_file().exists()
    assert "Forgotten." in capsys.readouterr().out


def test_a_file_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    stats_file().parent.mkdir(parents=True, exist_ok=True)
    stats_file().write_text("this is no database, but it is long enough to be looked at as one" * 20)
    assert main(["stats"]) == 1
    assert "cannot be read" in capsys.readouterr().err
