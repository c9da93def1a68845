"""The native step as a way to run a batch: hands the weights over once, then calls it for steps of a few tokens."""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import Batch, make_batch
from coderls.engine.model.kv import KvCache
from coderls.engine.model.memory import free_bytes
from coderls.engine.model.native import build
from coderls.engine.model.native.pack import TILE, Packed, Weight, pack, packed_bytes, rows_of, weight_of
from coderls.engine.model.qwen2 import Qwen2, forward
from coderls.engine.runner import Work
from coderls.errors import EngineError

log = logging.getLogger(__name__)

#: The most tokens of a step (MOST_ROWS of products.hpp).
MOST_TOKENS = 16

#: Steps that are timed where it may be the slower way.
_TIMED = 4

#: Kinds of KV caches: `Config` of model.hpp.
_CACHES = {torch.bfloat16: 0, torch.float32: 1, torch.int8: 2}

Progress = Callable[[str, float], None]


class _Config(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim")),
        *((name, ctypes.c_int32) for name in ("vocab", "threads", "cache_kind")),
        ("eps", ctypes.c_float),
    ]


class _Weight(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("kind", "outs", "tiles", "groups")),
        *((name, ctypes.c_void_p) for name in ("data", "scales", "bias")),
    ]


class _Span(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("first_row", "end", "count")]


def make_native_step(
    model: Qwen2, cache: KvCache, progress: Progress | None = None, note: Callable[[str], None] = lambda _reason: None
) -> NativeStep | None:
    """The native step for this model; None where it cannot be compiled, does not read this model's form, or is slow.

    `note` is told why. On a card there is none, and nothing to note.
    """
    if model.embedding.device.type != "cpu":
        return None

    def without(reason: str) -> None:
        log.warning("No native step: %s", reason)
        note(f"steps run without the native step: {reason}")

    if reason := _why_not(model, cache):
        without(reason)
        return None
    path = build.build(progress, say=without)
    if path is None:
        return None
    try:
        step = NativeStep(path, model, cache, progress)
    except (OSError, AttributeError, EngineError) as error:
        without(str(error))
        return None
    if not _makes_sense(step, model, cache):
        reason = "what it computes is not what torch computes"
    elif "portable" in step.name and _slower(step, model, cache):
        reason = "on this processor it takes longer than PyTorch"
    if reason:
        without(reason)
        step.close()
        return None
    log.info("Steps of up to %d tokens: %s", MOST_TOKENS, step.name)
    return step


class NativeStep:
    """A whole step of up to MOST_TOKENS tokens in one call: see `Forward`.

    It reads the KV cache as it is, and has a copy of the weights in its own layout. Norms, softmax and residuals are
    float32; a product with a quantized weight rounds its inputs to 14 bits for each 32 of them, one in bfloat16 to
    bfloat16. Raises EngineError when there is no memory for the copy.
    """

    def __init__(self, library: Path, model: Qwen2, cache: KvCache, progress: Progress | None = None) -> None:
        self._handle: int | None = None
        self._native = _load(library)
        self._embedding, self._rope = model.embedding, model.rope  # not the model: its weights may be given up
        self._cache = cache
        config = model.config
        self._vocabulary = config.vocab_size
        self.nbytes = copy_bytes(model) or 0
        shape = _Config(
            config.layers,
            config.hidden_size,
            config.intermediate_size,
            config.heads,
            config.kv_heads,
            config.head_dim,
            config.vocab_size,
            torch.get_num_threads(),
            _CACHES[cache.layers[0].dtype],
            config.rms_norm_eps,
        )
        norms = [norm for layer in model.layers for norm in (layer.attention_norm, layer.mlp_norm)]
        floats = [norm.weight.detach().float().contiguous() for norm in (*norms, model.norm)]
        pointers = (ctypes.c_void_p * len(floats))(*(norm.data_ptr() for norm in floats))
        self._handle = self._native.coderls_native_create(ctypes.byref(shape), pointers)
        parts = [part.data_ptr() for part in (*cache.layers, *cache.scales)]
        self._caches = (ctypes.c_void_p * (2 * len(cache.layers)))(*parts)
        self.name = f"native ({self._native.coderls_native_vectors().decode()})"
        if not self._handle:
            raise EngineError("There is no memory for it.")
        report = progress or (lambda _detail, _fraction: None)
        for done, (weight, bias) in enumerate(_weights(model)):
            report("packing weights", done / (5 * config.layers + 1))
            if weight is None:
                raise EngineError("The weights are in a form that it does not read.")
            self._add(pack(weight), bias)

    def takes(self, batch: Batch) -> bool:
        """A decode or verify step, or a very short prompt."""
        return batch.ids.shape[1] <= MOST_TOKENS and batch.ids.device.type == "cpu"

    def __call__(self, batch: Batch) -> Tensor | None:
        """See `Forward`."""
        embedded = F.embedding(batch.tokens, self._embedding).float()
        cos, sin = self._rope.cos[batch.rope_rows], self._rope.sin[batch.rope_rows]
        spans = (_Span * len(batch.spans))(
            *(_Span(self._cache.offsets[span.slot], span.end, span.count) for span in batch.spans)
        )
        ends = accumulate(span.count for span in batch.spans)
        rows = [row for end, wanted in zip(ends, batch.wanted, strict=True) for row in range(end - wanted, end)]
        logits = torch.empty((len(rows), self._vocabulary), dtype=torch.float32)
        done = self._native.coderls_native_step(
            self._handle,
            len(embedded),
            embedded.data_ptr(),
            cos.data_ptr(),
            sin.data_ptr(),
            spans,
            len(spans),
            self._caches,
            (ctypes.c_int32 * len(rows))(*rows),
            len(rows),
            logits.data_ptr(),
        )
        if not done:
            raise MemoryError("the native step found no memory for a batch")
        return logits if rows else None

    def use_threads(self, count: int) -> None:
        """Run steps on `count` of its threads from now on; what comes out stays the same to the bit."""
        self._native.coderls_native_use_threads(self._handle, count)

    def close(self) -> None:
        """Give the copy of the weights and the threads back. Nothing can be run afterwards."""
        if self._handle:
            self._native.coderls_native_destroy(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.close()

    def _add(self, packed: Packed, bias: Tensor | None) -> None:
        tiles, groups, _ = packed.data.shape
        filled = None if bias is None else F.pad(bias.float(), (0, tiles * TILE - packed.outs)).contiguous()
        scales = None if packed.scales is None else packed.scales.data_ptr()
        weight = _Weight(
            packed.kind,
            packed.outs,
            tiles,
            groups,
            packed.data.data_ptr(),
            scales,
            None if filled is None else filled.data_ptr(),
        )
        if not self._native.coderls_native_add(self._handle, ctypes.byref(weight)):
            raise EngineError("There is no memory for its copy of the weights.")


def _why_not(model: Qwen2, cache: KvCache) -> str:
    """What of this model the native step cannot run; empty: nothing."""
    if cache.layers[0].dtype not in _CACHES or (cache.form is not None and cache.dtype != torch.bfloat16):
        return f"it reads no KV cache in {cache.name} of numbers in {cache.dtype}"
    if model.config.head_dim % 32:
        return f"a head has {model.config.head_dim} numbers, no multiple of 32"
    needed = copy_bytes(model)
    if needed is None:
        return "the weights are float32"
    free = free_bytes(model.embedding.device)
    if free is not None and needed > free // 4:  # KV is planned for, and not taken yet
        return f"its copy of the weights takes {needed / 2**30:.1f} GiB, where {free / 2**30:.1f} GiB are free"
    return ""


def copy_bytes(model: Qwen2) -> int | None:
    """Memory of its copy of the weights; None where it does not read their form."""
    middle = model.config.intermediate_size
    sizes: list[int | None] = [packed_bytes(model.head)]
    for layer in model.layers:
        sizes += [packed_bytes(linear) for linear in (layer.qkv, layer.attention_out, layer.mlp_out)]
        sizes += [packed_bytes(layer.gate_up, first, first + middle) for first in (0, middle)]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _makes_sense(step: NativeStep, model: Qwen2, cache: KvCache) -> bool:
    """Whether its logits are about those of torch, which may read the weights at full width: no measure of its error,
    but what a compiler made wrong shows. Overwrites the first positions of slot 0.

    Single tokens may lie far apart all the same: after tokens that never follow each other a model is undecided, and
    int8 weights tip it over. So most of them count, and they are taken from all over the vocabulary.
    """
    count = min(8, cache.lengths[0])
    ids = [(i + 1) * model.config.vocab_size // (count + 2) for i in range(count)]
    with torch.inference_mode():
        batch = make_batch([Work(0, 0, ids)], cache, model.rope, [len(ids)])
        expected, found = forward(model, batch, cache, SdpaAttention(cache)), step(batch)
    if expected is None or found is None:
        return False
    # Not `>`: where there are no numbers, nothing is smaller.
    alike = (found - expected).square().sum(-1) < 0.25 * expected.square().sum(-1)
    return bool(found.isfinite().all()) and int(alike.sum()) * 4 >= count * 3


def _slower(step: NativeStep, model: Qwen2, cache: KvCache) -> bool:
    """Whether a step of one token takes longer than in torch: the best of a few, in turns.

    Asked where it has no vectors of its own for the processor. Overwrites the first position of slot 0.
    """
    batch = make_batch([Work(0, 0, [0])], cache, model.rope, [1])
    attention = SdpaAttention(cache)
    times: dict[str, list[float]] = {"native": [], "torch": []}
    with torch.inference_mode():
        for _ in range(_TIMED):
            for name, run in (("native", step), ("torch", partial(forward, model, cache=cache, attention=attention))):
                began = time.perf_counter()
                run(batch)
                times[name].append(time.perf_counter() - began)
    return min(times["native"]) > min(times["torch"])


def _weights(model: Qwen2) -> Iterable[tuple[Weight | None, Tensor | None]]:
    """Weights and biases in the order in which the library takes them; None: a form that it does not read."""
    middle = model.config.intermediate_size
    for layer in model.layers:
        yield weight_of(layer.qkv), getattr(layer.qkv, "bias", None)
        yield weight_of(layer.attention_out), None
        both = weight_of(layer.gate_up)
        for first in (0, middle):
            yield None if both is None else rows_of(both, first, first + middle), None
        yield weight_of(layer.mlp_out), None
    yield weight_of(model.head), None


def _load(path: Path) -> ctypes.CDLL:
    native = ctypes.CDLL(str(path))
    pointer, number = ctypes.c_void_p, ctypes.c_int
    native.coderls_native_create.argtypes = [pointer, pointer]
    native.coderls_native_create.restype = pointer
    native.coderls_native_add.argtypes = [pointer, pointer]
    native.coderls_native_add.restype = number
    native.coderls_native_step.argtypes = [
        pointer, number, pointer, pointer, pointer, pointer, number, pointer, pointer, number, pointer,
    ]  # fmt: skip
    native.coderls_native_step.restype = number
    native.coderls_native_use_threads.argtypes = [pointer, number]
    native.coderls_native_use_threads.restype = None
    native.coderls_native_destroy.argtypes = [pointer]
    native.coderls_native_destroy.restype = None
    native.coderls_native_vectors.argtypes = []
    native.coderls_native_vectors.restype = ctypes.c_char_p
    return native
