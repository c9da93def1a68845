"""Which checkpoint suits this machine: by the memory it takes and by how fast its weights can be read.

Writing a token reads every weight once, so memory bandwidth bounds the speed. It is measured on a CPU and looked
up for graphics cards; an engine reaches between a third and most of that bound, so the figures are upper bounds.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from coderls.models.catalogue import APACHE, CHECKPOINTS, Checkpoint
from coderls.models.footprint import engine_bytes
from coderls.models.recipe import nano_recipe

#: GB/s from the makers' data sheets, the longer names first; other cards are taken for the slowest of them.
_CARDS = (
    ("H200", 4800), ("H100 PCIe", 2000), ("H100", 3350), ("A100", 1555), ("L40S", 864), ("L4", 300), ("T4", 320),
    ("RTX 5090", 1792), ("RTX 4090", 1008), ("RTX 3090", 936), ("RTX 4080", 717), ("RTX 4070", 504),
)  # fmt: skip
_UNKNOWN_CARD = 300

# What the system, the editor and the engine's working memory need beside the model.
_USABLE = 0.8
_CONTEXT = 8192
# Ghost text is some thirty tokens: below this bound they take half a second and more.
_FAST_ENOUGH = 60.0

_SPEEDS = ((200, "very fast"), (_FAST_ENOUGH, "fast"), (20, "slow"))

#: nano: 134,515,008 weights, of which the table has 49,152 x 576; KV of 30 layers with 3 heads of 64, in bfloat16.
_NANO_WEIGHTS, _NANO_TABLE, _NANO_KV = 134_515_008, 49_152 * 576, 2 * 30 * 3 * 64 * 2


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has. `memory` and `bandwidth` (bytes, bytes per second) are the device's that would run it."""

    device: str
    name: str
    cores: int
    memory: int
    bandwidth: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """One model on this machine. `tokens_per_s` is the bound set by memory bandwidth, not a promise.

    Bytes: `size` of its weights in bfloat16, `download` of what is fetched for it.
    """

    name: str
    size: int
    download: int
    memory: int
    licence: str
    commercial: bool
    fits: bool
    tokens_per_s: float
    speed: str
    recommended: bool = False


def this_machine() -> Machine:
    """The graphics card with the most free memory where there is one (by nvidia-smi), else the processor."""
    return _card() or _processor()


def advise(machine: Machine) -> list[Advice]:
    """Every base model with what it would take here, smallest first; one of them is recommended.

    Recommended is the largest that fits, is fast enough for ghost text and may be used for any purpose;
    the model that comes with coderls where there is none.
    """
    processor = machine.device == "cpu"
    taken = engine_bytes(_NANO_WEIGHTS, _NANO_TABLE, _NANO_KV, _CONTEXT, tied=True, processor=processor)
    nano = _advice(machine, name="nano", size=2 * _NANO_WEIGHTS, memory=taken, licence=APACHE, commercial=True)
    nano = replace(nano, download=nano_recipe().wheel_bytes)
    known = [_of(checkpoint, machine) for checkpoint in CHECKPOINTS if not checkpoint.instruct]
    everything = [nano, *known]
    good = [one for one in known if one.fits and one.commercial and one.tokens_per_s >= _FAST_ENOUGH]
    best = (good or [nano])[-1]
    return [replace(one, recommended=one is best) for one in everything]


def _of(checkpoint: Checkpoint, machine: Machine) -> Advice:
    return _advice(
        machine,
        name=checkpoint.name,
        size=checkpoint.weight_bytes(),
        memory=checkpoint.memory_bytes(_CONTEXT, processor=machine.device == "cpu"),
        licence=checkpoint.licence,
        commercial=checkpoint.commercial,
    )


def _advice(machine: Machine, *, name: str, size: int, memory: int, licence: str, commercial: bool) -> Advice:
    bound = machine.bandwidth / size
    return Advice(
        name=name,
        size=size,
        download=size,
        memory=memory,
        licence=licence,
        commercial=commercial,
        fits=memory <= machine.memory * _USABLE,
        tokens_per_s=round(bound, 1),
        speed=next((word for least, word in _SPEEDS if bound >= least), "very slow"),
    )


def _card() -> Machine | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=memory.free,name", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True, errors="replace").stdout
    except (OSError, subprocess.SubprocessError):
        return None  # the tool is there and the driver is not
    cards = parse_cards(said)
    return max(cards, key=lambda card: card.memory) if cards else None


def parse_cards(said: str) -> list[Machine]:
    """The cards in nvidia-smi's answer: lines of free MiB and name."""
    cards = []
    for line in said.splitlines():
        free, _, name = (part.strip() for part in line.partition(","))
        if free.isdigit() and name:
            speed = next((speed for known, speed in _CARDS if known in name), _UNKNOWN_CARD)
            memory = int(free) << 20
            cards.append(Machine("cuda", name, os.cpu_count() or 1, memory, speed * 1e9, measured=False))
    return cards


def _processor() -> Machine:
    cores = usable_cores()
    return Machine("cpu", f"{cores} cores", cores, memory_bytes(), read_bandwidth(cores), measured=True)


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory that a new process can have: what is available, or a container's limit; 0 when nobody says."""
    limits = [_available(), _container_limit(Path("/sys/fs/cgroup/memory.max"))]
    return min((limit for limit in limits if limit), default=0)


def _available() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    if os.name == "nt":
        return _windows_memory()
    try:  # macOS: all of it; how much is free at this moment says little there
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0


def _windows_memory() -> int:
    class Status(ctypes.Structure):  # MEMORYSTATUSEX
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "t_page", "f_page", "t_virt", "f_virt", "ext")),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009  (there on Windows only)
    return int(status.free) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else 0


def _container_limit(file: Path) -> int:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def read_bandwidth(cores: int) -> float:
    """Bytes per second that all cores together read from memory: best of five passes, about a quarter second."""
    share = np.ones((64 << 20) // 8)  # 64 MB for each thread: beyond any cache
    threads = min(cores, 16)
    parts = [share.copy() for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            begin = time.perf_counter()
            list(pool.map(np.max, parts))
            best = max(best, sum(part.nbytes for part in parts) / (time.perf_counter() - begin))
    return best
