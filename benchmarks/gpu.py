"""The engine on a graphics card, in true shapes of the family with random weights; `benchmarks/gpu.sh` does it all.

    python -m benchmarks.gpu [--sizes 0.5B 1.5B 7B 14B] [--forms bfloat16 int8 int4] [--json FILE] [--markdown FILE]
    python -m benchmarks.gpu --sizes tiny --contexts 64 256 --device cpu     # the same at small size, without a card

The ceilings of the device (copy, product) and transformers' generate are measured in the same run. The floor of a
decoding step is the time in which the device copies as many bytes as the step has to read; that of a prefill the time
of as many operations in one large product.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.gpu_measure import Ceiling, Measures, ceiling, measure
from benchmarks.gpu_model import random_qwen2, shape_of
from benchmarks.machine import Machine, describe
from coderls.engine.model.config import ModelConfig
from coderls.engine.model.device import choose_device, choose_dtypes
from coderls.engine.model.kv_form import choose_kv_form
from coderls.engine.model.memory import free_bytes, graph_bytes, plan_memory
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.model.weights import expected_shapes
from coderls.errors import CoderlsError

BITS = {"bfloat16": 16, "int8": 8, "int4": 4}
CONTEXTS = (512, 4096, 32_768, 131_072)


@dataclass(slots=True)
class Report:
    """All that was measured. `transformers`: ms per token of its generate, by size and kind of cache."""

    machine: Machine
    command: str
    device: str
    dtype: str
    ceiling: Ceiling
    measures: list[Measures] = field(default_factory=list)
    transformers: dict[str, dict[str, float]] = field(default_factory=dict)
    start_s: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def measure_form(size: str, form: str, options: argparse.Namespace, top: Ceiling, kv_cache: str = "auto") -> Measures:
    """Make the model, plan its memory as the engine does, record its steps, and measure."""
    device, dtype = choose_device(options.device), choose_dtypes(options.dtype, choose_device(options.device))[0]
    config, kv_form = shape_of(size), choose_kv_form(kv_cache, device)
    contexts = [context for context in options.contexts if context <= config.context_length]
    free, began = free_bytes(device), time.perf_counter()
    model = random_qwen2(config, BITS[form], context_length=contexts[-1], device=device, dtype=dtype)
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
    runner = TorchRunner(model, size, plan.slots, dtype, kv_form=kv_form)
    runner.record_steps()
    runner.describe(plan.parts())
    info = runner.info
    found = Measures(
        size=size,
        form=f"{form}, KV in {kv_form.name}" if kv_form else form,
        attention=info.attention,
        ways=info.ways,
        load_s=time.perf_counter() - began,
        weight_bytes=model.weight_bytes,
        memory_bytes=0,
    )
    try:
        measure(found, runner, model, top=top, contexts=contexts, repeats=options.repeats)
        left = free_bytes(device)
        if device.type == "cuda" and free is not None and left is not None:  # elsewhere others take and give meanwhile
            found.memory_bytes = free - left
    finally:
        runner.close()
        del model
        gc.collect()
    return found


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


def start_seconds(size: str, device: str, dtype: str) -> float:
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
        command = [sys.executable, "-m", "benchmarks.gpu", "--load", folder, "--device", device, "--dtype", dtype]
        began = time.perf_counter()
        subprocess.run(command, check=True, timeout=900)
        return time.perf_counter() - began


def markdown(report: Report) -> str:
    """The report as it goes into BENCHMARKS.md."""
    top = report.ceiling
    lines = [
        f"`{report.command}` on {report.device}, {report.dtype}. {report.machine}.",
        f"The device copies {top.copy_bytes_per_s / 1e9:,.0f} GB/s (read and written) and multiplies at "
        f"{top.operations_per_s / 1e12:,.1f} TFLOP/s. Random weights; times are medians; shares are of these ceilings.",
        "",
    ]
    for m in report.measures:
        lines += [
            f"### {m.size}, {m.form}",
            "",
            f"Attention: {m.attention}. Steps by: {', '.join(m.ways)}. Weights {m.weight_bytes / 1e9:.2f} GB"
            + (f", {m.memory_bytes / 1e9:.1f} GB taken in all" if m.memory_bytes else "")
            + f", ready after {m.load_s:.1f} s.",
            "",
            "| context | prefill ms | of the floor | decode ms a token | of the floor |",
            "| ---: | ---: | ---: | ---: | ---: |",
        ]
        for context in m.decode_ms or m.prefill_ms:
            cells = (
                _cell(m.prefill_ms, context, ",.1f"),
                _cell(m.prefill_share, context, ".0%"),
                _cell(m.decode_ms, context, ".2f"),
                _cell(m.decode_share, context, ".0%"),
            )
            lines.append(f"| {context:,} | " + " | ".join(cells) + " |")
        first, far = (
            ", ".join(f"{new} new {ms:.1f}" for new, ms in found.items())
            for found in (m.first_token_ms, m.first_token_far_ms)
        )
        verify = ", ".join(f"{count} tokens {ratio:.2f}" for count, ratio in m.verify_ratio.items())
        batch = ", ".join(f"{count}: {ms:.2f}" for count, ms in m.batch_ms.items())
        cancel = "not measured" if m.cancel_ms is None else f"{m.cancel_ms:.1f} ms at most"
        lines += [
            "",
            f"First token on a warm cache, ms: {first}; at the end of the longest context: {far}. "
            f"Verify over decode of one: {verify}. "
            f"A step of several sequences, ms: {batch}. Cancel to idle: {cancel}.",
            *[f"Failed: {reason}." for reason in m.failed],
            "",
        ]
    for size, found in report.transformers.items():
        each = ", ".join(f"{cache} cache {ms:.2f}" for cache, ms in found.items())
        lines.append(f"transformers generate (SDPA), {size}, ms a token: {each}.")
    lines += [f"Start of a process to a ready {size}: {seconds:.1f} s." for size, seconds in report.start_s.items()]
    lines += [f"Failed: {reason}." for reason in report.failed]
    return "\n".join(lines)


def _cell(values: dict[int, float], key: int, form: str) -> str:
    return format(values[key], form) if key in values else ""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--sizes", nargs="+", default=["0.5B", "1.5B", "7B", "14B"], help="sizes of the family, or tiny"
    )
    parser.add_argument("--forms", nargs="+", default=list(BITS), choices=list(BITS))
    parser.add_argument(
        "--kv-caches", nargs="*", default=["int8", "fp8"], help="forms of the KV cache, each with the first of --forms"
    )
    parser.add_argument("--contexts", type=int, nargs="+", default=list(CONTEXTS), metavar="TOKENS")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--no-transformers", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument(
        "--load", type=Path, metavar="DIR", help="only load this model and leave (for the start-up time)"
    )
    return parser.parse_args(argv)


def _measure(options: argparse.Namespace) -> Report:
    device = choose_device(options.device)
    dtype = choose_dtypes(options.dtype, device)[0]
    small = options.sizes == ["tiny"]
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    report = Report(
        machine=describe(("coderls", "torch", "triton", "transformers", "flash-attn", "fa3-fwd"), card),
        command=" ".join(["python -m benchmarks.gpu", *sys.argv[1:]]),
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        ceiling=ceiling(device, dtype, small=small),
    )

    def attempt(what: str, run: Callable[[], None]) -> None:
        print(what, file=sys.stderr, flush=True)
        try:
            run()
        except (CoderlsError, RuntimeError, ValueError, OSError, ImportError, subprocess.SubprocessError) as error:
            report.failed.append(f"{what}: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        if options.json:  # after each, so that a machine that goes away takes little with it
            options.json.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")

    def theirs(size: str, cache: str) -> None:
        context, new = (32, 8) if small else (4096, 64)
        ms = transformers_decode(shape_of(size), cache, device=device, dtype=dtype, context=context, new=new)
        report.transformers.setdefault(size, {})[cache] = ms

    def ours(size: str, form: str, kv_cache: str = "auto") -> None:
        report.measures.append(measure_form(size, form, options, report.ceiling, kv_cache))

    def start(size: str) -> None:
        report.start_s[size] = start_seconds(size, options.device, options.dtype)

    for size in options.sizes:
        for form in options.forms:
            attempt(f"{size}, {form}", lambda size=size, form=form: ours(size, form))  # type: ignore[misc]
        for kv in options.kv_caches:
            attempt(f"{size}, KV in {kv}", lambda size=size, kv=kv: ours(size, options.forms[0], kv))  # type: ignore[misc]
        if not options.no_transformers:
            for cache in ("dynamic", "static"):
                attempt(f"{size}, transformers, {cache} cache", lambda size=size, cache=cache: theirs(size, cache))  # type: ignore[misc]
                gc.collect()
                if device.type == "cuda":
                    torch.cuda.empty_cache()
    attempt("start of a process", lambda: start(options.sizes[0]))
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    options = _arguments(argv)
    try:
        if options.load:
            load_runner(options.load, name="start", device=options.device, dtype=options.dtype).close()
            return 0
        report = _measure(options)
    except CoderlsError as error:
        print(error, file=sys.stderr)
        return 1
    text = markdown(report)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
