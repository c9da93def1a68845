"""What is worth showing, fitted to rows whose chances are known."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from coderls.errors import CoderlsError
from training import calibrate
from training.calibrate import Logistic


def rows(count: int) -> list[dict[str, Any]]:
    """Rows that come out exactly by a known rule."""
    chooser = random.Random(1)
    made = []
    for _ in range(count):
        logprob, tokens = -chooser.expovariate(1.5), chooser.randint(1, 40)
        chance = 1 / (1 + math.exp(-(1.5 + 2.5 * logprob - 0.6 * math.log(tokens))))
        made.append(
            {"offered": True, "logprob": logprob, "tokens": tokens, "kind": "line", "exact": chooser.random() < chance}
        )
    return made


def test_the_rule_is_found() -> None:
    facts, _ = calibrate.calibrated(rows(6000))
    found = facts["logistic"]
    assert found["bias"] == pytest.approx(1.5, abs=0.3)
    assert found["logprob"] == pytest.approx(2.5, abs=0.3)
    assert found["log_tokens"] == pytest.approx(-0.6, abs=0.15)
    shown = facts["held_out"]["shown"]
    assert shown["0.2"]["precision"] > shown["0.05"]["precision"]
    assert shown["0.2"]["share_shown"] < shown["0.05"]["share_shown"]
    assert facts["held_out"]["ranking"] > 0.75


def test_thresholds_are_where_the_chance_is_reached() -> None:
    rule = Logistic(1.0, 2.0, -0.5)
    for chance in (0.05, 0.2):
        for tokens in (2, 32):
            least = rule.least_logprob(chance, tokens)
            assert least is not None
            assert rule.chance(np.array([least]), np.array([tokens]))[0] == pytest.approx(chance, abs=1e-3)
    assert Logistic(0.0, 2.0, -3.0).least_logprob(0.2, 32) is None, "not even a certain one"
    assert Logistic(3.0, 0.0, 0.0).least_logprob(0.1, 4) is None
    longer = [rule.least_logprob(0.1, tokens) for tokens in (2, 8, 32)]
    assert longer == sorted(longer, key=lambda value: value or 0.0), "the longer, the surer it has to be"


def test_the_curve_and_the_ranking() -> None:
    chances, exact = np.linspace(1, 0, 40), np.array([1.0] * 20 + [0.0] * 20)
    points = calibrate.curve(chances, exact)
    assert points[0] == (2 / 40, 1.0)
    assert points[-1] == (1.0, 0.5)
    assert calibrate.ranking(chances, exact) == 1.0
    assert calibrate.ranking(np.ones(40), exact) == 0.5


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.json"
    kept = {"variant": {"model": "nano 123"}, "machine": {"date": "2026-01-01"}, "rows": rows(200)}
    kept["rows"] += [{"offered": False, "logprob": -1.0, "tokens": 3, "exact": False}]
    results.write_text(json.dumps(kept))
    out, chart = tmp_path / "worth.json", tmp_path / "worth.svg"
    assert calibrate.main([str(results), str(out), str(chart)]) == 0
    written = json.loads(out.read_text("utf-8"))
    assert written["held_out"]["rows"] == 200
    lengths = [entry["most_tokens"] for entry in written["thresholds"]["0.1"]]
    assert lengths == list(calibrate.LENGTHS)[: len(lengths)]
    assert len(lengths) > 3
    assert written["kinds"] == ["line"]
    assert written["measured"][0]["variant"] == {"model": "nano 123"}
    assert ET.fromstring(chart.read_text("utf-8")).tag.endswith("svg")
    capsys.readouterr()
    results.write_text(json.dumps({**kept, "rows": rows(10)}))
    assert calibrate.main([str(results), str(out), str(chart)]) == 1
    assert "too few" in capsys.readouterr().err
    with pytest.raises(CoderlsError, match="holds no results"):
        calibrate.read_rows([tmp_path / "none.json"])
