"""Which of several right backends reads prompts fastest on this card: timed there, since cards and versions differ."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from coderls.engine.model.attention import Attention
from coderls.engine.model.batch import Span
from coderls.engine.model.kv import KvCache

#: Lengths of prompts that are timed. Each is new to a backend, as most prompts are: one that makes a plan for each
#: length that it has not met (cuDNN does) pays for it here as it would later.
LENGTHS = (2048, 2031, 1999, 1952, 1907)
#: The first is taken unless another needs less than this part of its time: nearly the same is the same.
WORTH = 0.95

Seconds = Callable[[Attention, Sequence[Span], torch.Tensor], float]


def fastest(
    backends: Sequence[Attention], like: KvCache, heads: int, seconds: Seconds | None = None
) -> tuple[Attention, list[tuple[str, str]]]:
    """The one that takes the least time for a prompt, and by how much the others are slower: (name, words).

    `backends` are made for caches of the shape of `like`, whose numbers are overwritten; its slot 0 has room for the
    longest of LENGTHS. `seconds`: how a run is timed; for tests.
    """
    measure = seconds or _seconds
    _, kv_rows, head_dim = like.layers[0].shape
    wide = torch.randn((max(LENGTHS), heads + kv_rows, head_dim)).to(like.device, like.dtype)
    like.write(0, torch.arange(len(wide), device=like.device) + like.offsets[0], wide[:, heads:])
    times = []
    for backend in backends:
        spans = [[Span(0, length, length)] for length in LENGTHS]
        measure(backend, [Span(0, 600, 600)], wide[:600, :heads])  # libraries are loaded, memory is taken
        times.append(statistics.median(measure(backend, one, wide[: one[0].count, :heads]) for one in spans))
    best = min(range(len(backends)), key=times.__getitem__)
    if times[best] >= WORTH * times[0]:
        best = 0
    slower = [
        (backend.name, f"{taken / times[best]:.2f} times the time of {backends[best].name} for a prompt")
        for place, (backend, taken) in enumerate(zip(backends, times, strict=True))
        if place != best
    ]
    return backends[best], slower


def _seconds(backend: Attention, spans: Sequence[Span], queries: torch.Tensor) -> float:
    _wait(queries.device)
    began = time.perf_counter()
    backend.plan(spans)(queries, 0)
    _wait(queries.device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
