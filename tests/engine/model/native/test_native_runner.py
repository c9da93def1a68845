"""The runner takes the native step for a few tokens where it may, and torch for the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model import torch_runner
from coderls.engine.model.linear import QuantizedLinear
from coderls.engine.model.native import build
from coderls.engine.model.native import step as native_step
from coderls.engine.model.native.step import NativeStep, make_native_step
from coderls.engine.model.slim import without_copies
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work

from ..checkpoints import SMALL, expected_logits, load, oracle, save, some_tokens
from .models import Side, config, in_form, random_model, rms

pytestmark = pytest.mark.usefixtures("shared_cache")
PROMPT = some_tokens(45)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(oracle(SMALL).to(torch.bfloat16), tmp_path_factory.mktemp("model"))


def ways(runner: TorchRunner) -> list[str]:
    return [way.name.split(" ")[0] for way in runner._forwards]


@pytest.mark.parametrize("weights", ["bfloat16", "int8", "int4"])
def test_decode_after_a_prompt(folder: Path, weights: str) -> None:
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights=weights)
    assert ways(runner) == ["native", "eager"]
    off = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights=weights, native="off")
    assert ways(off) == ["eager"]
    exact = expected_logits(load(folder, torch.float32), PROMPT)[40:]
    errors = []
    for side in (runner, off):
        side.run([Work(0, 0, PROMPT[:40])])
        steps = [side.logits(Work(0, at, PROMPT[at : at + 1])) for at in range(40, 45)]
        errors.append(rms(torch.cat(steps) - exact))
    # Against full width, what quantizing costs is part of both errors.
    assert errors[0] <= 1.1 * errors[1]


def test_a_kv_cache_in_int8(folder: Path) -> None:
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights="int8", kv_cache="int8")
    assert ways(runner) == ["native", "eager"]
    exact = expected_logits(load(folder, torch.float32), PROMPT)[40:]
    runner.run([Work(0, 0, PROMPT[:40])])
    steps = torch.cat([runner.logits(Work(0, at, PROMPT[at : at + 1])) for at in range(40, 45)])
    assert rms(steps - exact) < 0.05 * rms(exact)


def test_going_gently_takes_half_of_the_threads_of_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights="int8")
    used: list[int] = []
    real = NativeStep.use_threads
    monkeypatch.setattr(NativeStep, "use_threads", lambda self, count: (used.append(count), real(self, count))[1])
    before = runner.logits(Work(0, 0, PROMPT[:9]))
    runner.go_gently(True)
    try:
        assert torch.equal(runner.logits(Work(0, 0, PROMPT[:9])), before)
    finally:
        runner.go_gently(False)
    assert used == [1, 2]


def test_float32_stays_with_torch(folder: Path) -> None:
    assert ways(load_runner(folder, name="x", device="cpu", dtype="float32")) == ["eager"]


def test_without_a_compiler_steps_are_torchs_and_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16")
    assert ways(runner) == ["eager"]
    (note,) = runner.info.notes
    assert note.startswith("steps run without the native step: there is no C++ compiler (c++, g++, clang++)")


def test_who_switched_it_off_is_told_nothing(folder: Path) -> None:
    assert load_runner(folder, name="x", device="cpu", dtype="bfloat16", native="off").info.notes == ()


def test_where_there_is_no_room_for_a_copy_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_runner, "_NATIVE_SHARE", 1e-9)
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", memory_gb=100.0)
    assert ways(runner) == ["eager"]
    assert runner.info.notes == ("steps run without the native step: there is no memory for its copy of the weights",)


@pytest.mark.parametrize(("native_s", "used"), [(1.0, True), (3.0, False)])
def test_plain_vectors_are_used_only_where_they_are_faster(
    monkeypatch: pytest.MonkeyPatch, native_s: float, used: bool
) -> None:
    """As on a processor for which there are no vectors of our own: ARM, or an old one."""
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    flags = [*build.native_flags(), "-DCODERLS_PORTABLE"]
    monkeypatch.setattr(build, "native_flags", lambda: flags)
    now = 0.0

    def clock() -> float:
        return now

    def taking(seconds: float, run: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            nonlocal now
            now += seconds
            return run(*args, **options)

        return timed

    monkeypatch.setattr(native_step.time, "perf_counter", clock)
    monkeypatch.setattr(NativeStep, "__call__", taking(native_s, NativeStep.__call__))
    monkeypatch.setattr(native_step, "forward", taking(2.0, native_step.forward))
    side = Side(in_form(random_model(config()), "int8"), torch.bfloat16)
    said: list[str] = []
    step = make_native_step(side.model, side.cache, note=said.append)
    assert (step is not None) == used
    assert said == (
        [] if used else ["steps run without the native step: on this processor it takes longer than PyTorch"]
    )


def test_a_library_that_computes_nonsense_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    side = Side(in_form(random_model(config()), "int8"), torch.bfloat16)
    assert make_native_step(side.model, side.cache) is not None
    run = NativeStep.__call__
    monkeypatch.setattr(NativeStep, "__call__", lambda self, batch: run(self, batch).flip(-1))  # type: ignore[union-attr]
    assert make_native_step(side.model, side.cache) is None


def test_a_library_that_cannot_be_loaded_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "step.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(build, "build", lambda _progress, say: broken)
    side = Side(in_form(random_model(config()), "int8"), torch.bfloat16)
    assert make_native_step(side.model, side.cache) is None


def test_no_memory_for_a_copy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(native_step, "free_bytes", lambda _device: 1000)
    side = Side(in_form(random_model(config()), "int8"), torch.bfloat16)
    assert make_native_step(side.model, side.cache) is None
    assert "copy of the weights" in caplog.text


@pytest.mark.parametrize("weights", ["bfloat16", "int8", "int4"])
def test_what_only_the_native_step_reads_is_held_once(folder: Path, weights: str) -> None:
    """Prompts read the weights at full width, steps the native copy: the quantized ones of torch are gone."""
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights=weights)
    off = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights=weights, native="off")
    assert runner.info.weights == off.info.weights == weights
    (native, eager) = runner._forwards
    layer = runner._model.layers[0]
    assert not any(
        isinstance(linear, QuantizedLinear) for linear in (layer.qkv, layer.attention_out, layer.gate_up, layer.mlp_out)
    )
    assert eager._model is runner._model  # type: ignore[attr-defined]
    held = runner._model.weight_bytes + native.nbytes  # type: ignore[attr-defined]
    assert runner.info.memory["weights"] == runner.info.weight_bytes == held
    if weights == "int8":
        once = runner._model.config.parameters
        assert held < off.info.weight_bytes + once * 1.4, "bfloat16, int8, and the table as both"
    # The end of a prompt is as with torch alone, up to what quantizing the head costs.
    exact = expected_logits(load(folder, torch.float32), PROMPT)
    errors = [rms(side.logits(Work(0, 0, PROMPT)) - exact) for side in (runner, off)]
    assert errors[0] <= 1.1 * errors[1]


@pytest.mark.parametrize("form", ["int8", "int4"])
def test_weights_without_a_wide_form_are_kept(form: str) -> None:
    model = in_form(random_model(config()), form)
    assert without_copies(model).layers[0].qkv is model.layers[0].qkv
    assert without_copies(model).head.weight is model.head.weight  # type: ignore[attr-defined]


def test_eight_sequences_run_in_one_pass_of_the_native_step(folder: Path) -> None:
    """The plan has slots for eight: each gives what it gives alone."""
    if build.find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights="int8")
    assert len(runner.slot_lengths) == 8
    prompts = [some_tokens(12 + slot, seed=slot) for slot in range(8)]
    for slot, prompt in enumerate(prompts):
        runner.run([Work(slot, 0, prompt[:-1])])
    greedy = (SampleSpec(Sampling()),)
    works = [Work(slot, len(prompt) - 1, prompt[-1:], greedy) for slot, prompt in enumerate(prompts)]
    together = runner.run(works)
    for work, found in zip(works, together, strict=True):
        (alone,) = runner.run([work])
        assert isinstance(found, tuple)
        assert isinstance(alone, tuple)
        assert found[0].logprob == pytest.approx(alone[0].logprob, abs=0.02)
