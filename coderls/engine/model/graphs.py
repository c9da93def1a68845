"""CUDA graphs: steps of the model that are recorded once and replayed with one call.

A step of a 7B model is some 400 kernels, and a processor needs longer to start them one by one than a card to run them.
What was recorded reads its inputs (ids, positions, lengths) from fixed places on the card, so that one recording serves
every context; the number of sequences and of their tokens is fixed, and smaller batches are filled up.

A sequence's tokens are the last of its row of the recording: what comes before fills up, is written to the position of
the cache that nobody reads (`KvCache.scratch`), and its output is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coderls.engine.model.attention import Attend, Attention, GraphAttention, OnDevice
from coderls.engine.model.attention.gathered import GatheredAttention
from coderls.engine.model.attention.tiled import TiledAttention
from coderls.engine.model.batch import Batch, Span, make_batch
from coderls.engine.model.faults import device_lost
from coderls.engine.model.kv import KvCache
from coderls.engine.model.qwen2 import Qwen2, forward
from coderls.engine.runner import Work
from coderls.errors import DeviceLost

log = logging.getLogger(__name__)

#: Runs a function and returns what does the same again: a recording of it.
Record = Callable[[Callable[[], None]], Callable[[], object]]
Progress = Callable[[str, float], None]

#: A recording that differs by more from the plain pass is not used (part of the norm of the logits).
_MOST_ERROR = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}


@dataclass(frozen=True, slots=True)
class Shape:
    """So many sequences with so many tokens each. Logits of all tokens, or with `last_only` of each sequence's last."""

    sequences: int
    tokens: int
    last_only: bool = False

    @property
    def rows(self) -> int:
        """Rows of logits."""
        return self.sequences if self.last_only else self.sequences * self.tokens

    def __str__(self) -> str:
        return f"steps of {self.sequences} x {self.tokens} tokens"


STEPS = tuple(Shape(sequences, tokens) for sequences in (1, 2, 4, 8) for tokens in (1, 2, 4, 8, 16))
PREFILLS = tuple(Shape(1, tokens, last_only=True) for tokens in (32, 64, 128, 256))
SHAPES = STEPS + PREFILLS


class _Recording:
    """One shape: its inputs at a fixed place, and the replay.

    `inputs` int64 holds ids, rotary rows and cache rows [3, sequences, tokens], and as int32 two tables as
    `plan_on_device` takes them, [2, sequences, 4]: of all tokens, and of each sequence's last.
    """

    def __init__(self, shape: Shape, backend: OnDevice, cache: KvCache) -> None:
        device = cache.device
        self.shape = shape
        self.name = backend.name
        self.most_positions = backend.most_positions if isinstance(backend, GatheredAttention) else max(cache.lengths)
        self._backend = backend
        self._cache = cache
        size = 3 * shape.sequences * shape.tokens
        self._inputs = torch.zeros(size + 4 * shape.sequences, dtype=torch.long, device=device)
        self._host = torch.zeros_like(self._inputs, device="cpu", pin_memory=device.type == "cuda")
        self._ids, self._tables = self._views(self._inputs)
        self._host_ids, self._host_tables = self._views(self._host)
        last = torch.arange(shape.sequences, device=device) * shape.tokens + shape.tokens - 1
        self.batch = Batch(
            ids=self._ids.view(3, -1),
            spans=tuple(Span(0, shape.tokens, shape.tokens) for _ in range(shape.sequences)),
            wanted=(1 if shape.last_only else shape.tokens,) * shape.sequences,
            rows=last if shape.last_only else None,
        )
        self.replay: Callable[[], object] = lambda: None

    def plan(self, spans: Sequence[Span]) -> Attend:
        """As `Attention.plan`, but where the sequences are is read on the device."""
        whole = spans[0].count == self.shape.tokens
        return self._backend.plan_on_device(self._tables[0 if whole else 1], spans[0].count)

    def fill(self, batch: Batch) -> None:
        """Put a batch into the inputs."""
        tokens = self.shape.tokens
        self._host_ids[:2] = 0
        self._host_ids[2] = self._cache.scratch
        tables = [[0] * 4] * (2 * self.shape.sequences)
        at = 0
        for number, span in enumerate(batch.spans):
            fill = tokens - span.count
            self._host_ids[:, number, fill:] = batch.ids[:, at : at + span.count]
            at += span.count
            offset = self._cache.offsets[span.slot]
            tables[number] = [number * tokens + fill, span.count, span.end, offset]
            tables[self.shape.sequences + number] = [number, 1, span.end, offset]
        self._host_tables[:] = torch.tensor(tables, dtype=torch.int32).view(self._host_tables.shape)
        self._inputs.copy_(self._host)  # waits: the host's side is written again with the next step

    def _views(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        sequences, tokens = self.shape.sequences, self.shape.tokens
        size = 3 * sequences * tokens
        return inputs[:size].view(3, sequences, tokens), inputs[size:].view(torch.int32).view(2, sequences, 4)


class GraphForward:
    """The recorded steps of one model. See `Forward`. Logits that it returns are valid until the next call."""

    name = "CUDA graphs"

    def __init__(self, model: Qwen2, cache: KvCache, record: Record) -> None:
        self._model = model
        self._cache = cache
        self._record = record
        self._recordings: list[_Recording] = []
        self._logits = torch.empty(0)

    @torch.inference_mode()
    def capture(self, backends: Sequence[OnDevice], shapes: Sequence[Shape], progress: Progress) -> list[str]:
        """Record `shapes`, each with the first of `backends` that bears so many queries.

        Returns what could not be recorded, and why; the others are there. Raises DeviceLost.
        """
        # The largest first: the others then find their memory in what it took.
        ordered = sorted(shapes, key=lambda shape: shape.sequences * shape.tokens, reverse=True)
        table = self._model.embedding
        self._logits = torch.empty(
            (max(shape.rows for shape in shapes), table.shape[0]), dtype=torch.float32, device=table.device
        )
        failed: list[str] = []
        for number, shape in enumerate(ordered):
            progress(f"recording {shape}", number / len(ordered))
            backend = next((backend for backend in backends if backend.most_queries >= shape.tokens), None)
            if backend is None:
                continue
            try:
                recording = _Recording(shape, backend, self._cache)
                recording.replay = self._record(self._step(recording))
            except Exception as error:  # noqa: BLE001 - kernels and capture may raise anything: others may do
                failed.append(f"{shape}: {reason_of(error, self._cache.device)}")
            else:
                self._recordings.insert(0, recording)  # the smallest is found first
        return failed

    def takes(self, batch: Batch) -> bool:
        """Whether a recording is large enough."""
        return self._recording(batch) is not None

    def __call__(self, batch: Batch) -> Tensor | None:
        """Fill in, replay, pick the rows that are wanted."""
        recording = self._recording(batch)
        if recording is None:
            raise ValueError("no recording takes this batch")
        return self._run(recording, batch)

    def _run(self, recording: _Recording, batch: Batch) -> Tensor | None:
        recording.fill(batch)
        recording.replay()
        each = 1 if recording.shape.last_only else recording.shape.tokens
        parts = [
            self._logits[(number + 1) * each - wanted : (number + 1) * each]
            for number, wanted in enumerate(batch.wanted)
            if wanted
        ]
        if len(parts) < 2:
            return parts[0] if parts else None
        return torch.cat(parts)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Those that can be replayed, the smallest first."""
        return tuple(recording.shape for recording in self._recordings)

    def clear(self) -> None:
        """Drop all recordings, and give their memory back."""
        self._recordings.clear()

    def summary(self) -> str:
        """For the log."""
        names = ", ".join(dict.fromkeys(recording.name for recording in self._recordings))
        return f"{len(self._recordings)} recorded steps ({names})"

    def _recording(self, batch: Batch) -> _Recording | None:
        sequences, end = len(batch.spans), max(span.end for span in batch.spans)
        tokens, wanted = max(span.count for span in batch.spans), max(batch.wanted)
        for recording in self._recordings:
            shape = recording.shape
            if (
                shape.sequences >= sequences
                and shape.tokens >= tokens
                and recording.most_positions >= end
                and (wanted <= 1 or not shape.last_only)
            ):
                return recording
        return None

    def _step(self, recording: _Recording) -> Callable[[], None]:
        def step() -> None:
            logits = forward(self._model, recording.batch, self._cache, recording)
            if logits is None:
                raise ValueError("a recording has logits")
            self._logits[: recording.shape.rows].copy_(logits)

        return step

    @torch.inference_mode()
    def keep_right(self, eager: Callable[[Batch], Tensor | None]) -> list[str]:
        """Compare every recording with the plain pass on a prompt in the first slot, and drop those that are wrong.

        Returns what is wrong with them. Raises DeviceLost, and what the plain pass raises.
        """
        length = min(self._cache.lengths[0], 300)
        prompt = [(number * 7919 + 13) % len(self._model.embedding) for number in range(length)]
        whole = make_batch([Work(0, 0, prompt)], self._cache, self._model.rope, [1])
        if eager(whole) is None:
            self.clear()
            return ["the plain pass gave nothing"]
        reasons: dict[Shape, str] = {}
        for recording in self._recordings:
            reasons[recording.shape] = reason = self._wrong(recording, prompt, eager)
            if reason:
                eager(whole)  # what it wrote is wrong too
        self._recordings = [recording for recording in self._recordings if not reasons[recording.shape]]
        return [f"{shape}: {reason}" for shape, reason in reasons.items() if reason]

    def _wrong(self, recording: _Recording, prompt: Sequence[int], eager: Callable[[Batch], Tensor | None]) -> str:
        """How it differs from the plain pass behind `prompt`; "": it does not."""
        shape, length = recording.shape, len(prompt)
        works: list[Work] = []
        for number in range(shape.sequences):
            count = max(1, min(shape.tokens, length) - number % 3)
            end = max(count, length - 5 * number)
            # All in one slot: what they write is what is there already.
            works.append(Work(0, end - count, prompt[end - count : end]))
        wanted = [1 if shape.last_only else len(work.tokens) for work in works]
        batch = make_batch(works, self._cache, self._model.rope, wanted)
        exact = eager(batch)
        self._logits.fill_(float("nan"))
        try:
            found = self._run(recording, batch)
        except Exception as error:  # noqa: BLE001 - see `capture`
            return reason_of(error, self._cache.device)
        if exact is None or found is None:
            return "the plain pass gave nothing"
        differs = float((found - exact).norm() / exact.norm())
        right = differs <= _MOST_ERROR.get(self._model.embedding.dtype, 1e-3)  # nothing is, of what is no number
        return "" if right else f"it differs by {differs:.2g} from the plain pass"


def reason_of(error: Exception, device: torch.device) -> str:
    """The error in one line. Raises DeviceLost where the card cannot be used any more.

    Asked, not read from its words: what ends a capture is an error of CUDA too, and the card goes on.
    """
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
        except RuntimeError as lost:
            raise device_lost(device, lost) from error
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


class CudaRecorder:
    """Records on a stream of its own; all recordings share their scratch memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, run: Callable[[], None]) -> Callable[[], object]:
        """See `Record`. `run` runs twice before, so that kernels are compiled and libraries have their memory."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for _ in range(2):
                run()
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                run()
        except BaseException:
            # Torch goes on counting these as being recorded to: the next recording needs others.
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            raise
        replay: Callable[[], object] = graph.replay
        return replay


def records_steps(device: torch.device) -> bool:
    """Whether steps are recorded on `device`. Not on AMD's cards, where this was never tried."""
    return device.type == "cuda" and torch.version.hip is None


def graph_backends(attention: Attention, cache: KvCache) -> list[OnDevice]:
    """What attention is recorded with; the first that bears a shape's tokens is taken."""
    gathered = GatheredAttention(cache)
    if not isinstance(attention, GraphAttention):
        return [gathered]
    # A kernel that reads lengths itself bears small prefills too, in pieces, whatever is cached before them.
    return [attention, TiledAttention(attention), gathered]


def capture_graphs(
    model: Qwen2,
    cache: KvCache,
    attention: Attention,
    eager: Callable[[Batch], Tensor | None],
    progress: Progress | None = None,
    *,
    note: Callable[[str], None] = lambda _reason: None,
) -> GraphForward | None:
    """The steps of `SHAPES`, recorded and compared with `eager`; None where that is not possible. `note` is told why.

    Raises DeviceLost when the attempt leaves the card unusable.
    """
    device = model.embedding.device
    if not records_steps(device):
        return None
    report = progress or (lambda _detail, _fraction: None)
    graphs = GraphForward(model, cache, CudaRecorder(device))
    before = torch.cuda.mem_get_info(device)[0]
    try:
        failed = graphs.capture(graph_backends(attention, cache), SHAPES, report)
        failed += graphs.keep_right(eager)
    except DeviceLost:
        raise
    except Exception as error:  # noqa: BLE001 - the plain pass itself, or memory that these took: without them it may run
        failed = [reason_of(error, device)]
        graphs.clear()
    for reason in failed:
        log.warning("Not replayed as a CUDA graph: %s", reason)
    if failed:
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        note(f"not replayed as a CUDA graph: {failed[0]}{more}")
    taken = (before - torch.cuda.mem_get_info(device)[0]) / 2**20
    log.info("%s, %.0f MiB", graphs.summary(), max(0.0, taken))
    report("recording steps", 1.0)
    return graphs if graphs.shapes else None
