from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from coderls.cli import main
from coderls.engine.model.config import read_config
from coderls.engine.model.forms import WeightForm, choose_form
from coderls.engine.model.quantized_file import StoredWeights
from coderls.models import quantized
from tests.engine.model.checkpoints import oracle, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = save(oracle(), tmp_path / "small")
    (model / "tokenizer.json").write_text("{}", encoding="utf-8")
    return model


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ([], WeightForm(4)),
        (["--bits", "8"], WeightForm(8)),
        (["--bits", "4", "--group", "64"], WeightForm(4, group=64)),
    ],
    ids=str,
)
def test_a_copy_is_made_once(
    folder: Path, options: list[str], form: WeightForm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "quantize", str(folder), *options]) == 0
    said = capsys.readouterr()
    (path,) = quantized.files_of(folder)
    assert f"small in {form.name} is made: {path}" in said.out
    assert f'`engine.weights` to "{form.name}"' in said.out
    assert "quantizing the weights" in said.err
    StoredWeights(path, form, read_config(folder))
    assert main(["models", "quantize", str(folder), *options]) == 0
    assert "is there already" in capsys.readouterr().out


def test_the_group_that_was_asked_for_last_is_used(folder: Path) -> None:
    def chosen() -> int:
        config = read_config(folder)
        return choose_form(
            "int4", folder, config, device=torch.device("cpu"), itemsize=2, free=None, packs=True
        ).group  # fmt: skip

    assert chosen() == 32
    for group in (128, 64, 32, 64):
        for file in quantized.files_of(folder):
            os.utime(file, (1, 1))
        assert main(["models", "quantize", str(folder), "--bits", "4", "--group", str(group)]) == 0
        assert chosen() == group


@pytest.mark.parametrize("options", [["--bits", "3"], ["--group", "48"]])
def test_forms_that_there_are_not(folder: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "quantize", str(folder), *options])
    assert "invalid choice" in capsys.readouterr().err


def test_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "quantize", "qwen2.5-coder-0.5b"]) == 2
    assert "coderls models pull" in capsys.readouterr().err
