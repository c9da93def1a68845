"""Which attention backend runs: the best that is there and passes its self-test on this device.

Of those that read prompts the fastest is taken, by a timing at the start of the engine (`fastest.py`).

A backend that is wrong on a card, or does not compile there, is left out with a reason, and the next is tried. The last
is always torch's own scaled_dot_product_attention, which is not tested.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from coderls.engine.model.attention import Attention, GraphAttention
from coderls.engine.model.attention import flash as packages
from coderls.engine.model.attention.definition import by_definition, excess
from coderls.engine.model.attention.fastest import LENGTHS, Seconds, fastest
from coderls.engine.model.attention.routed import RoutedAttention
from coderls.engine.model.attention.sdpa import KERNELS, SdpaAttention
from coderls.engine.model.batch import Span
from coderls.engine.model.faults import check_usable
from coderls.engine.model.kv import KvCache

#: A backend's error against float64 may be so many times that of plain PyTorch in the same dtype.
MOST_EXCESS = 2.0
#: Slots of the scratch cache that self-tests run on: block boundaries, and more positions than a part has.
_LENGTHS = (1, 129, 64, 5000, 300, 65, 1024, 2000)
#: Query tokens of verifies that are tested, which compiles what they need.
_COUNTS = (1, 2, 4, 8, 16)
#: Of those that read prompts: new tokens alone, after cached ones, one, and a mixture (slot, end, count).
_PROMPTS = [
    [Span(6, 600, 600)],
    [Span(3, 4999, 100)],
    [Span(0, 1, 1)],
    [Span(3, 4097, 1), Span(7, 2000, 128), Span(1, 129, 2), Span(4, 300, 300)],
]


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend, and why others were not taken: (name, reason)."""

    attention: Attention
    rejected: tuple[tuple[str, str], ...] = ()

    @property
    def summary(self) -> str:
        """For logs and `coderls doctor`."""
        return self.attention.name + "".join(f"; not {name}: {reason}" for name, reason in self.rejected)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend to try: why it cannot be ("" if it can), how it is made (may raise anything), its test cases."""

    name: str
    missing: Callable[[], str]
    make: Callable[[KvCache], Attention]
    spans: Sequence[Sequence[Span]]


def choose_attention(
    cache: KvCache, heads: int, progress: Callable[[str, float], None] | None = None, wanted: str = "auto"
) -> Choice:
    """The backend for `cache` of a model with `heads` query heads. `progress` gets what is tested and 0..1.

    `wanted`: "auto", or "sdpa" for torch's own alone. Raises EngineStartFailed when a self-test leaves the card
    unusable.
    """
    fallback = SdpaAttention(cache)
    device = cache.device
    if device.type != "cuda" or wanted == "sdpa":
        return Choice(fallback)
    report = progress or (lambda _detail, _fraction: None)
    many, rejected = for_prompts([*_packages(cache), *_kernels()], cache, heads, report)
    few, also_rejected = first_good([_triton(cache, heads)], cache, heads, report)
    torch.cuda.empty_cache()  # what the tests took
    chosen = RoutedAttention(few, many) if isinstance(few, GraphAttention) else many
    return Choice(chosen, (*rejected, *also_rejected))


def for_prompts(
    candidates: Sequence[Candidate],
    cache: KvCache,
    heads: int,
    report: Callable[[str, float], None],
    seconds: Seconds | None = None,
) -> tuple[Attention, list[tuple[str, str]]]:
    """The fastest of torch's own choice and of those `candidates` that are right, and why the others were not taken.

    `seconds`: see `fastest`.
    """
    rejected: list[tuple[str, str]] = []
    good: list[Callable[[KvCache], Attention]] = [SdpaAttention]
    for number, candidate in enumerate(candidates):
        report(f"testing attention: {candidate.name}", number / len(candidates))
        reason = candidate.missing() or self_test(candidate.make, candidate.spans, cache, heads)
        if reason:
            rejected.append((candidate.name, reason))
        else:
            good.append(candidate.make)
    if len(good) == 1:
        return SdpaAttention(cache), rejected
    scratch = cache.unwritten((max(LENGTHS),))
    backends = [make(scratch) for make in good]
    best, slower = fastest(backends, scratch, heads, seconds)
    return good[backends.index(best)](cache), [*rejected, *slower]


def first_good(
    candidates: Sequence[Candidate], cache: KvCache, heads: int, report: Callable[[str, float], None]
) -> tuple[Attention | None, list[tuple[str, str]]]:
    """The first of `candidates` that is there and right, made for `cache`, and why those before it were not taken."""
    rejected: list[tuple[str, str]] = []
    for number, candidate in enumerate(candidates):
        report(f"testing attention: {candidate.name}", number / len(candidates))
        reason = candidate.missing() or self_test(candidate.make, candidate.spans, cache, heads)
        if not reason:
            return candidate.make(cache), rejected
        rejected.append((candidate.name, reason))
    return None, rejected


def self_test(make: Callable[[KvCache], Attention], cases: Sequence[Sequence[Span]], like: KvCache, heads: int) -> str:
    """Try a backend on random numbers in a small cache of the same shape: "" when it is right, else what is wrong.

    What was never written holds NaN, so that reading it shows. The numbers are new in each process. Raises
    EngineStartFailed when the device answers nothing any more.
    """
    scratch = like.unwritten(_LENGTHS)
    device = scratch.device
    try:
        backend = make(scratch)
        for spans in cases:
            if reason := _wrong(backend, spans, scratch, heads):
                return reason
        if isinstance(backend, GraphAttention):
            return _wrong_on_device(backend, scratch, heads)
    except Exception as error:  # noqa: BLE001 (a foreign kernel may raise anything: the reason is kept and shown)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        check_usable(device, reason)
        return reason
    return ""


def _packages(cache: KvCache) -> list[Candidate]:
    device = cache.device
    capability = torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else 0
    return [
        Candidate(
            package.name,
            lambda package=package: packages.missing(package, capability, cache.layers[0].dtype),  # type: ignore[misc]
            lambda scratch, package=package: packages.load(package, scratch),  # type: ignore[misc]
            _PROMPTS,
        )
        for package in packages.PACKAGES
    ]


def _kernels() -> list[Candidate]:
    """Those of torch by name."""
    return [
        Candidate(
            f"sdpa ({name})",
            lambda: "",
            lambda scratch, name=name: SdpaAttention(scratch, name),  # type: ignore[misc]
            _PROMPTS,
        )
        for name in KERNELS
    ]


def _triton(cache: KvCache, heads: int) -> Candidate:
    def missing() -> str:
        if importlib.util.find_spec("triton") is None:
            return "Triton is not installed"
        try:
            module = importlib.import_module("coderls.engine.model.attention.triton_backend")
        except (ImportError, OSError, RuntimeError) as error:
            return f"Triton cannot be imported: {error}"
        return str(module.fits(cache, heads))

    def make(scratch: KvCache) -> Attention:
        module = importlib.import_module("coderls.engine.model.attention.triton_backend")
        device = scratch.device
        processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 8
        backend: Attention = module.TritonAttention(scratch, heads, processors)
        return backend

    return Candidate("triton", missing, make, split_cases(len(_LENGTHS)))


def split_cases(slots: int) -> list[list[Span]]:
    """Decodes and verifies of 1, 2, 4 and 8 sequences in the slots of `_LENGTHS`, ragged and at block boundaries."""
    cases = []
    for sequences in (1, 2, 4, 8):
        for turn, count in enumerate(_COUNTS):
            spans = []
            for place in range(sequences):
                slot = (3 + turn + place) % slots
                new = min(_LENGTHS[slot], count if place == 0 else 1 + 7 * place % count)
                spans.append(Span(slot, max(new, _LENGTHS[slot] - turn), new))
            cases.append(spans)
    return cases


def _fill(cache: KvCache, spans: Sequence[Span], heads: int) -> torch.Tensor:
    """Random keys and values for `spans`, NaN behind them; returns random queries [total, heads, head_dim]."""
    _, kv_rows, head_dim = cache.layers[0].shape
    generator = torch.Generator(device="cpu").manual_seed(int.from_bytes(os.urandom(4), "little"))
    cache.poison()
    for span in spans:
        start = cache.offsets[span.slot]
        rows = torch.randn((span.end, kv_rows, head_dim), generator=generator).to(cache.device, cache.dtype)
        cache.write(0, torch.arange(start, start + span.end, device=cache.device), rows)
    total = sum(span.count for span in spans)
    # As the model hands them over: part of a wider row, queries before keys and values.
    wide = torch.randn((total, heads + kv_rows, head_dim), generator=generator).to(cache.device, cache.dtype)
    return wide[:, :heads]


def _wrong(backend: Attention, spans: Sequence[Span], cache: KvCache, heads: int) -> str:
    queries = _fill(cache, spans, heads)
    return _verdict(backend.plan(spans)(queries, 0), queries, cache, spans)


def _wrong_on_device(backend: GraphAttention, cache: KvCache, heads: int) -> str:
    """Lengths from a table on the device, with a sequence that is nobody's and rows that only fill up."""
    spans = [Span(3, 4500, 3), Span(1, 128, 1), Span(4, 257, 4)]
    queries = _fill(cache, spans, heads)
    padded = torch.zeros((16, *queries.shape[1:])).to(queries)
    table = torch.zeros(4, 4, dtype=torch.int32)
    at = 0
    kept: list[int] = []
    for row, (place, span) in zip((0, 4, 12), zip((0, 1, 3), spans, strict=True), strict=True):
        padded[row : row + span.count] = queries[at : at + span.count]
        table[place] = torch.tensor([row, span.count, span.end, cache.offsets[span.slot]])
        kept.extend(range(row, row + span.count))
        at += span.count
    found = backend.plan_on_device(table.to(queries.device), 4)(padded, 0)
    if not bool(torch.isfinite(found).all()):
        return "rows that are nobody's are not finite"
    return _verdict(found[kept], queries, cache, spans)


def _verdict(found: torch.Tensor, queries: torch.Tensor, cache: KvCache, spans: Sequence[Span]) -> str:
    exact = by_definition(queries, cache, 0, spans, torch.float64)
    plain = by_definition(queries, cache, 0, spans, queries.dtype)
    times = excess(found, plain, exact)
    if times <= MOST_EXCESS:
        return ""
    shape = ", ".join(f"{span.count} of {span.end}" for span in spans)
    return f"its error is {times:.3g} times that of plain PyTorch ({shape})"
