"""The measures of a card, tried in a tiny shape without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_measure import Ceiling, Measures, ceiling, measure
from benchmarks.gpu_model import prefill_operations, random_qwen2, shape_of, step_bytes
from benchmarks.gpu_parts import Conditions, Part
from benchmarks.gpu_report import MOST_TRIES, Done, read_report
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


def in_this_process(part: Part, conditions: Conditions, top: Ceiling | None, limit_s: float) -> Done:
    """Stands for a process of its own, which takes seconds to start."""
    del limit_s
    found: dict[str, Any] = {}
    part.run(conditions, top, found.update)
    return Done(json.loads(json.dumps(found)), seconds=1.0)


ARGUMENTS = ["--sizes", "tiny", "--forms", "bfloat16", "--contexts", "16", "64", "--repeats", "1"]
ARGUMENTS += ["--device", "cpu", "--dtype", "float32", "--no-transformers", "--kv-caches", "int8"]
PARTS = ["tiny, bfloat16", "start of a process to a ready tiny", "tiny, bfloat16, KV in int8"]


def test_the_whole_run_writes_json_and_markdown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "run_apart", in_this_process)
    written, shown = tmp_path / "gpu.json", tmp_path / "gpu.md"
    assert gpu.main([*ARGUMENTS, "--json", str(written), "--markdown", str(shown)]) == 0
    report = read_report(written)
    assert report is not None
    assert report.failed == []
    assert list(report.done) == PARTS
    assert report.done[PARTS[1]].found["start_s"] > 0
    plain, short = report.measures
    assert (plain.form, short.form) == ("bfloat16", "bfloat16, KV in int8")
    assert [plain.failed, short.failed] == [[], []]
    assert tuple(plain.decode_ms) == CONTEXTS
    assert "### tiny, bfloat16" in shown.read_text(encoding="utf-8")
    assert "| 64 |" in capsys.readouterr().out


def test_a_part_is_a_process_of_its_own_and_ends_in_time() -> None:
    conditions = Conditions(CONTEXTS, 1, "cpu", "float32")
    done = gpu.run_apart(Part("ceiling", "tiny"), conditions, None, 60)
    assert done.failed == ""
    assert Ceiling(**done.found["ceiling"]).copy_bytes_per_s > 0
    assert "was not over after 0 s" in gpu.run_apart(Part("ceiling", "tiny"), conditions, None, 0.01).failed


def test_what_a_part_found_before_it_failed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Part, conditions: Conditions, top: Ceiling | None, note: Callable[[dict[str, Any]], None]) -> None:
        note({"measures": {"decode_ms": {"16": 1.0}}})
        raise RuntimeError("CUDA error: unspecified launch failure\nand more")

    monkeypatch.setattr(Part, "run", run)
    asked, said = tmp_path / "part.json", tmp_path / "found.json"
    conditions = asdict(Conditions(CONTEXTS, 1, "cpu", "float32"))
    asked.write_text(json.dumps({"part": asdict(Part("ours", "tiny")), "conditions": conditions, "ceiling": None}))
    assert gpu.run_here(asked, said) == 1
    found = json.loads(said.read_text(encoding="utf-8"))
    assert found["measures"] == {"decode_ms": {"16": 1.0}}
    assert found["failed"] == "RuntimeError: CUDA error: unspecified launch failure"


class Scripted:
    """Parts that take as long as they are told to, by a clock of their own; those in `failing` fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float, card: str = "a card") -> None:
        self.ran: list[str] = []
        self.failing: dict[str, dict[str, Any]] = {}
        self.now = 0.0
        self.seconds = seconds
        self.card = card
        monkeypatch.setattr(gpu, "run_apart", self.run)
        monkeypatch.setattr(gpu.time, "monotonic", lambda: self.now)

    def run(self, part: Part, _conditions: Conditions, _top: Ceiling | None, limit_s: float) -> Done:
        assert limit_s > 0
        self.now += self.seconds
        if part.kind == "ceiling":
            return Done({"where": {"device": self.card}, "ceiling": {"copy_bytes_per_s": 1.0, "operations_per_s": 1.0}})
        self.ran.append(part.name)
        if part.name in self.failing:
            return Done(self.failing[part.name], "it broke", self.seconds)
        return Done({"start_s": 1.0}, seconds=self.seconds)


def test_a_run_stops_in_time_and_the_next_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*ARGUMENTS, "--json", str(tmp_path / "gpu.json"), "--limit-s", "250"]
    script = Scripted(monkeypatch, seconds=90)
    assert gpu.main(arguments) == gpu.PARTS_LEFT
    assert script.ran == PARTS[:2], "the third, of the kind of the first, would not have been over in time"
    assert gpu.main(arguments) == 0
    assert script.ran == PARTS
    assert gpu.main(arguments) == 0
    assert script.ran == PARTS, "nothing is measured twice"


def test_what_failed_is_tried_again_later_and_the_fuller_result_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "gpu.json"
    arguments = [*ARGUMENTS, "--json", str(written)]
    script = Scripted(monkeypatch, seconds=1)
    script.failing = {PARTS[0]: {"start_s": 2.0}, PARTS[1]: {}}
    assert gpu.main(arguments) == 0
    script.failing = {PARTS[0]: {}}
    assert gpu.main(arguments) == 0
    assert script.ran == [*PARTS, PARTS[0], PARTS[1]]
    report = read_report(written)
    assert report is not None
    assert report.failed == [f"{PARTS[0]}: it broke"]
    assert report.done[PARTS[0]].found == {"start_s": 2.0}
    assert list(report.done) == PARTS
    for _ in range(3):
        gpu.main(arguments)
    assert script.ran.count(PARTS[0]) == MOST_TRIES


def test_another_card_begins_another_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*ARGUMENTS, "--json", str(tmp_path / "gpu.json")]
    script = Scripted(monkeypatch, seconds=1)
    gpu.main(arguments)
    script.card = "another card"
    gpu.main(arguments)
    assert script.ran == [*PARTS, *PARTS]
    assert len(list(tmp_path.glob("gpu.json.*"))) == 1, "the other one is put aside"


def test_without_a_device_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "gpu.json"
    script = Scripted(monkeypatch, seconds=1)
    gpu.main([*ARGUMENTS, "--json", str(written)])
    before = written.read_text(encoding="utf-8")
    script.failing = {}
    monkeypatch.setattr(gpu, "run_apart", lambda *_arguments: Done({}, "there is no card"))
    assert gpu.main([*ARGUMENTS, "--json", str(written), "--forms", "int8"]) == gpu.PARTS_LEFT
    assert before in [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()]


def test_a_report_that_is_torn_is_none(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    assert read_report(file) is None
    for text in ("", "[]", '{"done": 3}', '{"done": {}, "command": ""}'):
        file.write_text(text, encoding="utf-8")
        assert read_report(file) is None
