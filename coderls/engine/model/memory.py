"""How much memory there is, and how weights, KV slots, graphs and the rest share it. The plan is plain arithmetic."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from coderls.engine.model.config import ModelConfig
from coderls.engine.model.kv_form import INT8, KvForm, kv_bytes_per_token
from coderls.errors import EngineStartFailed
from coderls.models.footprint import LEAST_SHORT_TOKENS, SHORT_SLOTS, short_slot

#: Below this a slot holds no useful prompt.
_LEAST_TOKENS = 512
#: The slot that there always is beside the longest: a prompt of a window of a file, and an answer.
_LEAST_BESIDE = 1024

#: Of what weights, graphs and scratch leave, the part that KV may take: others use the machine too.
_KV_SHARE = {"cpu": 0.6, "cuda": 0.92, "mps": 0.6}
#: Assumed where the system does not say what is free.
_UNKNOWN_MEMORY = 4 << 30
#: Tokens of the largest chunk of a prefill, for which there has to be scratch memory.
_CHUNK = {"cpu": 512, "cuda": 4096, "mps": 512}
#: Rows of logits at a time: eight sequences that verify sixteen tokens each.
_LOGIT_ROWS = 128
#: What libraries take for themselves on a card: workspaces of cuBLAS, code of kernels.
_LIBRARIES = {"cpu": 0, "cuda": 256 << 20, "mps": 128 << 20}


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Who gets how many bytes of `device`. `slots` in tokens; `free` None: the system does not say.

    `limit`: what the settings allow; 0: nothing said. `scratch`: for what a run computes; `graphs`: for CUDA graphs.
    `kv_form`: of a quantized cache; empty: its numbers are the model's.
    """

    device: str
    free: int | None
    limit: int
    weights: int
    graphs: int
    scratch: int
    slots: tuple[int, ...]
    bytes_per_token: int
    kv_form: str = ""

    @property
    def kv(self) -> int:
        """Bytes of the KV cache."""
        return sum(self.slots) * self.bytes_per_token

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.graphs + self.scratch

    def parts(self) -> dict[str, int]:
        """Bytes by name, for reports."""
        return {"weights": self.weights, "kv": self.kv, "graphs": self.graphs, "scratch": self.scratch}

    def __str__(self) -> str:
        shorter = f" and {len(self.slots) - 1} x {self.slots[1]:,}" if len(self.slots) > 1 else ""
        graphs = f", graphs {_gib(self.graphs)}" if self.graphs else ""
        form = f" in {self.kv_form}" if self.kv_form else ""
        known = "" if self.free is None else f"; {_gib(self.free)} were free"
        limit = f"; the limit is {_gib(self.limit)}" if self.limit else ""
        return (
            f"{_gib(self.total)} of {self.device}: weights {_gib(self.weights)}, KV {_gib(self.kv)}{form} for "
            f"{self.slots[0]:,}{shorter} tokens{graphs}, scratch {_gib(self.scratch)}{known}{limit}"
        )


def plan_memory(
    config: ModelConfig,
    device: torch.device,
    itemsize: int,
    *,
    weights: int,
    wanted: int = 0,
    graphs: int = 0,
    limit: int = 0,
    free: int | None = None,
    kv_form: KvForm | None = None,
) -> MemoryPlan:
    """Share out the memory of `device` for a model of `weights` bytes whose numbers have `itemsize` bytes.

    `wanted`: the context in tokens, which is met or refused; 0: the model's, or the largest that leaves room for
    shorter slots beside it. `kv_form`: of a quantized cache. Raises EngineStartFailed with what would fit.
    """
    check_weights_fit(weights, free, device, limit)
    scratch = scratch_bytes(config, itemsize, device)
    if kv_form is not None:
        # A prompt reads a layer's keys and values as numbers of the model: these, and what they are made from.
        scratch += (wanted or config.context_length) * config.kv_values_per_token // config.layers * 2 * itemsize
    fixed = weights + graphs + scratch
    usable = ((_UNKNOWN_MEMORY + fixed if free is None else free) - fixed) * _KV_SHARE[device.type]
    budget = min(usable, limit - fixed) if limit else usable
    per_token = kv_bytes_per_token(config, itemsize, kv_form)
    context = _context(config, wanted, per_token, budget)
    # What the same memory holds in 8 bits, for who is told that it is too little.
    smaller = 0 if kv_form else kv_bytes_per_token(config, itemsize, INT8)
    slots = plan_slots(context, per_token, budget, smaller=smaller)
    return MemoryPlan(
        str(device), free, limit, weights, graphs, scratch, slots, per_token, kv_form.name if kv_form else ""
    )


def scratch_bytes(config: ModelConfig, itemsize: int, device: torch.device) -> int:
    """What a run takes at most beside weights and KV: activations of a chunk, logits, and what libraries need."""
    mixed = (config.heads + 2 * config.kv_heads) * config.head_dim
    in_attention = 2 * config.hidden_size + 3 * mixed
    in_feed_forward = 2 * config.hidden_size + 3 * config.intermediate_size
    activations = min(_CHUNK[device.type], config.context_length) * max(in_attention, in_feed_forward) * itemsize
    return activations + _logit_bytes(config) + _LIBRARIES[device.type]


def graph_bytes(config: ModelConfig) -> int:
    """What captured CUDA graphs take: their nodes, the memory that they share, and their logits."""
    return (96 << 20) + config.layers * (2 << 20) + _logit_bytes(config)


def _logit_bytes(config: ModelConfig) -> int:
    return _LOGIT_ROWS * config.vocab_size * 4


def _context(config: ModelConfig, wanted: int, bytes_per_token: int, budget: float) -> int:
    """The context length to plan for, in tokens."""
    if wanted > config.context_length:
        raise EngineStartFailed(
            f"A context of {wanted:,} tokens was asked for; the model has {config.context_length:,}.",
            "Ask for less, or put YaRN (rope_scaling) into config.json where the model supports it.",
        )
    fitting = largest_context(bytes_per_token, budget)
    if wanted or fitting < _LEAST_TOKENS:
        return wanted or config.context_length
    if fitting >= config.context_length:
        return config.context_length
    # Where memory is short, other files shall not push the long slot out with each change of window.
    return max(fitting * 3 // 4 // 256 * 256, min(fitting, 2048))


def plan_slots(context_length: int, bytes_per_token: int, budget: float, *, smaller: int = 0) -> tuple[int, ...]:
    """Lengths of the KV slots in tokens: one of `context_length`, then shorter ones while they fit.

    `budget` in bytes. The shorter ones, as many as fill a batch, together take at most half of what the first leaves:
    where that is little they are shorter still, and then fewer. There is always one: with a single slot a repair could
    only run by throwing away what somebody who types has in it, and at their next key the other way round.
    Raises EngineStartFailed when the two do not fit; `smaller`: bytes of a token in 8 bits, which it then advises.
    """
    largest = largest_context(bytes_per_token, budget)
    if context_length > largest:
        needed = (context_length + _least_beside(context_length)) * bytes_per_token
        raise EngineStartFailed(
            f"A context of {context_length:,} tokens needs {_gib(needed)} of memory for its "
            f"KV cache; {_gib(max(0, budget))} are free for it.",
            f"The largest context that fits is {largest:,} tokens: set engine.context_length to that, "
            f"{_in_8_bits(context_length, smaller, budget)}close other programs, or choose a smaller model."
            if largest >= _LEAST_TOKENS
            else "No useful context fits: close other programs, or choose a smaller model.",
        )
    left = (budget - context_length * bytes_per_token) / 2
    short = short_slot(context_length)
    if left < SHORT_SLOTS * short * bytes_per_token:  # many short ones are of more use than a few long ones
        fitting = int(left // (SHORT_SLOTS * bytes_per_token)) // 256 * 256
        short = min(short, max(fitting, LEAST_SHORT_TOKENS))
    count = min(SHORT_SLOTS, int(left // (short * bytes_per_token)))
    return (context_length, *([short] * count or [_least_beside(context_length)]))


def _least_beside(context_length: int) -> int:
    """Tokens of the one slot that stands beside a context where there is no room for more."""
    return max(1, min(_LEAST_BESIDE, context_length // 2))


def _in_8_bits(context_length: int, bytes_per_token: int, budget: float) -> str:
    """What a quantized cache would hold, as a part of advice; "" where there is none, or one already."""
    fits = largest_context(bytes_per_token, budget) if bytes_per_token else 0
    if not fits:
        return ""
    return f"set engine.kv_cache to int8 ({'all' if fits >= context_length else f'{fits:,}'} of them then), "


def largest_context(bytes_per_token: int, budget: float) -> int:
    """The longest context that fits into `budget` bytes with one slot beside it, rounded down to 256."""
    tokens = max(0, int(budget // bytes_per_token))
    return max(tokens - _LEAST_BESIDE, tokens * 2 // 3) // 256 * 256


def check_weights_fit(needed: int, free: int | None, device: torch.device, limit: int = 0) -> None:
    """Raise EngineStartFailed when `needed` bytes of weights are more than `free`, or than `limit` (0: none)."""
    setting = "engine.memory_gb" if device.type == "cpu" else "engine.gpu_memory_gb"
    smaller = "Choose a smaller model (`coderls models recommend` names one)"
    if limit and needed > limit:
        raise EngineStartFailed(
            f"The model's weights take {_gib(needed)} on {device}, and {setting} allows {_gib(limit)}.",
            f"{smaller}, or allow more.",
        )
    if free is not None and needed > free:
        raise EngineStartFailed(
            f"The model's weights take {_gib(needed)} on {device}, where {_gib(free)} are free.",
            f"{smaller}, or close other programs"
            + ("." if device.type == "cpu" else ", or set engine.device to cpu, where it is slow."),
        )


def free_bytes(device: torch.device) -> int | None:
    """Memory that can be taken now; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    known = [amount for amount in (_available(), _cgroup_left()) if amount is not None]
    return min(known, default=None)


def free_cached_memory(device: torch.device) -> None:
    """Give back what torch keeps for later on a card, or the C library (glibc) on a CPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif sys.platform == "linux":
        # Weights that were read and given up again stay with the process otherwise: 130 MB of the embedded model.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


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
