"""What is measured of one model on one device, each with nothing but `TorchRunner.run`, as the engine calls it."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from benchmarks.gpu_model import prefill_operations, step_bytes
from coderls.engine.api import Sampling
from coderls.engine.model.qwen2 import Qwen2
from coderls.engine.model.torch_runner import TorchRunner
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import RunStopped

GREEDY = SampleSpec(Sampling())
CHUNK = 4096
BATCHES = (1, 2, 4, 8)
VERIFIES = (8, 16)
NEW_TOKENS = (1, 32, 256)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the device itself does: bytes a second of a copy (read and written), operations a second of a product."""

    copy_bytes_per_s: float
    operations_per_s: float


@dataclass(slots=True)
class Measures:
    """Of one model in one form. Times in milliseconds, by context, tokens or sequences; shares of the floor 0 to 1."""

    size: str
    form: str
    attention: str
    ways: tuple[str, ...]
    load_s: float
    weight_bytes: int
    memory_bytes: int
    decode_ms: dict[int, float] = field(default_factory=dict)
    decode_share: dict[int, float] = field(default_factory=dict)
    prefill_ms: dict[int, float] = field(default_factory=dict)
    prefill_share: dict[int, float] = field(default_factory=dict)
    first_token_ms: dict[int, float] = field(default_factory=dict)
    first_token_far_ms: dict[int, float] = field(default_factory=dict)  # at the end of the longest context
    verify_ratio: dict[int, float] = field(default_factory=dict)
    batch_ms: dict[int, float] = field(default_factory=dict)
    cancel_ms: float | None = None
    failed: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def ceiling(device: torch.device, dtype: torch.dtype, *, small: bool = False) -> Ceiling:
    """The best of several copies and products."""
    count = 1 << (24 if small else 30)
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    side = 512 if small else 8192
    left = torch.randn(side, side, device=device).to(dtype)
    copied = _best(lambda: target.copy_(source), device)
    multiplied = _best(lambda: left @ left, device)
    return Ceiling(2 * count / copied, 2 * side**3 / multiplied)


def measure(
    measures: Measures,
    runner: TorchRunner,
    model: Qwen2,
    *,
    top: Ceiling,
    contexts: Sequence[int],
    repeats: int,
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Fill `measures` in, and call `keep` after each. One that fails is noted, and the others go on."""

    def attempt(what: str, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - hours of measuring shall not end with one that cannot run
            measures.failed.append(f"{what}: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        keep()

    attempt("prefill", lambda: _prefill(measures, runner, model, top, contexts))
    attempt("decode", lambda: _decode(measures, runner, model, top, contexts, repeats=repeats))
    middle = min(4096, contexts[-1] // 2)
    attempt("first token", lambda: _first_token(measures, runner, middle, repeats))
    attempt("first token, long context", lambda: _first_token_far(measures, runner, contexts[-1], repeats))
    attempt("verify", lambda: _verify(measures, runner, middle, repeats))
    attempt("batches", lambda: _batches(measures, runner, repeats))
    attempt("cancel", lambda: _cancel(measures, runner, contexts[-1]))


def _prefill(m: Measures, runner: TorchRunner, model: Qwen2, top: Ceiling, contexts: Sequence[int]) -> None:
    """One pass over the longest context; the times at the shorter ones are read on the way."""
    config, long = model.config, contexts[-1] > model.config.plain_context
    _run(runner, [Work(0, 0, _tokens(runner, min(CHUNK, contexts[-1])), (), long)])  # warms up
    done, began = 0, time.perf_counter()
    for context in contexts:
        while done < context:
            count = min(CHUNK, context - done)
            _run(runner, [Work(0, done, _tokens(runner, count), (), long)])
            done += count
        seconds = time.perf_counter() - began
        m.prefill_ms[context] = seconds * 1000
        m.prefill_share[context] = prefill_operations(config, context) / top.operations_per_s / seconds


def _decode(
    m: Measures, runner: TorchRunner, model: Qwen2, top: Ceiling, contexts: Sequence[int], *, repeats: int
) -> None:
    kv_bytes = runner.info.kv_bytes_per_token
    for context in contexts:
        seconds = _step(runner, [(0, context - 1, 1)], repeats, long=contexts[-1] > model.config.plain_context)
        m.decode_ms[context] = seconds * 1000
        m.decode_share[context] = step_bytes(model, context, kv_bytes) / top.copy_bytes_per_s / seconds


def _first_token(m: Measures, runner: TorchRunner, cached: int, repeats: int) -> None:
    """So many new tokens after `cached` ones that are in the cache already."""
    for new in (new for new in NEW_TOKENS if cached + new <= runner.slot_lengths[0]):
        tokens = _tokens(runner, new)
        m.first_token_ms[new] = 1000 * _median(
            lambda tokens=tokens: _run(runner, [Work(0, cached, tokens, (GREEDY,))]),  # type: ignore[misc]
            repeats,
        )


def _first_token_far(m: Measures, runner: TorchRunner, end: int, repeats: int) -> None:
    """So many new tokens that end at `end`."""
    long = end > runner.info.plain_context
    for new in (new for new in NEW_TOKENS if new < end):
        works = [Work(0, end - new, _tokens(runner, new), (GREEDY,), long)]
        m.first_token_far_ms[new] = 1000 * _median(lambda works=works: _run(runner, works), repeats)  # type: ignore[misc]


def _verify(m: Measures, runner: TorchRunner, context: int, repeats: int) -> None:
    """Several tokens of one sequence at once, over one; they take turns."""
    ratios: dict[int, list[float]] = {count: [] for count in VERIFIES}
    for _ in range(3):
        one = _step(runner, [(0, context, 1)], repeats)
        for count in VERIFIES:
            ratios[count].append(_step(runner, [(0, context, count)], repeats) / one)
    m.verify_ratio = {count: statistics.median(found) for count, found in ratios.items()}


def _batches(m: Measures, runner: TorchRunner, repeats: int) -> None:
    """One token of each of several sequences. Where slots are too few, sequences share one."""
    lengths = runner.slot_lengths
    context = min(lengths) // 2
    for slot in range(len(lengths)):
        _run(runner, [Work(slot, 0, _tokens(runner, context))])
    for batch in BATCHES:
        places = [(number % len(lengths), context - number // len(lengths), 1) for number in range(batch)]
        m.batch_ms[batch] = 1000 * _step(runner, places, repeats)


def _cancel(m: Measures, runner: TorchRunner, longest: int) -> None:
    """From nobody wanting a long prefill any more to an idle device."""
    count = min(16_384, longest)
    tokens = _tokens(runner, count)
    long = count > runner.info.plain_context
    alone = _median(lambda: _run(runner, [Work(0, 0, tokens, (), long)]), 1)
    waits = []
    for turn in range(5):
        stop, when = threading.Event(), [0.0]

        def flip(stop: threading.Event = stop, when: list[float] = when) -> None:
            when[0] = time.perf_counter()
            stop.set()

        timer = threading.Timer(alone * (0.15 + 0.1 * turn), flip)
        timer.start()
        with contextlib.suppress(RunStopped):
            _run(runner, [Work(0, 0, tokens, (), long)], stop.is_set)
        _wait(torch.device(runner.info.device))
        ended = time.perf_counter()
        timer.join()
        if when[0] < ended:
            waits.append(ended - when[0])
    if waits:
        m.cancel_ms = 1000 * max(waits)


def _step(runner: TorchRunner, places: Sequence[tuple[int, int, int]], repeats: int, *, long: bool = False) -> float:
    """Median seconds of a run of (slot, start, tokens), with a sample for each token."""
    works = [Work(slot, start, _tokens(runner, count), (GREEDY,) * count, long) for slot, start, count in places]
    return _median(lambda: _run(runner, works), repeats)


def _run(runner: TorchRunner, works: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> None:
    """Raises what a piece of work failed by."""
    for result in runner.run(works, should_stop):
        if not isinstance(result, tuple):
            raise result


def _median(run: Callable[[], object], repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _best(run: Callable[[], object], device: torch.device, repeats: int = 12) -> float:
    best = float("inf")
    for _ in range(repeats):
        _wait(device)
        began = time.perf_counter()
        run()
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _tokens(runner: TorchRunner, count: int) -> list[int]:
    return [number * 7919 % runner.info.vocab_size for number in range(count)]
