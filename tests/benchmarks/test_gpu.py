"""The measures of a card, tried in a tiny shape without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_measure import Measures, ceiling, measure
from benchmarks.gpu_model import prefill_operations, random_qwen2, shape_of, step_bytes
from coderls.engine.model.torch_runner import TorchRunner

CPU = torch.device("cpu")
CONTEXTS = (16, 64)


@pytest.mark.parametrize("bits", [16, 8, 4])
def test_every_measure_of_a_tiny_model(bits: int) -> None:
    model = random_qwen2(shape_of("tiny"), bits, context_length=512, device=CPU, dtype=torch.float32)
    runner = TorchRunner(model, "tiny", (512, 64, 64), torch.float32)
    top = ceiling(CPU, torch.float32, small=True)
    found = Measures("tiny", model.form, "sdpa", ("eager",), 0.0, model.weight_bytes, 0)
    measure(found, runner, model, top=top, contexts=CONTEXTS, repeats=1)
    assert found.failed == []
    for values in (found.decode_ms, found.decode_share, found.prefill_ms, found.prefill_share):
        assert tuple(values) == CONTEXTS
        assert all(value > 0 for value in values.values())
    assert set(found.first_token_ms) == {1, 32, 256}
    assert set(found.first_token_far_ms) == {1, 32}
    assert set(found.verify_ratio) == {8, 16}
    assert set(found.batch_ms) == {1, 2, 4, 8}


def test_a_measure_that_fails_is_said_and_ends_nothing() -> None:
    model = random_qwen2(shape_of("tiny"), 16, context_length=64, device=CPU, dtype=torch.float32)
    runner = TorchRunner(model, "tiny", (64,), torch.float32)
    top = ceiling(CPU, torch.float32, small=True)
    found = Measures("tiny", "float32", "sdpa", ("eager",), 0.0, 0, 0)
    measure(found, runner, model, top=top, contexts=(16, 128), repeats=1)
    assert any(reason.startswith("prefill: RequestRefused") for reason in found.failed)
    assert set(found.batch_ms) == {1, 2, 4, 8}


def test_floors_of_7b_are_those_of_its_shape() -> None:
    config = shape_of("7B")
    # Two operations for each of its 6.53 billion weights outside of the tables; half of all pairs in attention.
    assert prefill_operations(config, 4096) == pytest.approx(2 * 6.53e9 * 4096 + 2 * 28 * 3584 * 4096**2, rel=0.01)
    tiny = random_qwen2(shape_of("tiny"), 16, context_length=16, device=CPU, dtype=torch.bfloat16)
    read = sum(
        p.nbytes for layer in tiny.layers for p in (layer.qkv, layer.attention_out, layer.gate_up, layer.mlp_out)
    )
    assert step_bytes(tiny, 100, 2 * 2 * 2 * 64 * 2) == read + 512 * 896 * 2 + 100 * 2 * 2 * 2 * 64 * 2


def test_the_whole_run_writes_json_and_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written, shown = tmp_path / "gpu.json", tmp_path / "gpu.md"
    arguments = ["--sizes", "tiny", "--forms", "bfloat16", "--contexts", "16", "64", "--repeats", "1"]
    arguments += ["--device", "cpu", "--dtype", "float32", "--no-transformers", "--kv-caches", "int8"]
    assert gpu.main([*arguments, "--json", str(written), "--markdown", str(shown)]) == 0
    report = json.loads(written.read_text(encoding="utf-8"))
    assert report["failed"] == []
    assert report["start_s"]["tiny"] > 0
    assert [one["failed"] for one in report["measures"]] == [[], []]
    plain, short = report["measures"]
    assert short["form"] == "bfloat16, KV in int8"
    assert plain["form"] == "bfloat16"
    assert "### tiny, bfloat16" in shown.read_text(encoding="utf-8")
    assert "| 64 |" in capsys.readouterr().out
