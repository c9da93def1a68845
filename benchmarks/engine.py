"""Prefill and decode speed of the engine's model, beside transformers and llama.cpp, and the floor of this machine.

    python -m benchmarks.engine [MODEL] [--json FILE]
    python -m benchmarks.engine --llama-bench PATH --gguf FILE

Contenders take turns, round by round, each round after a wait for idle cores; medians are reported, and ratios
are medians of the ratios within a round. MODEL is a name or a directory; without it, the embedded model.
llama.cpp runs a GGUF of the same model that the user names: its quantisation is part of the row's name.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.machine import Machine, describe, memory_read_bandwidth, wait_for_idle
from coderls.engine.api import Sampling
from coderls.engine.model.config import ModelConfig, read_config
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import CoderlsError
from coderls.models.embedded import build_nano
from coderls.models.store import ModelDir, is_ready, resolve
from coderls.tokenizer import Tokenizer

GREEDY = SampleSpec(Sampling())


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one run: tokens per second of reading a prompt, and of writing after it."""

    prefill: float
    decode: float


class Contender(Protocol):
    """Reads a prompt and writes `new` tokens after it, greedily, with nothing cached."""

    name: str

    def measure(self, prompt: Sequence[int], new: int) -> Speed: ...


class Coderls:
    """Our runner, called as the engine's worker calls it."""

    def __init__(self, runner: TorchRunner) -> None:
        self.name = f"coderls, {runner.info.weights}" + (f" ({runner.info.ways[0]})" if runner.info.ways else "")
        self._runner = runner

    def measure(self, prompt: Sequence[int], new: int) -> Speed:
        """Whole prompt in one step, then token by token."""
        stamps = [time.perf_counter()]
        given, start = list(prompt), 0
        for _ in range(new):
            (result,) = self._runner.run([Work(0, start, given, (GREEDY,))])
            stamps.append(time.perf_counter())
            if not isinstance(result, tuple):
                raise result
            start, given = start + len(given), [result[0].token]
        return _speed(stamps, len(prompt))


class Transformers:
    """transformers' generate() with the same weights in the same dtype."""

    def __init__(self, path: Path, dtype: str, device: str) -> None:
        from transformers import Qwen2ForCausalLM  # noqa: PLC0415 - slow to import, not always wanted

        self.name = f"transformers generate, {dtype}"
        model: Any = Qwen2ForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        self._model = model.to(device).eval()
        self._model.generation_config.eos_token_id = None  # write all `new` tokens, as the others do

    def measure(self, prompt: Sequence[int], new: int) -> Speed:
        """One call; a stopping criterion that never stops notes when each token was there."""
        ids = torch.tensor([list(prompt)], device=self._model.device)
        stamps: list[float] = []

        def note(ids: torch.Tensor, _scores: object, **_rest: object) -> torch.Tensor:
            stamps.append(time.perf_counter())
            return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

        began = time.perf_counter()
        with torch.inference_mode():
            self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new,
                do_sample=False,
                pad_token_id=0,
                stopping_criteria=[note],
            )
        return _speed([began, *stamps], len(prompt))


class LlamaBench:
    """llama.cpp's own benchmark: prefill of a prompt of that length, and decode behind one."""

    def __init__(self, program: str, gguf: Path, threads: int) -> None:
        self.name = f"llama.cpp, {gguf.name}"
        self._command = [program, "-m", str(gguf), "-t", str(threads), "-r", "1", "-o", "json"]

    def measure(self, prompt: Sequence[int], new: int) -> Speed:
        """Raises CalledProcessError when the program fails; its own words are on stderr."""
        count = str(len(prompt))
        prefill = self._run("-p", count, "-n", "0")
        decode = self._run("-p", "0", "-n", str(new), "-d", count)
        return Speed(prefill, decode)

    def _run(self, *options: str) -> float:
        done = subprocess.run([*self._command, *options], check=True, capture_output=True, text=True, timeout=600)
        return float(json.loads(done.stdout)[0]["avg_ts"])


def _speed(stamps: Sequence[float], prompt_tokens: int) -> Speed:
    """`stamps`: the start, then one for each token written; the first of these comes out of the prefill."""
    steps = [later - earlier for earlier, later in pairwise(stamps[1:])]
    return Speed(prompt_tokens / (stamps[1] - stamps[0]), 1 / statistics.median(steps))


@dataclass(frozen=True, slots=True)
class Row:
    """A contender at one prompt length: medians, and medians of the ratio to the first contender of its round."""

    name: str
    prompt_tokens: int
    prefill: float
    decode: float
    prefill_ratio: float
    decode_ratio: float


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured. `floors`: decode tokens per second at the speed of memory, by prompt length."""

    machine: Machine
    command: str
    model: str
    rounds: int
    busy_rounds: int
    bandwidth: float
    weight_bytes: int
    floors: dict[int, float]
    rows: list[Row]
    left_out: list[str]

    def markdown(self) -> str:
        """The report as it goes into BENCHMARKS.md."""
        lines = [
            f"`{self.command}`: {self.model}, {self.rounds} rounds, contenders taking turns, medians.",
            f"{self.machine}.",
            f"Memory reads {self.bandwidth / 1e9:.1f} GB/s; a token reads {self.weight_bytes / 1e6:.0f} MB of weights.",
        ]
        if self.busy_rounds:
            lines.append(f"**Other programs used the cores in {self.busy_rounds} of the {self.rounds} rounds.**")
        lines += [f"Not measured: {reason}." for reason in self.left_out]
        lines += ["", "| prompt | contender | prefill tokens/s | × coderls | decode tokens/s | × coderls |"]
        lines += ["| ---: | --- | ---: | ---: | ---: | ---: |"]
        for length, floor in self.floors.items():
            for row in (row for row in self.rows if row.prompt_tokens == length):
                lines.append(
                    f"| {length} | {row.name} | {row.prefill:,.0f} | {row.prefill_ratio:.2f} "
                    f"| {row.decode:.1f} | {row.decode_ratio:.2f} |"
                )
            lines.append(f"| {length} | speed of memory | | | {floor:.1f} | |")
        return "\n".join(lines)


def run_rounds(
    contenders: Sequence[Contender], prompts: Sequence[Sequence[int]], rounds: int, new: int, idle_limit_s: float
) -> tuple[list[Row], int]:
    """Measure; the rows, and in how many rounds the cores were never idle before one of the runs."""
    found: dict[tuple[str, int], list[Speed]] = {}
    busy = 0
    for contender in contenders:
        contender.measure(prompts[0], 4)  # warm up
    for number in range(rounds):
        calm = True
        for prompt in prompts:
            for contender in contenders:
                calm = wait_for_idle(idle_limit_s) and calm
                found.setdefault((contender.name, len(prompt)), []).append(contender.measure(prompt, new))
        busy += not calm
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    first = contenders[0].name
    return [_row(name, length, found[name, length], found[first, length]) for name, length in found], busy


def _row(name: str, length: int, speeds: Sequence[Speed], first: Sequence[Speed]) -> Row:
    pairs = list(zip(speeds, first, strict=True))
    return Row(
        name=name,
        prompt_tokens=length,
        prefill=statistics.median(speed.prefill for speed in speeds),
        decode=statistics.median(speed.decode for speed in speeds),
        prefill_ratio=statistics.median(speed.prefill / base.prefill for speed, base in pairs),
        decode_ratio=statistics.median(speed.decode / base.decode for speed, base in pairs),
    )


def bytes_per_token(config: ModelConfig, itemsize: int) -> int:
    """Weights that one decode step reads: all but the embedding table, of which it reads a row (tied: the head)."""
    table = 0 if config.tied_head else config.vocab_size * config.hidden_size
    return (config.parameters - table) * itemsize


def _prompts(path: Path, lengths: Sequence[int]) -> list[list[int]]:
    """Source code of the standard library, in the model's own tokens."""
    text = Path(argparse.__file__).read_text(encoding="utf-8")
    ids = Tokenizer.from_file(path / "tokenizer.json").encode(text)
    if len(ids) < max(lengths):
        raise SystemExit(f"There is text for {len(ids)} tokens only; ask for shorter prompts.")
    return [ids[:length] for length in lengths]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?", default="nano", help="a model's name or directory (default: nano)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, nargs="+", default=[128, 512, 1024], metavar="TOKENS")
    parser.add_argument("--new", type=int, default=64, metavar="TOKENS", help="tokens to write after each prompt")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument(
        "--weights", nargs="+", default=["bfloat16", "int8", "int4"], metavar="FORM", help="forms of coderls' weights"
    )
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--idle-limit", type=float, default=30, metavar="S", help="longest wait for idle cores")
    parser.add_argument("--llama-bench", metavar="PATH", default=shutil.which("llama-bench"))
    parser.add_argument("--gguf", type=Path, metavar="FILE", help="the same model for llama.cpp")
    return parser.parse_args(argv)


def _runners(options: argparse.Namespace, model: ModelDir) -> list[TorchRunner]:
    """One for each form of the weights; where native code runs its steps, one without and one with it."""
    found: list[TorchRunner] = []
    for weights in options.weights:
        for native in ("off", "auto"):
            runner = load_runner(
                model.path,
                name=model.name,
                device=options.device,
                dtype=options.dtype,
                weights=weights,
                native=native,
                threads=options.threads,
                context_length=max(options.prompts) + options.new,
            )
            if native == "off" or runner.info.ways != found[-1].info.ways:
                found.append(runner)
            else:
                runner.close()
    return found


def _measure(options: argparse.Namespace) -> Report:
    model = resolve(options.model)
    if options.model == "nano" and not is_ready(model):
        model = build_nano(lambda step, _fraction: print(step, file=sys.stderr))
    runners = _runners(options, model)
    info = runners[0].info
    contenders: list[Contender] = [*map(Coderls, runners), Transformers(model.path, info.dtype, info.device)]
    left_out = []
    if options.llama_bench and options.gguf:
        contenders.append(LlamaBench(options.llama_bench, options.gguf, torch.get_num_threads()))
    else:
        left_out.append("llama.cpp (give --llama-bench and --gguf)")
    config = read_config(model.path)
    weights = bytes_per_token(config, getattr(torch, info.dtype).itemsize)
    if info.device.startswith("cuda"):
        left_out.append("the floor of a graphics card's memory (the figure here is that of the processor's)")
    wait_for_idle(options.idle_limit)
    bandwidth = memory_read_bandwidth()
    rows, busy = run_rounds(
        contenders, _prompts(model.path, options.prompts), options.rounds, options.new, options.idle_limit
    )
    gpu = torch.cuda.get_device_name() if info.device.startswith("cuda") else ""
    return Report(
        machine=describe(("coderls", "torch", "transformers"), gpu),
        command=" ".join(["python -m benchmarks.engine", *sys.argv[1:]]),
        model=f"{model.name} ({info.device}, {info.dtype}, {torch.get_num_threads()} threads)",
        rounds=options.rounds,
        busy_rounds=busy,
        bandwidth=bandwidth,
        weight_bytes=weights,
        floors={length: bandwidth / (weights + info.kv_bytes_per_token * length) for length in options.prompts},
        rows=rows,
        left_out=left_out,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _arguments(argv)
    try:
        report = _measure(options)
    except CoderlsError as error:
        print(error, file=sys.stderr)
        return 1
    print(report.markdown())
    if options.json:
        whole: dict[str, Any] = asdict(report)
        options.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
