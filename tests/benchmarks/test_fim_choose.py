"""Choosing by exact match: who is best, and whether that is more than chance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import fim_choose, fim_quality


def rows(exact: Sequence[int], bits: float = 10.0, total: int = 40) -> list[dict[str, object]]:
    return [
        {"name": f"p{n}", "context": True, "exact": n in exact, "stopped": n % 2 == 0, "bits": bits, "characters": 20}
        for n in range(total)
    ]


def by_key(made: list[dict[str, object]]) -> fim_choose.Rows:
    return {(str(row["name"]), bool(row["context"])): row for row in made}


def test_the_most_exact_is_first_and_of_equals_the_likelier() -> None:
    found = fim_choose.judged(
        {
            "ships": by_key(rows([0, 1, 2])),
            "worse": by_key(rows([0])),
            "better": by_key(rows(range(2, 14), bits=9.0)),
            "equal": by_key(rows(range(1, 13), bits=9.5, total=60)),
        }
    )
    assert [one.name for one in found] == ["better", "equal", "ships", "worse"]
    assert found[0].exact.total == 40, "only the points that all were asked"
    assert (found[0].against.gained, found[0].against.lost) == (11, 2)
    assert found[0].bits == pytest.approx(0.45)
    assert found[0].stopped == 0.5
    assert "better: it is better than what ships" in fim_choose.report(found)


def test_chance_is_no_reason_to_change() -> None:
    some = fim_choose.judged({"ships": by_key(rows([0, 1])), "new": by_key(rows([0, 1, 2, 3]))})
    assert "new: too few points" in fim_choose.report(some)
    none = fim_choose.judged({"ships": by_key(rows([0, 1])), "new": by_key(rows([0]))})
    assert "None is better" in fim_choose.report(none)


def test_the_command_measures_each_with_the_same_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def measure(argv: Sequence[str]) -> int:
        asked.append(list(argv))
        exact = range(12) if "--model" in argv else [0]
        Path(argv[argv.index("--json") + 1]).write_text(json.dumps({"rows": rows(exact)}))
        return 0

    monkeypatch.setattr(fim_quality, "main", measure)
    delta, whole = tmp_path / "delta-000010.safetensors", tmp_path / "step-000010"
    whole.mkdir()
    assert fim_choose.main(["corpus", str(tmp_path / "out"), str(delta), str(whole), "--every", "5"]) == 0
    assert [line[1] for line in asked] == ["--json", "--delta", "--model"]
    assert all(line[-2:] == ["--every", "5"] for line in asked)
    assert "step-000010: it is better" in capsys.readouterr().out


def test_a_failed_measurement_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fim_quality, "main", lambda argv: 1)
    assert fim_choose.main(["corpus", str(tmp_path / "out")]) == 1


def test_results_without_a_common_point(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(fim_choose.CoderlsError, match="no results"):
        fim_choose.read(tmp_path / "no.json")
    with pytest.raises(fim_choose.CoderlsError, match="no point in common"):
        fim_choose.judged({"ships": by_key(rows([0], total=1)), "new": {}})
