"""The parts of `benchmarks.gpu`, each run in a process of its own: one that breaks the card breaks no other."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.gpu_measure import Ceiling, Measures, ceiling, measure
from benchmarks.gpu_model import random_qwen2, shape_of
from benchmarks.machine import describe
from coderls.engine.model.config import ModelConfig
from coderls.engine.model.device import choose_device, choose_dtypes
from coderls.engine.model.kv_form import choose_kv_form
from coderls.engine.model.memory import free_bytes, graph_bytes, plan_memory
from coderls.engine.model.torch_runner import TorchRunner
from coderls.engine.model.weights import expected_shapes

BITS = {"bfloat16": 16, "int8": 8, "int4": 4}

#: Keeps what was found so far.
Note = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all parts have in common."""

    contexts: tuple[int, ...]
    repeats: int
    device: str
    dtype: str

    @property
    def where(self) -> tuple[torch.device, torch.dtype]:
        """The device and the numbers."""
        device = choose_device(self.device)
        return device, choose_dtypes(self.dtype, device)[0]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to measure. `kind`: "ceiling", "ours", "transformers" or "start"; `form` of the weights, or of
    transformers' cache.
    """

    kind: str
    size: str
    form: str = ""
    kv_cache: str = "auto"

    @property
    def name(self) -> str:
        """As progress and the report show it."""
        if self.kind == "ceiling":
            return "what the device can do"
        if self.kind == "start":
            return f"start of a process to a ready {self.size}"
        if self.kind == "transformers":
            return f"transformers generate, {self.size}, {self.form} cache"
        return f"{self.size}, {self.form}" + ("" if self.kv_cache == "auto" else f", KV in {self.kv_cache}")

    def run(self, conditions: Conditions, top: Ceiling | None, note: Note) -> None:
        """Measure, and `note` after each step. Raises what it fails by."""
        device, dtype = conditions.where
        small = self.size == "tiny"
        if self.kind == "ceiling":
            card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
            machine = describe(("coderls", "torch", "triton", "transformers", "flash-attn", "fa3-fwd"), card)
            where = {"machine": str(machine), "device": card or str(device), "dtype": str(dtype).removeprefix("torch.")}
            note({"where": where, "ceiling": asdict(ceiling(device, dtype, small=small))})
        elif self.kind == "ours":
            if top is None:
                raise ValueError("the ceilings of the device are not known")
            measure_form(self, conditions, top, note)
        elif self.kind == "transformers":
            context, new = (32, 8) if small else (4096, 64)
            config = shape_of(self.size)
            ms = transformers_decode(config, self.form, device=device, dtype=dtype, context=context, new=new)
            note({"transformers_ms": ms})
        else:
            note({"start_s": start_seconds(self.size, conditions)})


def measure_form(part: Part, conditions: Conditions, top: Ceiling, note: Note) -> None:
    """Make the model, plan its memory as the engine does, record its steps, and measure."""
    device, dtype = conditions.where
    config, kv_form = shape_of(part.size), choose_kv_form(part.kv_cache, device)
    contexts = [context for context in conditions.contexts if context <= config.context_length]
    free, began = free_bytes(device), time.perf_counter()
    model = random_qwen2(config, BITS[part.form], context_length=contexts[-1], device=device, dtype=dtype)
    plan = plan_memory(
        config,
        device,
        dtype.itemsize,
        weights=model.weight_bytes,
        wanted=contexts[-1],
        graphs=graph_bytes(config),
        free=free,
        kv_form=kv_form,
    )
    runner = TorchRunner(model, part.size, plan.slots, dtype, kv_form=kv_form)
    runner.record_steps()
    runner.describe(plan.parts())
    info = runner.info
    found = Measures(
        size=part.size,
        form=f"{part.form}, KV in {kv_form.name}" if kv_form else part.form,
        attention=info.attention,
        ways=info.ways,
        notes=info.notes,
        load_s=time.perf_counter() - began,
        weight_bytes=model.weight_bytes,
        memory_bytes=0,
    )

    def keep() -> None:
        note({"measures": asdict(found)})

    measure(found, runner, model, top=top, contexts=contexts, repeats=conditions.repeats, keep=keep)
    left = free_bytes(device)
    if device.type == "cuda" and free is not None and left is not None:  # elsewhere others take and give meanwhile
        found.memory_bytes = free - left
    keep()
    runner.close()


def transformers_decode(
    config: ModelConfig, cache: str, *, device: torch.device, dtype: torch.dtype, context: int, new: int
) -> float:
    """Milliseconds per token of transformers' generate with SDPA. It compiles a "static" `cache` where it can."""
    from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: PLC0415 - slow to import, not always wanted

    make: Any = Qwen2Config
    theirs = make(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=max(config.plain_context, context + new),
        tie_word_embeddings=config.tied_head,
        eos_token_id=None,
        bos_token_id=None,
        attn_implementation="sdpa",
    )
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        with device:
            model: Any = Qwen2ForCausalLM(theirs)
    finally:
        torch.set_default_dtype(before)
    model.eval()
    ids = torch.arange(context, device=device).remainder_(config.vocab_size)[None]
    stamps: list[float] = []

    def note(found: torch.Tensor, _scores: object, **_rest: object) -> torch.Tensor:
        if found.device.type == "cuda":
            torch.cuda.synchronize()
        stamps.append(time.perf_counter())
        return torch.zeros(found.shape[0], dtype=torch.bool, device=found.device)

    with torch.inference_mode():
        for _ in range(2):  # the first compiles
            stamps.clear()
            model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new,
                do_sample=False,
                pad_token_id=0,
                cache_implementation=cache,
                stopping_criteria=[note],
            )
    return 1000 * median(later - earlier for earlier, later in pairwise(stamps))


def start_seconds(size: str, conditions: Conditions) -> float:
    """From the start of a process to a model that is ready, its checkpoint on disk and in the system's cache."""
    config = shape_of(size)
    with tempfile.TemporaryDirectory() as folder:
        weights = {name: torch.randn(shape) * 0.02 for name, shape in expected_shapes(config).items()}
        save_file({name: weight.bfloat16() for name, weight in weights.items()}, Path(folder) / "model.safetensors")
        values = {
            "architectures": ["Qwen2ForCausalLM"],
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.kv_heads,
            "vocab_size": config.vocab_size,
            "tie_word_embeddings": config.tied_head,
            "max_position_embeddings": config.plain_context,
            "rope_theta": config.rope_theta,
            "rms_norm_eps": config.rms_norm_eps,
        }
        (Path(folder) / "config.json").write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.gpu", "--load", folder]
        command += ["--device", conditions.device, "--dtype", conditions.dtype]
        began = time.perf_counter()
        subprocess.run(command, check=True, timeout=900)
        return time.perf_counter() - began
