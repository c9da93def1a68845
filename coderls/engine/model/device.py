"""Which device and which kind of numbers a model gets. What is taken was tried there, not guessed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from coderls.errors import EngineStartFailed

log = logging.getLogger(__name__)

KINDS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_TYPES = ("cpu", "cuda", "mps")


def choose_device(wanted: str) -> torch.device:
    """The device for "auto", "cpu", "cuda", "cuda:1" or "mps". "auto": the card with the most free memory, else a CPU.

    torch calls AMD's cards (ROCm) cuda too. Raises EngineStartFailed for a device that is not there or does not work.
    """
    if wanted == "auto":
        return next((device for device in _cards() if _usable(device)), torch.device("cpu"))
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise EngineStartFailed(f"There is no device {wanted!r}.", "Use auto, cpu, cuda, cuda:0 or mps.") from error
    if device.type not in _TYPES:
        raise EngineStartFailed(f"The engine does not run on {device.type}.", "Use auto, cpu, cuda or mps.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineStartFailed(
            f"{wanted} was asked for; torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices.",
            "Set the device to auto or cpu, or install a CUDA build of torch and the driver.",
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise EngineStartFailed(
            f"mps was asked for; torch {torch.__version__} finds no Metal device here.",
            "Set the device to auto or cpu; mps is for Macs with Apple silicon.",
        )
    if wanted == "cuda":
        device = next(_cards())
    if reason := _fault(device, torch.float32):
        raise EngineStartFailed(
            f"{device} cannot be used by torch {torch.__version__}: {reason}",
            "Install a build of torch for this card and its driver, or set the device to cpu.",
        )
    return device


def choose_dtypes(wanted: str, device: torch.device) -> list[torch.dtype]:
    """The kinds of numbers to try, best first. "auto": bfloat16 where the hardware has it, else float16 on cards, else
    float32. float16 has to be followed by another: the largest activations of some Qwen2 models overflow in it.

    Raises EngineStartFailed for one that is not known or does not work on `device`.
    """
    if wanted == "auto":
        kinds = [torch.bfloat16, torch.float16, torch.float32] if device.type != "cpu" else [torch.bfloat16]
        found = [kind for kind in kinds if _fast(kind, device) and not _fault(device, kind)]
        # What comes after the first that cannot overflow is never needed.
        first = next((place for place, kind in enumerate(found) if kind is not torch.float16), len(found))
        return [*found[: first + 1], *([] if first < len(found) else [torch.float32])]
    if wanted not in KINDS:
        raise EngineStartFailed(f"There is no dtype {wanted!r} here.", f"Use auto, {', '.join(KINDS)}.")
    kind = KINDS[wanted]
    if kind is torch.float16 and device.type == "cpu":
        raise EngineStartFailed("float16 is for graphics cards.", "Use auto, bfloat16 or float32 on a processor.")
    if device.type != "cpu" and (reason := _fault(device, kind)):
        raise EngineStartFailed(f"{device} cannot compute in {wanted}: {reason}", "Set the dtype to auto.")
    return [kind]


def untested(device: torch.device) -> str:
    """A warning where coderls runs on a kind of device that its tests never ran on; "" elsewhere."""
    if device.type == "mps":
        return "Apple silicon (mps) was never tested with coderls: set engine.device to cpu if answers are odd."
    if device.type == "cuda" and torch.version.hip:
        return "ROCm was never tested with coderls: set engine.device to cpu if answers are odd."
    return ""


def _cards() -> Iterator[torch.device]:
    """What could be used instead of the processor, best first."""
    cards = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    yield from sorted(cards, key=_free, reverse=True)
    if torch.backends.mps.is_available():
        yield torch.device("mps")


def _free(card: torch.device) -> int:
    try:
        return int(torch.cuda.mem_get_info(card)[0])
    except RuntimeError as error:
        log.warning("%s does not say how much memory is free: %s", card, error)
        return 0


def _usable(device: torch.device) -> bool:
    reason = _fault(device, torch.float32)
    if reason:
        log.warning("%s is left out: %s", device, reason)
    return not reason


def _fast(kind: torch.dtype, device: torch.device) -> bool:
    """Whether the hardware has `kind`; emulation is slower than float32."""
    if device.type == "cpu":
        flags = torch.cpu.get_capabilities()
        return any(flags.get(flag, False) for flag in ("avx512_bf16", "amx_bf16"))
    if device.type == "cuda" and kind is torch.bfloat16:
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return True


def _fault(device: torch.device, kind: torch.dtype) -> str:
    """Compute a little: "" when it comes out right, else what is wrong."""
    if device.type == "cpu":
        return ""
    numbers = torch.arange(64 * 64, dtype=torch.float32).mul_(0.37).sin_().view(1, 4, 16, 64)
    try:
        given = numbers.to(device, kind)
        found = F.scaled_dot_product_attention(given, given, given).flatten(0, 2)
        found = F.rms_norm(found @ found.T, (64,)).float().cpu()
    except (RuntimeError, NotImplementedError, TypeError) as error:
        return str(error).partition("\n")[0]
    exact = F.scaled_dot_product_attention(numbers, numbers, numbers).flatten(0, 2)
    exact = F.rms_norm(exact @ exact.T, (64,))
    return "" if torch.allclose(found, exact, atol=0.1, rtol=0.1) else f"it computes wrongly in {kind}."
