"""How much memory there is, and how the KV slots share it. The plan is plain arithmetic."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from coderls.errors import EngineStartFailed

#: Shorter slots beside the one of full length: other files, other windows, forks of one prompt.
_SHORT_SLOTS = 5
_SHORT_TOKENS = 8192
_OUT_OF_MEMORY = (
    "can't allocate memory",  # CPU
    "not enough memory",  # CPU, Windows
    "CUBLAS_STATUS_ALLOC_FAILED",
    "MPS backend out of memory",
)
#: Below this a slot holds no useful prompt.
_LEAST_TOKENS = 512


def plan_slots(context_length: int, bytes_per_token: int, budget: float) -> tuple[int, ...]:
    """Lengths of the KV slots in tokens: one of `context_length`, then shorter ones while they fit.

    `budget` in bytes. The shorter ones together take at most half of what the first leaves.
    Raises EngineStartFailed when the first does not fit.
    """
    largest = largest_context(bytes_per_token, budget)
    if context_length > largest:
        raise EngineStartFailed(
            f"A context of {context_length:,} tokens needs {_gib(context_length * bytes_per_token)} of memory for its "
            f"KV cache; {_gib(max(0, budget))} are free for it.",
            f"The largest context that fits is {largest:,} tokens: set the context length to that, "
            "close other programs, or choose a smaller model."
            if largest >= _LEAST_TOKENS
            else "No useful context fits: close other programs, or choose a smaller model.",
        )
    short = min(context_length, _SHORT_TOKENS, max(2048, context_length // 4))
    left = (budget - context_length * bytes_per_token) / 2
    return (context_length, *[short] * min(_SHORT_SLOTS, int(left // (short * bytes_per_token))))


def largest_context(bytes_per_token: int, budget: float) -> int:
    """The most tokens that fit into `budget` bytes, rounded down to 256."""
    return max(0, int(budget // bytes_per_token)) // 256 * 256


def check_weights_fit(needed: int, free: int | None, device: torch.device) -> None:
    """Raise EngineStartFailed when `needed` bytes of weights are more than `free`."""
    if free is not None and needed > free:
        raise EngineStartFailed(
            f"The model's weights take {_gib(needed)} on {device}, where {_gib(free)} are free.",
            "Choose a smaller model (`coderls models recommend` names one), or close other programs.",
        )


def free_bytes(device: torch.device) -> int | None:
    """Memory that can be taken now; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [amount for amount in (_available(), _cgroup_left()) if amount is not None]
    return min(known, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; on a CPU, and where a library asks for it by itself, torch has no class for that."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY)


def free_cached_memory(device: torch.device) -> None:
    """Give back what torch keeps for later on a card; on a CPU it keeps nothing."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _available() -> int | None:
    """What the whole machine has left."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    if sys.platform == "win32":
        return _windows_available()
    try:
        # macOS does not say in a portable way what is free; half of all is a cautious guess.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError):
        return None


def _windows_available() -> int | None:
    """ullAvailPhys of GlobalMemoryStatusEx (its struct is 64 bytes, the value is its third 8-byte word)."""
    import ctypes  # noqa: PLC0415 - only there

    status = (ctypes.c_uint64 * 8)()
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = 64
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status[2])


def _cgroup_left() -> int | None:
    """What a container may still take (cgroup v2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, taken = ((folder / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current"))
        details = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        # Files that were read (weights, say) count as taken, but give way when memory is asked for.
        return int(limit) - int(taken) + int(details.get("file", 0))
    except (OSError, ValueError):
        return None  # no container, or "max": no limit


def _gib(amount: float) -> str:
    return f"{amount / 2**30:.1f} GiB"
