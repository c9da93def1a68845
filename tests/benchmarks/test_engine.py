"""The benchmark's own arithmetic; no speed is asserted."""

from __future__ import annotations

import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import engine
from benchmarks.engine import LlamaBench, Report, Speed, bytes_per_token, run_rounds
from benchmarks.machine import describe, percentile, summarise
from coderls.engine.model.config import parse_config


class Scripted:
    """A contender with known speeds, one for each call after the warm-up."""

    def __init__(self, name: str, speeds: list[float], log: list[str]) -> None:
        self.name = name
        self._speeds = [0.0, *speeds]
        self._log = log

    def measure(self, prompt: Sequence[int], new: int) -> Speed:
        self._log.append(self.name)
        speed = self._speeds.pop(0)
        return Speed(speed, speed / 10)


@pytest.fixture(autouse=True)
def always_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "wait_for_idle", lambda _limit: True)


def test_contenders_take_turns_and_ratios_are_within_a_round() -> None:
    log: list[str] = []
    # The second is half as fast in every round, while the machine's own speed varies fourfold.
    first, second = Scripted("first", [100, 400, 200], log), Scripted("second", [50, 200, 100], log)
    rows, busy = run_rounds([first, second], [[1] * 8], rounds=3, new=4, idle_limit_s=0)
    assert log == ["first", "second"] * 4
    assert [(row.name, row.prefill, row.prefill_ratio) for row in rows] == [("first", 200, 1.0), ("second", 100, 0.5)]
    assert [(row.decode, row.decode_ratio) for row in rows] == [(20, 1.0), (10, 0.5)]
    assert busy == 0


def test_rounds_on_busy_cores_are_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False, True, True])
    monkeypatch.setattr(engine, "wait_for_idle", lambda _limit: next(answers))
    rows, busy = run_rounds([Scripted("x", [1, 1, 1, 1], [])], [[1], [1, 2]], rounds=2, new=4, idle_limit_s=0)
    assert busy == 1
    report = Report(describe(()), "cmd", "nano", 2, busy, 40e9, 269_000_000, {1: 148.7, 2: 148.0}, rows, ["llama.cpp"])
    text = report.markdown()
    assert "Other programs used the cores in 1 of the 2 rounds" in text
    assert "Not measured: llama.cpp." in text
    assert "| 1 | x | 1 | 1.00 | 0.1 | 1.00 |" in text
    assert "| 2 | speed of memory | | | 148.0 | |" in text


def test_speed_from_time_stamps() -> None:
    speed = engine._speed([10.0, 12.0, 12.5, 13.0, 20.0], prompt_tokens=100)
    assert speed == Speed(prefill=50.0, decode=2.0)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")
def test_llama_bench_is_asked_and_read(tmp_path: Path) -> None:
    program = tmp_path / "llama-bench"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\na = sys.argv\n"
        "value = {o: a[a.index(o) + 1] for o in ('-m', '-t', '-o', '-p', '-n')}\n"
        "assert value['-o'] == 'json' and value['-t'] == '2', a\n"
        "depth = int(a[a.index('-d') + 1]) if '-d' in a else 0\n"
        "print(json.dumps([{'avg_ts': int(value['-p']) or int(value['-n']) + depth}]))\n",
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    bench = LlamaBench(str(program), tmp_path / "nano-q4.gguf", threads=2)
    assert bench.name == "llama.cpp, nano-q4.gguf"
    assert bench.measure([1] * 128, 64) == Speed(prefill=128.0, decode=192.0)


@pytest.mark.parametrize(("tied", "expected"), [(True, 134_515_008 + 28_800), (False, 134_515_008 + 28_800)])
def test_a_token_reads_every_weight_once(tied: bool, expected: int) -> None:
    values = {
        "architectures": ["Qwen2ForCausalLM"],
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": tied,
    }
    # SmolLM2-135M has 134,515,008 parameters; Qwen2's biases are 30 * (576 + 2 * 192) more.
    assert bytes_per_token(parse_config(values, Path("config.json")), itemsize=2) == 2 * expected


def test_summary() -> None:
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile([7], 95) == 7
    summary = summarise([float(value) for value in range(101)])
    assert (summary.count, summary.median, summary.p5, summary.p95) == (101, 50.0, 5.0, 95.0)
    with pytest.raises(ValueError, match="nothing was measured"):
        summarise([])


def test_machine_says_where_and_when() -> None:
    machine = describe(("coderls", "no-such-package"))
    assert machine.cores >= 1
    assert machine.versions["no-such-package"] == "not installed"
    assert machine.cpu in str(machine)
    assert machine.date in str(machine)
