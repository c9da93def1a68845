"""The real `Runner`: a Qwen2 model and its KV slots in PyTorch."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from coderls.engine.api import Sampling
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import make_batch
from coderls.engine.model.config import ModelConfig, read_config
from coderls.engine.model.forwards import EagerForward, Forward, run_first, stop_between
from coderls.engine.model.kv import KvCache, allocate
from coderls.engine.model.linear import packing_works
from coderls.engine.model.memory import (
    check_weights_fit,
    free_bytes,
    free_cached_memory,
    is_out_of_memory,
    largest_context,
    plan_slots,
)
from coderls.engine.model.qwen2 import Qwen2
from coderls.engine.model.sampling import choose
from coderls.engine.model.weights import load_qwen2
from coderls.engine.runner import ModelInfo, Result, SampleSpec, Work
from coderls.errors import CoderlsError, EngineError, EngineStartFailed, RequestRefused

log = logging.getLogger(__name__)

#: Of the memory that is free after the weights, the part that KV may take; the rest is for activations and others.
_KV_SHARE = {"cpu": 0.6, "cuda": 0.85}
#: Assumed where the system does not say what is free.
_UNKNOWN_MEMORY = 4 << 30
_WARM_UP_S = 0.4


def load_runner(
    path: Path,
    *,
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    threads: int = 0,
    context_length: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> TorchRunner:
    """Load the model directory `path`. `context_length` 0: what the model has, less where memory is short.

    `device`: "auto" (CUDA where there is a card), "cpu", "cuda" or "cuda:1"; `dtype`: "auto" (bfloat16 where the
    processor has it), "bfloat16" or "float32"; `threads` 0: torch's choice. `progress`: what, and fraction 0 to 1.
    Raises ModelNotFound, ModelBroken, and EngineStartFailed for a device, dtype or memory that is not there.
    """
    config = read_config(path)
    where = _device(device)
    kind = _dtype(dtype, where)
    if threads > 0:
        torch.set_num_threads(threads)
    copies_head = config.tied_head and where.type == "cpu" and packing_works(kind)
    weights = (config.parameters + copies_head * config.vocab_size * config.hidden_size) * kind.itemsize
    free = free_bytes(where)
    check_weights_fit(weights, free, where)
    budget = ((_UNKNOWN_MEMORY + weights if free is None else free) - weights) * _KV_SHARE[where.type]
    per_token = config.kv_values_per_token * kind.itemsize
    lengths = plan_slots(_context(config, context_length, per_token, budget), per_token, budget)
    try:
        model = load_qwen2(
            path, config, device=where, dtype=kind, context_length=lengths[0], progress=_part(progress, 0.0, 0.9)
        )
        runner = TorchRunner(model, name, lengths, kind)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise EngineStartFailed(f"{where} ran out of memory: {error}", "Choose a smaller model.") from error
    runner.warm_up(_part(progress, 0.9, 1.0))
    return runner


class TorchRunner:
    """A loaded model with its KV slots: see `coderls.engine.runner.Runner`. Called from one thread only."""

    def __init__(self, model: Qwen2, name: str, slot_lengths: Sequence[int], dtype: torch.dtype) -> None:
        config = model.config
        self._model = model
        self._slot_lengths = tuple(slot_lengths)
        self._device = model.embedding.device
        self._cache = allocate(config, self._slot_lengths, self._device, dtype)
        attention = SdpaAttention(self._cache)
        #: Tried in order. Ways that are faster for some batches go before the eager one (`add_forward`).
        self._forwards: list[Forward] = [EagerForward(model, self._cache, attention)]
        self.prefill_tokens_per_s = 0.0
        self.decode_tokens_per_s = 0.0
        self._info = ModelInfo(
            name=name,
            context_length=self._slot_lengths[0],
            vocab_size=config.vocab_size,
            stop_ids=config.stop_ids,
            device=str(self._device),
            dtype=str(dtype).removeprefix("torch."),
            weight_bytes=model.weight_bytes,
            kv_bytes_per_token=config.kv_values_per_token * dtype.itemsize,
            plain_context=config.plain_context,
        )

    @property
    def info(self) -> ModelInfo:
        """Facts about the loaded model."""
        return self._info

    @property
    def slot_lengths(self) -> Sequence[int]:
        """Capacity in tokens of each KV slot; the first has the full context."""
        return self._slot_lengths

    @torch.inference_mode()
    def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
        """See `Runner.run`. One that fits no slot, vocabulary or memory, or gives no numbers, fails alone."""
        results: list[Result | None] = [self._fault(work) for work in batch]
        works = [work for work, fault in zip(batch, results, strict=True) if fault is None]
        found = iter(self._run_sound(works, should_stop) if works else ())
        return [next(found) if fault is None else fault for fault in results]

    def _run_sound(self, works: Sequence[Work], should_stop: Callable[[], bool] | None) -> list[Result]:
        """The results of works without a fault; what is too large for the memory together runs one by one."""
        try:
            return self._choose(works, self._forward(works, should_stop=should_stop))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            log.warning("Out of memory in a run of %d pieces of work: %s", len(works), error)
            message = str(error).partition("\n")[0] or type(error).__name__
        # Outside of the handler: the traceback would keep the tensors of the run alive.
        free_cached_memory(self._device)
        if len(works) == 1:
            tokens = len(works[0].tokens)
            return [
                EngineError(
                    f"{self._device} ran out of memory in a run of {tokens:,} tokens: {message}.",
                    "Send a shorter prompt, free memory there, or set a smaller context.",
                )
            ]
        return [result for work in works for result in self._run_sound([work], should_stop)]

    @torch.inference_mode()
    def logits(self, work: Work) -> Tensor:
        """Like `run` for one piece, but float32 logits of all its tokens: [tokens, vocab]. Raises RequestRefused."""
        if (fault := self._fault(work)) is not None:
            raise fault
        logits = self._forward([work], [len(work.tokens)])
        if logits is None:
            raise EngineError("The model returned no logits.")
        return logits

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the KV of the first `length` tokens from one slot to another."""
        if length > min(self._slot_lengths[source], self._slot_lengths[target]):
            raise EngineError(f"{length} tokens do not fit into slots {source} and {target}.")
        self._cache.copy(source, target, length)

    def add_forward(self, make: Callable[[Qwen2, KvCache], Forward | None]) -> None:
        """Try what `make` returns before all ways that are there; None: it is not possible here."""
        if (way := make(self._model, self._cache)) is not None:
            self._forwards.insert(0, way)

    def close(self) -> None:
        """Give the memory back. The runner cannot be used afterwards."""
        del self._model, self._cache, self._forwards
        gc.collect()
        free_cached_memory(self._device)

    def warm_up(self, progress: Callable[[str, float], None] | None = None) -> None:
        """Run a few steps, so that the first request finds everything made, and measure the speed.

        Sets `prefill_tokens_per_s` and `decode_tokens_per_s`. Takes about half a second on any machine.
        """
        report = progress or (lambda _detail, _fraction: None)
        report("warming up", 0.0)
        room = self._slot_lengths[0] - 8
        sampled = (SampleSpec(Sampling()),)
        self._timed(min(room, 16), sampled)  # makes threads and kernels
        seconds = self._timed(min(room, 16), sampled)
        count = min(room, max(16, min(256, int(16 * _WARM_UP_S / seconds))))
        seconds = self._timed(count, ())
        self.prefill_tokens_per_s = count / seconds
        report("warming up", 0.5)
        steps = [self._timed(1, sampled, at=count + step) for step in range(6)]
        self.decode_tokens_per_s = 1 / sorted(steps)[len(steps) // 2]
        report("warming up", 1.0)

    def _timed(self, count: int, samples: Sequence[SampleSpec], at: int = 0) -> float:
        """Seconds for `count` tokens in slot 0."""
        began = time.perf_counter()
        self.run([Work(0, at, [i % self._info.vocab_size for i in range(count)], samples)])
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return max(time.perf_counter() - began, 1e-6)

    def _forward(
        self,
        works: Sequence[Work],
        wanted: Sequence[int] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Tensor | None:
        between = None if should_stop is None else stop_between(should_stop, self._device)
        return run_first(self._forwards, make_batch(works, self._cache, self._model.rope, wanted, between))

    def _choose(self, works: Sequence[Work], logits: Tensor | None) -> list[Result]:
        """The samples of each piece of work, whose rows of `logits` come in order."""
        results: list[Result] = []
        row = 0
        for work in works:
            count = len(work.samples)
            if logits is None or not count:
                results.append(())
                continue
            try:
                results.append(tuple(choose(logits[row + i], spec) for i, spec in enumerate(work.samples)))
            except EngineError as error:
                results.append(error)
            row += count
        return results

    def _fault(self, work: Work) -> CoderlsError | None:
        """Why this cannot be run: a bad id or position would corrupt memory on a card, not raise."""
        if not 0 <= work.slot < len(self._slot_lengths):
            return EngineError(f"There is no KV slot {work.slot}.")
        capacity, end = self._slot_lengths[work.slot], work.start + len(work.tokens)
        if not work.tokens or work.start < 0 or end > capacity or len(work.samples) > len(work.tokens):
            return RequestRefused(
                f"{len(work.tokens)} tokens at position {work.start} do not fit a context of {capacity}.",
                "Send a shorter prompt, or ask for fewer tokens.",
            )
        if end > self._info.plain_context and not work.long:
            return EngineError(f"Position {end - 1} is beyond the {self._info.plain_context} without YaRN.")
        if min(work.tokens) < 0 or max(work.tokens) >= self._info.vocab_size:
            return RequestRefused(
                f"The prompt holds a token id outside 0 to {self._info.vocab_size - 1}.",
                "Encode it with the tokenizer of this model.",
            )
        return None


def _context(config: ModelConfig, wanted: int, bytes_per_token: int, budget: float) -> int:
    """The context length to plan for, in tokens."""
    if wanted > config.context_length:
        raise EngineStartFailed(
            f"A context of {wanted:,} tokens was asked for; the model has {config.context_length:,}.",
            "Ask for less, or put YaRN (rope_scaling) into config.json where the model supports it.",
        )
    # A context that nobody asked for is fitted to the memory; one that somebody did is met or refused.
    fitting = largest_context(bytes_per_token, budget)
    return wanted or (min(config.context_length, fitting) if fitting >= 512 else config.context_length)


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise EngineStartFailed(f"There is no device {wanted!r}.", "Use auto, cpu, cuda or cuda:0.") from error
    if device.type not in _KV_SHARE:
        raise EngineStartFailed(f"The engine does not run on {device.type}.", "Use auto, cpu or cuda.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineStartFailed(
            f"{wanted} was asked for; torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices.",
            "Set the device to auto or cpu, or install a CUDA build of torch and the driver.",
        )
    return device


def _dtype(wanted: str, device: torch.device) -> torch.dtype:
    known = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    if wanted in known:
        return known[wanted]
    if wanted != "auto":
        raise EngineStartFailed(f"There is no dtype {wanted!r} here.", "Use auto, bfloat16 or float32.")
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        found = torch.cpu.get_capabilities()
        fast = any(found.get(flag, False) for flag in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if fast else torch.float32


def _part(progress: Callable[[str, float], None] | None, low: float, high: float) -> Callable[[str, float], None]:
    """A progress callback for one part of a longer piece of work."""
    if progress is None:
        return lambda _detail, _fraction: None
    return lambda detail, fraction: progress(detail, low + (high - low) * fraction)
