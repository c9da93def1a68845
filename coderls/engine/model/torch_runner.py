"""The real `Runner`: a Qwen2 model and its KV slots in PyTorch."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from coderls.engine.api import Sampling
from coderls.engine.model.attention.choose import choose_attention
from coderls.engine.model.batch import make_batch
from coderls.engine.model.config import ModelConfig, read_config
from coderls.engine.model.device import choose_device, choose_dtypes, untested
from coderls.engine.model.faults import device_lost, is_device_fault, is_out_of_memory
from coderls.engine.model.forms import PLAIN, choose_form, form_bytes, native_bytes
from coderls.engine.model.forwards import EagerForward, Forward, run_first, stop_between
from coderls.engine.model.graphs import capture_graphs, records_steps
from coderls.engine.model.kv import KvCache, allocate
from coderls.engine.model.kv_form import KvForm, choose_kv_form, kv_bytes_per_token
from coderls.engine.model.linear import packing_works
from coderls.engine.model.memory import free_bytes, free_cached_memory, graph_bytes, plan_memory
from coderls.engine.model.native.step import NativeStep, make_native_step
from coderls.engine.model.quantized_file import obtain
from coderls.engine.model.qwen2 import Qwen2
from coderls.engine.model.sampling import choose_all
from coderls.engine.model.slim import without_copies
from coderls.engine.model.weights import load_qwen2
from coderls.engine.runner import ModelInfo, Result, Sample, SampleSpec, Work
from coderls.errors import CoderlsError, EngineError, EngineStartFailed, RequestRefused

log = logging.getLogger(__name__)

#: Of the memory that may be taken, what weights may take together with the native step's copy; KV needs the rest.
_NATIVE_SHARE = 0.8


def load_runner(
    path: Path,
    *,
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    weights: str = "auto",
    kv_cache: str = "auto",
    native: str = "auto",
    threads: int = 0,
    context_length: int = 0,
    memory_gb: float = 0.0,
    gpu_memory_gb: float = 0.0,
    progress: Callable[[str, float], None] | None = None,
) -> TorchRunner:
    """Load the model directory `path`. `context_length` 0: what the model has, less where memory is short.

    `device` and `dtype`: see `device.py`; `weights`: see `choose_form`, and auto leaves them as they are where float32
    was asked for; `kv_cache`: see `choose_kv_form`; `native`: "auto" or "off", see `native/`; `threads` 0: torch's
    choice. `memory_gb` and
    `gpu_memory_gb`: the most memory (10^9 bytes) to take on a processor or on a card; 0: what is free. `progress`:
    what, and fraction 0 to 1.
    Raises ModelNotFound, ModelBroken, and EngineStartFailed for a device, dtype or memory that is not there.
    """
    config = read_config(path)
    where = choose_device(device)
    if warning := untested(where):
        log.warning("%s", warning)
    if threads > 0:
        torch.set_num_threads(threads)
    limit = int((memory_gb if where.type == "cpu" else gpu_memory_gb) * 1e9)
    for kind in choose_dtypes(dtype, where):
        runner = _load(
            path,
            config,
            where,
            kind,
            name=name,
            weights="bfloat16" if (weights, dtype) == ("auto", "float32") else weights,
            kv_form=choose_kv_form(kv_cache, where),
            native=native,
            context_length=context_length,
            limit=limit,
            progress=progress,
        )
        if kind is not torch.float16 or runner.gives_numbers():
            return runner
        runner.close()
        log.warning("%s overflows in float16 on %s", name, where)
    raise EngineStartFailed(f"{name} overflows in float16.", "Set engine.dtype to auto, bfloat16 or float32.")


def _load(
    path: Path,
    config: ModelConfig,
    device: torch.device,
    dtype: torch.dtype,
    *,
    name: str,
    weights: str,
    kv_form: KvForm | None,
    native: str,
    context_length: int,
    limit: int,
    progress: Callable[[str, float], None] | None,
) -> TorchRunner:
    """Plan the memory, load the weights, and get everything ready."""
    packs = device.type == "cpu" and packing_works(dtype)
    free = free_bytes(device)
    room = limit if free is None else min(free, limit or free)
    form = choose_form(weights, path, config, device=device, itemsize=dtype.itemsize, free=room or None, packs=packs)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # of this thread, which is the only one that runs the model
    weights_bytes = form_bytes(config, form, dtype.itemsize, packs=packs)
    copy_bytes = native_bytes(config, form, dtype.itemsize, packs=packs) if device.type == "cpu" else 0
    steps_natively = native != "off" and (not room or weights_bytes + copy_bytes <= room * _NATIVE_SHARE)
    plan = plan_memory(
        config,
        device,
        dtype.itemsize,
        weights=weights_bytes + (copy_bytes if steps_natively else 0),
        wanted=context_length,
        graphs=graph_bytes(config) if records_steps(device) else 0,
        limit=limit,
        free=free,
        kv_form=kv_form,
    )
    log.info("Memory: %s", plan)
    try:
        narrow = None if form == PLAIN else obtain(path, config, form, _part(progress, 0.0, 0.5))
        model = load_qwen2(
            path,
            config,
            device=device,
            dtype=dtype,
            context_length=plan.slots[0],
            narrow=narrow,
            kernels=native != "off",
            progress=_part(progress, 0.0 if narrow is None else 0.5, 0.9),
        )
        runner = TorchRunner(model, name, plan.slots, dtype, _part(progress, 0.9, 0.93), native=native, kv_form=kv_form)
        runner.record_steps(_part(progress, 0.93, 0.97))
        if steps_natively:
            runner.step_natively(_part(progress, 0.93, 0.97))
        elif native != "off" and device.type == "cpu":
            runner.note("steps run without the native step: there is no memory for its copy of the weights")
        del model  # the runner may have given up parts of it
        gc.collect()
        free_cached_memory(device)
        runner.describe(plan.parts())
        runner.warm_up(_part(progress, 0.97, 1.0))
    except (RuntimeError, MemoryError) as error:
        if is_device_fault(error):
            raise device_lost(device, error) from error
        if not is_out_of_memory(error):
            raise
        raise EngineStartFailed(
            f"{device} ran out of memory while the model was loaded; planned were {plan}.",
            "Close other programs, set a smaller engine.context_length, or choose a smaller model.",
        ) from error
    return runner


class TorchRunner:
    """A loaded model with its KV slots: see `coderls.engine.runner.Runner`. Called from one thread only."""

    def __init__(
        self,
        model: Qwen2,
        name: str,
        slot_lengths: Sequence[int],
        dtype: torch.dtype,
        progress: Callable[[str, float], None] | None = None,
        *,
        native: str = "auto",
        kv_form: KvForm | None = None,
    ) -> None:
        config = model.config
        self._model = model
        self._slot_lengths = tuple(slot_lengths)
        self._device = model.embedding.device
        self._cache = allocate(config, self._slot_lengths, self._device, dtype, kv_form)
        chosen = choose_attention(self._cache, config.heads, progress, "sdpa" if native == "off" else "auto")
        log.info("Attention: %s", chosen.summary)
        #: Tried in order. Ways that are faster for some batches go before the eager one (`add_forward`).
        self._attention = chosen.attention
        self._eager = EagerForward(model, self._cache, chosen.attention)
        self._forwards: list[Forward] = [self._eager]
        self._native: NativeStep | None = None
        self._notes = [
            f"no kernel of our own for attention: {why}" for name, why in chosen.rejected if name == "triton"
        ]
        self._threads = torch.get_num_threads()
        self._info = ModelInfo(
            name=name,
            context_length=self._slot_lengths[0],
            vocab_size=config.vocab_size,
            stop_ids=config.stop_ids,
            device=str(self._device),
            dtype=str(dtype).removeprefix("torch."),
            weights=model.form,
            weight_bytes=model.weight_bytes,
            kv_cache=self._cache.name,
            kv_bytes_per_token=kv_bytes_per_token(config, dtype.itemsize, kv_form),
            plain_context=config.plain_context,
            attention=chosen.attention.name,
            numerics=_numerics(self._device) + (f", KV in {kv_form.name}" if kv_form else ""),
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
            results = self._choose(works, self._forward(works, should_stop=should_stop))
            self._finish()  # so that errors and time are this run's
            return results
        except (RuntimeError, MemoryError) as error:
            if is_device_fault(error):
                raise device_lost(self._device, error) from error
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
        return logits.clone()  # those of a recorded step are overwritten by the next

    def gives_numbers(self) -> bool:
        """Whether a prompt of many different tokens gives logits that are all numbers."""
        count = min(128, self._slot_lengths[0])
        tokens = [number * self._info.vocab_size // count for number in range(count)]
        return bool(self.logits(Work(0, 0, tokens)).isfinite().all())

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

    def record_steps(self, progress: Callable[[str, float], None] | None = None) -> None:
        """Record CUDA graphs where there is a card for them, and use those that agree with the eager pass."""
        self.add_forward(
            lambda model, cache: capture_graphs(
                model, cache, self._attention, self._eager, progress, note=self._notes.append
            )
        )

    def step_natively(self, progress: Callable[[str, float], None] | None = None) -> None:
        """Run steps by the compiled form where it can be made; what only it reads from then on is held once."""
        step = make_native_step(self._model, self._cache, progress, self._notes.append)
        if step is None:
            return
        self._model = without_copies(self._model)
        self._eager = EagerForward(self._model, self._cache, self._attention)
        self._forwards = [step, *self._forwards[:-1], self._eager]
        self._native = step

    def note(self, reason: str) -> None:
        """Say in `info` what could be faster, and why it is not. Before `describe`."""
        self._notes.append(reason)

    def describe(self, memory: Mapping[str, int]) -> None:
        """Say in `info` how steps run, and what the memory is for; of the weights, what they really take."""
        held = self._model.weight_bytes + (self._native.nbytes if self._native else 0)
        self._info = replace(
            self._info,
            ways=tuple(way.name for way in self._forwards),
            notes=tuple(self._notes),
            weight_bytes=held,
            memory={**memory, "weights": held},
        )

    def go_gently(self, gently: bool) -> None:
        """See `Runner.go_gently`: a processor works on half of its threads. A card manages itself."""
        if self._device.type == "cpu":
            threads = max(1, self._threads // 2) if gently else self._threads
            torch.set_num_threads(threads)
            if self._native is not None:
                self._native.use_threads(threads)

    def close(self) -> None:
        """Give the memory back. The runner cannot be used afterwards."""
        del self._model, self._cache, self._attention, self._eager, self._forwards, self._native
        gc.collect()
        free_cached_memory(self._device)

    def warm_up(self, progress: Callable[[str, float], None] | None = None) -> None:
        """Run a short prompt and a step, so that the first request finds everything made."""
        report = progress or (lambda _detail, _fraction: None)
        first = min(16, self._slot_lengths[0] - 1)
        for part, (start, count) in enumerate(((0, first), (first, 1))):
            report("warming up", part / 2)
            tokens = [number % self._info.vocab_size for number in range(count)]
            self.run([Work(0, start, tokens, (SampleSpec(Sampling()),))])
        report("warming up", 1.0)

    def _forward(
        self,
        works: Sequence[Work],
        wanted: Sequence[int] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Tensor | None:
        between = None if should_stop is None else stop_between(should_stop, self._device)
        return run_first(self._forwards, make_batch(works, self._cache, self._model.rope, wanted, between))

    def _finish(self) -> None:
        """Wait for the device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    def _choose(self, works: Sequence[Work], logits: Tensor | None) -> list[Result]:
        """The samples of each piece of work, whose rows of `logits` come in order."""
        specs = [spec for work in works for spec in work.samples]
        chosen = iter(choose_all(logits, specs) if logits is not None and specs else ())
        results: list[Result] = []
        for work in works:
            samples = list(islice(chosen, len(work.samples)))
            faults = [one for one in samples if isinstance(one, EngineError)]
            results.append(faults[0] if faults else tuple(one for one in samples if isinstance(one, Sample)))
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


def _numerics(device: torch.device) -> str:
    """What decides about the last bits of a product, beside its operands."""
    if device.type == "cuda":
        return f"PyTorch {torch.__version__} on {torch.cuda.get_device_name(device)}"
    kind = torch.backends.cpu.get_cpu_capability()
    return f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {kind}"


def _part(progress: Callable[[str, float], None] | None, low: float, high: float) -> Callable[[str, float], None]:
    """A progress callback for one part of a longer piece of work."""
    if progress is None:
        return lambda _detail, _fraction: None
    return lambda detail, fraction: progress(detail, low + (high - low) * fraction)
