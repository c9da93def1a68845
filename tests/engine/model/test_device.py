"""Which device and which numbers are taken, on machines with cards that this one has not."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from coderls.engine.model import device as devices
from coderls.engine.model import torch_runner
from coderls.engine.model.device import choose_device, choose_dtypes, untested
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.errors import EngineStartFailed

from .checkpoints import oracle, save

CARD = torch.device("cuda", 0)
NO_KERNEL = "CUDA error: no kernel image is available for execution on the device"


class Cards:
    """Pretends that torch sees cards with so many bytes free; `faults` are what computing on one says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *free: int, bfloat16: bool = True) -> None:
        self.free = free
        self.faults: dict[tuple[torch.device, torch.dtype], str] = {}
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
        monkeypatch.setattr(torch.cuda, "mem_get_info", self.mem_get_info)
        monkeypatch.setattr(torch.cuda, "device", lambda _device: nullcontext())
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
        monkeypatch.setattr(devices, "_fault", lambda device, kind: self.faults.get((device, kind), ""))

    def mem_get_info(self, card: torch.device) -> tuple[int, int]:
        if self.free[card.index] < 0:
            raise RuntimeError("CUDA error: initialization error")
        return self.free[card.index], 1 << 40


def test_auto_is_the_card_with_the_most_room(monkeypatch: pytest.MonkeyPatch) -> None:
    Cards(monkeypatch, 10, 30, 20)
    assert choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cuda:2") == torch.device("cuda", 2)


def test_a_card_that_does_not_compute_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cards = Cards(monkeypatch, 10, 30)
    cards.faults[torch.device("cuda", 1), torch.float32] = NO_KERNEL
    assert choose_device("auto") == torch.device("cuda", 0)
    assert f"cuda:1 is left out: {NO_KERNEL}" in caplog.text


def test_a_card_that_does_not_even_say_what_is_free_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    Cards(monkeypatch, -1, 5)
    assert choose_device("auto") == torch.device("cuda", 1)


def test_where_no_card_works_it_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = Cards(monkeypatch, 10)
    cards.faults[CARD, torch.float32] = NO_KERNEL
    assert choose_device("auto") == torch.device("cpu")


def test_who_asks_for_a_card_that_does_not_compute_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = Cards(monkeypatch, 10)
    cards.faults[CARD, torch.float32] = NO_KERNEL
    with pytest.raises(EngineStartFailed, match=r"cuda:0 cannot be used by torch.*no kernel image") as caught:
        choose_device("cuda:0")
    assert "or set the device to cpu" in caught.value.todo


def test_bfloat16_where_the_card_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Cards(monkeypatch, 10)
    assert choose_dtypes("auto", CARD) == [torch.bfloat16]


def test_without_bfloat16_float16_is_tried_and_float32_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Cards(monkeypatch, 10, bfloat16=False)
    assert choose_dtypes("auto", CARD) == [torch.float16, torch.float32]


def test_a_driver_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card has it, and what computes with it fails."""
    cards = Cards(monkeypatch, 10)
    cards.faults[CARD, torch.bfloat16] = "CUDA error: no kernel image"
    assert choose_dtypes("auto", CARD) == [torch.float16, torch.float32]
    with pytest.raises(EngineStartFailed, match="cuda:0 cannot compute in bfloat16: CUDA error") as caught:
        choose_dtypes("bfloat16", CARD)
    assert caught.value.todo == "Set the dtype to auto."


def test_a_device_that_raises_has_a_fault_and_ends_nothing() -> None:
    assert devices._fault(torch.device("meta"), torch.float32)
    assert devices._fault(torch.device("cpu"), torch.float32) == ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(oracle().to(torch.bfloat16), tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(("wanted", "taken"), [("auto", "float32"), ("float16", None)])
def test_a_model_that_overflows_in_float16_goes_on_in_float32(
    folder: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, taken: str | None
) -> None:
    """As on a card without bfloat16; what runs here is the processor."""
    kinds = [torch.float16, torch.float32] if wanted == "auto" else [torch.float16]
    monkeypatch.setattr(torch_runner, "choose_dtypes", lambda _wanted, _device: kinds)
    monkeypatch.setattr(TorchRunner, "gives_numbers", lambda self: self.info.dtype != "float16")
    if taken is None:
        with pytest.raises(EngineStartFailed, match="x overflows in float16") as caught:
            load_runner(folder, name="x", device="cpu", dtype=wanted, native="off", context_length=512)
        assert "auto, bfloat16 or float32" in caught.value.todo
    else:
        runner = load_runner(folder, name="x", device="cpu", dtype=wanted, native="off", context_length=512)
        assert runner.info.dtype == taken


def test_what_was_never_tested_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    assert untested(torch.device("cpu")) == untested(CARD) == ""
    assert "Apple silicon (mps) was never tested" in untested(torch.device("mps"))
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert "ROCm was never tested" in untested(CARD)
