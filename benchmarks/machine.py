"""What every benchmark here needs: the machine in words, idle cores to start on, medians, and the memory floor."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when something was measured. `versions` of the packages that matter to it."""

    cpu: str
    cores: int
    memory_gib: float
    gpu: str
    system: str
    python: str
    versions: dict[str, str]
    date: str

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        card = f", {self.gpu}" if self.gpu else ""
        return (
            f"{self.cpu}, {self.cores} cores for this process{card}, {self.memory_gib:.0f} GiB, {self.system}, "
            f"Python {self.python}, {packages}; {self.date}"
        )


def describe(packages: Iterable[str] = ("coderls", "torch"), gpu: str = "") -> Machine:
    """This machine now. `gpu` from whoever has torch loaded anyway."""
    return Machine(
        cpu=_cpu_name(),
        cores=cores(),
        memory_gib=psutil.virtual_memory().total / 2**30,
        gpu=gpu,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={name: _version(name) for name in packages},
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_for_idle(limit_s: float, share: float = 0.9) -> bool:
    """Wait until the cores are idle (twice in a row, by `share`), at most `limit_s`; False if they never were.

    On shared cores the same program was measured ten times slower under load.
    """
    began, calm = time.monotonic(), 0
    while calm < 2:
        calm = calm + 1 if psutil.cpu_percent(0.4) <= 100 * (1 - share) else 0
        if calm < 2 and time.monotonic() - began > limit_s:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Summary:
    """Of repeated measurements, in their own unit."""

    count: int
    median: float
    p5: float
    p95: float


def summarise(values: Sequence[float]) -> Summary:
    """Median and outer percentiles. Raises ValueError without values."""
    if not values:
        raise ValueError("nothing was measured")
    return Summary(len(values), statistics.median(values), percentile(values, 5), percentile(values, 95))


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear between the two nearest ranks."""
    ranked = sorted(values)
    at = (len(ranked) - 1) * percent / 100
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (at - low)


def memory_read_bandwidth(repeats: int = 9) -> float:
    """Bytes per second that torch's threads read from memory: the best of several sums over 512 MiB.

    No decoder that reads all its weights for each token is faster than this divided by their size.
    """
    import torch  # noqa: PLC0415 - only benchmarks that ask for this need torch

    numbers = torch.ones(1 << 27)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        numbers.sum()
        best = min(best, time.perf_counter() - began)
    return numbers.nbytes / best


def _cpu_name() -> str:
    """The model name; platform.processor() is empty or says just "x86_64" on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
