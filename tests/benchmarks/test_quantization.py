"""The benchmark's own arithmetic, on a model with random weights."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks import quantization
from benchmarks.quantization import Contender, Tally, Window, contenders, load, loss, measure, predictions
from tests.engine.model.checkpoints import expected_logits, oracle, save, some_tokens
from tests.engine.model.checkpoints import load as load_reference


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(oracle(), tmp_path_factory.mktemp("model"))


def test_scored_tokens_are_predicted_from_those_before(folder: Path) -> None:
    window = Window(tuple(some_tokens(30)), 11)
    runner, megabytes = load(folder, Contender("float32", torch.float32), 30)
    reference = expected_logits(load_reference(folder, torch.float32), list(window.tokens))
    torch.testing.assert_close(predictions(runner, window), reference[10:29], atol=1e-3, rtol=0)
    expected = -reference.log_softmax(-1)[torch.arange(10, 29), torch.tensor(window.tokens[11:])]
    torch.testing.assert_close(loss(predictions(runner, window), window), expected, atol=1e-3, rtol=0)
    assert megabytes == pytest.approx(sum(p.numel() for p in oracle().parameters()) * 4 / 1e6)


def test_tally_by_hand() -> None:
    window = Window((0, 1, 0), 1)
    reference = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])  # 1/4, 3/4; 1/2, 1/2
    ours = torch.tensor([[1.0, 1.0], [5.0, 5.0]])  # a shift of all logits changes nothing
    tally = Tally("x", 1.0)
    tally.add(ours, reference, window)
    found = tally.difference()
    assert found.perplexity == pytest.approx(2.0)
    kl = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert (found.kl_max, found.kl_mean) == (pytest.approx(kl), pytest.approx(kl / 2))
    assert found.logit_max == pytest.approx(math.log(3) / 2)
    assert found.top1 == 0.5


def test_fewer_bits_differ_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    windows = [Window(tuple(some_tokens(24, seed)), 8) for seed in (1, 2)]
    report = measure(folder, "small", windows, contenders([32]))
    rows = {row.name: row for row in report.rows}
    order = ["float32", "int8, beside", "int4 in groups of 32, beside"]
    assert [rows[name].kl_mean for name in order] == sorted(rows[name].kl_mean for name in order)
    assert rows["int4 in groups of 32, alone"].megabytes < rows["int8, alone"].megabytes < report.megabytes
    assert rows["float32"].kl_mean < rows["KV in int8"].kl_mean < rows["KV in fp8"].kl_mean
    assert report.tokens == 32
    assert "| int8, beside |" in report.markdown()


def test_windows_do_not_overlap(tmp_path: Path, nano_dir: Path) -> None:
    from coderls.tokenizer import Tokenizer

    file = tmp_path / "code.py"
    file.write_text("".join(f"value_{n} = {n}\n" for n in range(60)), encoding="utf-8")
    tokenizer = Tokenizer.from_file(nano_dir / "tokenizer.json")
    windows = quantization.windows_of([file], tokenizer, count=5, prompt=12, scored=4, seed=1)
    ids = tokenizer.encode(file.read_text(encoding="utf-8"))
    places = [next(at for at in range(len(ids)) if tuple(ids[at : at + 16]) == window.tokens) for window in windows]
    assert len(set(places)) == 5
    assert all(at % 16 == 0 for at in places)
    with pytest.raises(ValueError, match="text for"):
        quantization.windows_of([file], tokenizer, count=500, prompt=12, scored=4, seed=1)


def test_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert quantization.main(["no-such-model"]) == 1
    assert "no-such-model" in capsys.readouterr().err
