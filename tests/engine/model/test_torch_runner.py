"""Slots, memory, devices and requests that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model import torch_runner
from coderls.engine.model.config import read_config
from coderls.engine.model.memory import free_bytes, largest_context, plan_slots, scratch_bytes
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import EngineError, EngineStartFailed, ModelBroken, ModelNotFound, RequestRefused

from .checkpoints import SMALL, VOCAB, oracle, sampled, save, some_tokens

GREEDY = SampleSpec(Sampling())
PER_TOKEN = 2 * 2 * 3 * 64 * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(oracle(SMALL, max_position_embeddings=4096), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def runner(folder: Path) -> TorchRunner:
    return load_runner(folder, name="x", device="cpu", dtype="float32", context_length=512)


def test_plan_has_one_full_slot_and_shorter_ones() -> None:
    assert plan_slots(8192, 1000, 1e9) == (8192, *[2048] * 7)
    assert plan_slots(32768, 1000, 1e9) == (32768, *[8192] * 7)
    assert plan_slots(131072, 1000, 1e9) == (131072, *[8192] * 7)
    assert plan_slots(512, 1000, 1e9) == (512,) * 8


def test_shorter_slots_take_half_of_what_is_left() -> None:
    assert plan_slots(8192, 1000, 8192e3 + 2048e3) == (8192, 1024), "never one alone"
    assert plan_slots(1024, 1000, 1024e3 + 512e3) == (1024, 512)
    assert plan_slots(8192, 1000, 8192e3 + 2 * 2048e3) == (8192, 2048)
    assert plan_slots(8192, 1000, 8192e3 + 4 * 2048e3) == (8192, 2048, 2048)
    # Where memory is short, slots get shorter before there are fewer than a batch of eight needs.
    assert plan_slots(131072, 1000, 131072e3 + 2 * 7 * 4100e3) == (131072, *[4096] * 7)
    assert plan_slots(131072, 1000, 131072e3 + 2 * 3 * 2048e3) == (131072, *[2048] * 3)


@pytest.mark.parametrize("budget", [8192e3 - 1, 3000e3])
def test_context_that_does_not_fit_names_the_largest_that_does(budget: float) -> None:
    fits = largest_context(1000, budget)
    taken, next_taken = (context + min(1024, context // 2) for context in (fits, fits + 256))
    assert taken * 1000 <= budget < next_taken * 1000
    with pytest.raises(EngineStartFailed, match=f"largest context that fits is {fits:,} tokens"):
        plan_slots(8192, 1000, budget)
    assert plan_slots(fits, 1000, budget)[0] == fits


@pytest.mark.parametrize("budget", [300e3, 0, -5e9])
def test_no_context_fits(budget: float) -> None:
    with pytest.raises(EngineStartFailed, match="No useful context fits"):
        plan_slots(8192, 1000, budget)


def test_memory_of_this_machine_is_known() -> None:
    free = free_bytes(torch.device("cpu"))
    assert free is None or free > 0


def pretend_free(monkeypatch: pytest.MonkeyPatch, free: int | None) -> None:
    monkeypatch.setattr(torch_runner, "free_bytes", lambda _device: free)


def test_weights_that_do_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_free(monkeypatch, 1 << 20)
    with pytest.raises(EngineStartFailed, match=r"weights take .* on cpu, where .* are free.*smaller model"):
        load_runner(folder, name="x", device="cpu", dtype="float32")


def weight_bytes() -> int:
    return sum(weight.nbytes for weight in oracle(SMALL).parameters())


def free_for(tokens: int, folder: Path) -> int:
    """Free memory of which the KV cache may have so many tokens."""
    return (
        weight_bytes() + scratch_bytes(read_config(folder), 4, torch.device("cpu")) + int(tokens * PER_TOKEN / 0.6) + 1
    )


def test_context_is_fitted_to_the_memory_where_nobody_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_free(monkeypatch, free_for(1600, folder))
    runner = load_runner(folder, name="x", device="cpu", dtype="float32")
    assert list(runner.slot_lengths) == [1024, 512]
    assert runner.info.context_length == 1024


def test_context_that_was_asked_for_is_met_or_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_free(monkeypatch, free_for(1600, folder))
    with pytest.raises(EngineStartFailed, match="largest context that fits is 1,024"):
        load_runner(folder, name="x", device="cpu", dtype="float32", context_length=2048)
    assert load_runner(
        folder, name="x", device="cpu", dtype="float32", context_length=700
    ).info.context_length == 700  # fmt: skip


def test_unknown_memory_is_no_hindrance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_free(monkeypatch, None)
    assert load_runner(folder, name="x", device="cpu", dtype="float32").info.context_length == 4096


def test_settings_limit_the_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_free(monkeypatch, 1 << 40)
    limit = (free_for(0, folder) + 1600 * PER_TOKEN) / 1e9
    runner = load_runner(folder, name="x", device="cpu", dtype="float32", memory_gb=limit, gpu_memory_gb=0.001)
    assert list(runner.slot_lengths) == [1024, 512]
    with pytest.raises(EngineStartFailed, match=r"engine\.memory_gb allows 0\.0 GiB\. .*or allow more"):
        load_runner(folder, name="x", device="cpu", dtype="float32", memory_gb=0.001)


def test_memory_that_runs_out_while_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch_runner, "load_qwen2", fail)
    with pytest.raises(EngineStartFailed, match=r"ran out of memory .* planned were .* weights 0\.0 GiB"):
        load_runner(folder, name="x", device="cpu", dtype="float32")


def test_more_context_than_the_model_has(folder: Path) -> None:
    with pytest.raises(EngineStartFailed, match=r"5,000 tokens was asked for; the model has 4,096.*YaRN"):
        load_runner(folder, name="x", device="cpu", context_length=5000)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "abacus"}, "no device 'abacus'"),
        ({"device": "meta"}, "does not run on meta"),
        ({"device": "cuda:99"}, "CUDA devices"),
        ({"dtype": "int3"}, "no dtype 'int3'"),
        ({"device": "cpu", "dtype": "float16"}, "float16 is for graphics cards"),
        ({"device": "mps"}, "no Metal device"),
    ],
)
def test_devices_and_dtypes_that_are_not_there(folder: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(EngineStartFailed, match=said) as caught:
        load_runner(folder, name="x", **options)
    assert caught.value.todo


def test_automatic_dtype_follows_the_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, expected in (({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags)
        assert load_runner(folder, name="x", device="cpu", context_length=512).info.dtype == expected


@pytest.mark.parametrize("weights", ["bfloat16", "int8", "int4"])
def test_the_wanted_weights_are_loaded_and_named(folder: Path, weights: str) -> None:
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights=weights, context_length=512)
    assert (runner.info.weights, runner.info.dtype) == (weights, "bfloat16")
    assert isinstance(sampled(runner, Work(0, 0, some_tokens(3), (GREEDY,))).token, int)


def test_who_asks_for_float32_gets_the_weights_as_they_are(folder: Path) -> None:
    runner = load_runner(folder, name="x", device="cpu", dtype="float32", context_length=512)
    assert runner.info.weights == "float32"


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load_runner(tmp_path / "none", name="x")
    with pytest.raises(ModelBroken):
        load_runner(tmp_path, name="x")


def test_progress_covers_loading_and_warming_up(folder: Path) -> None:
    seen: list[tuple[str, float]] = []
    load_runner(
        folder,
        name="x",
        device="cpu",
        weights="int4",
        context_length=512,
        progress=lambda detail, part: seen.append((detail, part)),
    )
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert {detail for detail, _ in seen} == {"quantizing the weights", "loading weights", "warming up"}


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (Work(0, 0, [], (GREEDY,)), "0 tokens"),
        (Work(0, 0, [1] * 513, (GREEDY,)), "do not fit a context of 512"),
        (Work(1, 510, [1, 2, 3], (GREEDY,)), "do not fit"),
        (Work(0, -1, [1], (GREEDY,)), "do not fit"),
        (Work(0, 0, [1, VOCAB], (GREEDY,)), f"outside 0 to {VOCAB - 1}"),
        (Work(0, 0, [-1], (GREEDY,)), "outside 0"),
    ],
)
def test_work_that_does_not_fit_is_refused(runner: TorchRunner, work: Work, said: str) -> None:
    fine = Work(2, 0, [1], (GREEDY,))
    refused, done = runner.run([work, fine])
    assert isinstance(refused, RequestRefused)
    assert said in str(refused)
    assert isinstance(done, tuple), "the others of the batch go on"
    assert len(done) == 1


def test_slot_that_is_not_there(runner: TorchRunner) -> None:
    (refused,) = runner.run([Work(9, 0, [1], (GREEDY,))])
    assert "no KV slot 9" in str(refused)
    with pytest.raises(EngineError, match="do not fit into slots"):
        runner.copy(0, 1, 513)


def test_the_last_position_can_be_used(runner: TorchRunner) -> None:
    prompt = some_tokens(512)
    whole = runner.logits(Work(0, 0, prompt))
    runner.run([Work(3, 0, prompt[:511], ())])
    torch.testing.assert_close(runner.logits(Work(3, 511, prompt[511:])), whole[511:], atol=1e-4, rtol=0)


def test_slots_do_not_touch_each_other(runner: TorchRunner) -> None:
    prompts = [some_tokens(40, seed) for seed in range(len(runner.slot_lengths))]
    alone = [runner.logits(Work(0, 0, prompt))[-1:] for prompt in prompts]
    runner.run([Work(slot, 0, prompt[:-1], ()) for slot, prompt in enumerate(prompts)])
    for slot, prompt in enumerate(prompts):
        found = runner.logits(Work(slot, 39, prompt[39:]))
        torch.testing.assert_close(found, alone[slot], atol=1e-4, rtol=0)


def test_sampled_output_repeats_with_its_seed(runner: TorchRunner) -> None:
    def output(seed: int) -> list[int]:
        given, start, found = some_tokens(20), 0, []
        for step in range(12):
            sample = sampled(runner, Work(0, start, given, (SampleSpec(Sampling(1.0, seed=seed), step=step),)))
            start, given = start + len(given), [sample.token]
            found.append(sample.token)
        return found

    assert output(3) == output(3)
    assert output(3) != output(4)


def test_broken_weights_give_an_error_not_a_token(tmp_path: Path) -> None:
    model = oracle(SMALL)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    broken = save(model, tmp_path)
    runner = load_runner(broken, name="x", device="cpu", dtype="float32")
    (failed,) = runner.run([Work(0, 0, [1, 2], (GREEDY,))])
    assert isinstance(failed, EngineError)
    assert "not numbers" in str(failed)


def test_closing_gives_the_memory_back(folder: Path) -> None:
    runner = load_runner(folder, name="x", device="cpu", dtype="float32", context_length=512)
    runner.close()
    with pytest.raises(AttributeError):
        runner.run([Work(0, 0, [1], (GREEDY,))])


def test_going_gently_takes_half_of_the_threads(runner: TorchRunner) -> None:
    before = torch.get_num_threads()
    runner.go_gently(True)
    assert torch.get_num_threads() == max(1, before // 2)
    runner.go_gently(False)
    assert torch.get_num_threads() == before
