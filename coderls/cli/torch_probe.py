"""What PyTorch says of itself, asked in a process of its own: the command line never imports it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 120

#: `python -c` imports from the current folder first, which may be anybody's project: that place is taken away.
_PROBE = """
import sys
sys.path[:] = [place for place in sys.path if place]
import importlib.util, json, torch
from coderls.engine.model.native.build import why_not
cuda = torch.cuda.is_available()
facts = {
    "version": torch.__version__,
    "threads": torch.get_num_threads(),
    "cpu": torch.backends.cpu.get_cpu_capability(),
    "built_for_cuda": torch.version.cuda,
    "attention": [
        name for name in ("fa3_fwd_interface", "flash_attn_interface", "flash_attn", "triton")
        if importlib.util.find_spec(name) is not None
    ],
    "no_native_step": why_not(),
    "cards": [],
}
if cuda:
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        facts["cards"].append({
            "name": card.name,
            "memory_bytes": card.total_memory,
            "capability": [card.major, card.minor],
            "bf16": card.major >= 8,
        })
print(json.dumps(facts))
"""


@dataclass(frozen=True, slots=True)
class Card:
    """One CUDA card. `capability` is its compute capability."""

    name: str
    memory_bytes: int
    capability: tuple[int, int]
    bf16: bool


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """PyTorch as it is installed; `problem` says why it cannot be used ("" when it can).

    `attention`: modules with attention kernels that are installed. `no_native_step`: why the step in C++ for processors
    cannot be compiled ("": nothing speaks against it).
    """

    version: str = ""
    threads: int = 0
    cpu: str = ""
    built_for_cuda: str = ""
    attention: tuple[str, ...] = ()
    no_native_step: str = ""
    cards: tuple[Card, ...] = ()
    problem: str = ""
    raw: dict[str, Any] = field(default_factory=dict)


def probe_torch(python: str = sys.executable, timeout_s: float = TIMEOUT_S) -> TorchFacts:
    """Ask the PyTorch of `python`. Never raises: what went wrong is in `problem`."""
    command = [python, "-c", _PROBE]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return TorchFacts(problem=f"importing it took longer than {timeout_s:.0f} s")
    except OSError as error:
        return TorchFacts(problem=str(error))
    lines = done.stderr.strip().splitlines()
    if done.returncode:
        return TorchFacts(problem=lines[-1] if lines else f"the process left with code {done.returncode}")
    raw = json.loads(done.stdout.splitlines()[-1])
    cards = tuple(
        Card(card["name"], card["memory_bytes"], tuple(card["capability"]), card["bf16"]) for card in raw["cards"]
    )
    return TorchFacts(
        version=raw["version"],
        threads=raw["threads"],
        cpu=raw["cpu"],
        built_for_cuda=raw["built_for_cuda"] or "",
        attention=tuple(raw["attention"]),
        no_native_step=raw["no_native_step"],
        cards=cards,
        raw=raw,
    )


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver seems to be installed, whatever PyTorch sees."""
    return shutil.which("nvidia-smi") is not None
