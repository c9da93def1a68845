"""Weights for texts near by, fitted to what was hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from coderls.engine.blend import FEATURES, Found, Gate, read_gate
from coderls.errors import CoderlsError
from training import blend
from training.blend import Token, figures, fit


def token(model: float, found: float, *, healed: bool = False) -> Token:
    """One that a model has with this probability (another with 0.5), and that followed elsewhere with this share."""
    local = Found({7: found} if found else {}, 3 if found else 0, 5 if found else 0, 1 if found else 0)
    return Token(7, {7: model, 8: 0.5}, Found({}), local, healed)


def test_what_is_found_is_trusted_as_far_as_it_was_right() -> None:
    lines = [[token(0.1, 0.9)] * 8 + [token(0.4, 0.0)] * 4] * 4
    gate = fit(lines)
    trusted = gate.blend(Found({}), lines[0][0].local)
    assert trusted is not None
    assert trusted.masses[0] > 0.7
    wrong = Found({8: 0.9}, 3, 5, 1)
    never = fit([[Token(7, {7: 0.6, 8: 0.3}, Found({}), wrong, False)] * 10])
    distrusted = never.blend(Found({}), wrong)
    assert distrusted is None or max(distrusted.masses) < 0.1


def test_figures_count_tokens_lines_and_rests() -> None:
    gate = Gate((-9.0, *[0.0] * 2 * FEATURES), (9.0, *[0.0] * 2 * FEATURES))
    lines = [[token(0.6, 0.0), token(0.6, 0.0), token(0.1, 0.9), token(0.6, 0.0)]]
    alone, blended = figures(lines, None), figures(lines, gate)
    assert alone["tokens"] == 0.75
    assert (alone["lines"], alone["rests"]) == (0.0, 0.5)
    assert (blended["tokens"], blended["lines"], blended["rests"]) == (1.0, 1.0, 1.0)
    assert blended["nats"] < alone["nats"]
    healed = [[token(0.1, 0.9, healed=True)]]
    assert figures(healed, gate) == figures(healed, None), "what stands there already is not blended"
    with pytest.raises(CoderlsError, match="hidden"):
        fit(healed)


@pytest.mark.nano
def test_the_command_fits_a_corpus(tmp_path: Path, nano_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    rows = []
    for project, split in (("one", "train"), ("two", "held-out")):
        for number in range(3):
            name = f"module_{number}.py"
            text = "\n".join(f"value_{line} = frobnicate(value_{line - 1}, {project}_option)" for line in range(1, 30))
            path = tmp_path / "corpus" / "projects" / project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
            rows.append(
                {"project": project, "path": name, "split": split, "language": "python", "characters": len(text)}
            )
    manifest = "\n".join(map(json.dumps, rows))
    (tmp_path / "corpus" / "manifest.jsonl").write_text(manifest, encoding="utf-8")
    out = tmp_path / "blend.json"
    assert blend.main([str(tmp_path / "corpus"), str(nano_dir), str(out), "--count", "8"]) == 0
    assert read_gate(tmp_path) is not None
    said = capsys.readouterr().out
    assert "4 held-out lines" in said
    assert blend.main([str(tmp_path / "nothing"), str(nano_dir), str(out)]) == 1
