"""What int8 and int4 weights, and a KV cache in 8 bits, change: perplexity and logits on real code, against bfloat16.

    python -m benchmarks.quantization [MODEL] [--of weights kv] [--json FILE]

Windows of httpx's own sources: a prompt is read, and the tokens after it are scored, four at a time, so that they go
through the quantized products as generated tokens do. "beside" reads the prompt through bfloat16 weights, as the engine
does where memory has room; "alone" holds no other weights. The row of float32 shows what bfloat16 itself changes.
Rows of KV have the weights of the reference, and read the whole prompt from the quantized cache.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import Machine, describe
from coderls.engine.model.config import read_config
from coderls.engine.model.forms import PLAIN, WeightForm
from coderls.engine.model.kv_form import FORMS, KvForm, kv_bytes_per_token
from coderls.engine.model.linear import FEW_ROWS
from coderls.engine.model.quantized_file import obtain
from coderls.engine.model.torch_runner import TorchRunner
from coderls.engine.model.weights import load_qwen2
from coderls.engine.runner import Work
from coderls.errors import CoderlsError
from coderls.models.embedded import build_nano
from coderls.models.store import is_ready, resolve
from coderls.tokenizer import Tokenizer
from devtools.sdists import HTTPX, NotFetched, project


@dataclass(frozen=True, slots=True)
class Contender:
    """A form of the model: dtype, weights and KV cache."""

    name: str
    dtype: torch.dtype = torch.bfloat16
    form: WeightForm = PLAIN
    kv_form: KvForm | None = None


REFERENCE = Contender("bfloat16")


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one form to the reference, over all scored tokens. `kl` in nats: of the reference's distribution from this."""

    name: str
    megabytes: float
    perplexity: float
    kl_mean: float
    kl_p99: float
    kl_max: float
    logit_rms: float
    logit_max: float
    top1: float


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured."""

    machine: Machine
    command: str
    model: str
    windows: int
    tokens: int
    perplexity: float
    megabytes: float
    rows: list[Difference]

    def markdown(self) -> str:
        """The report as it goes into BENCHMARKS.md."""
        lines = [
            f"`{self.command}`: {self.model}, {self.tokens:,} tokens in {self.windows} windows of httpx.",
            f"{self.machine}.",
            "",
            "| form | MB a token | perplexity | KL mean | p99 | max | logits off, RMS | at most | same choice |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            f"| bfloat16 | {self.megabytes:.0f} | {self.perplexity:.3f} | | | | | | |",
        ]
        lines += [
            f"| {row.name} | {row.megabytes:.0f} | {row.perplexity:.3f} ({row.perplexity / self.perplexity - 1:+.2%}) "
            f"| {row.kl_mean:.5f} | {row.kl_p99:.4f} | {row.kl_max:.3f} | {row.logit_rms:.3f} | {row.logit_max:.2f} "
            f"| {row.top1:.2%} |"
            for row in self.rows
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens of a file: the first `prompt` of them are read, the others are scored."""

    tokens: tuple[int, ...]
    prompt: int


def windows_of(
    files: Sequence[Path], tokenizer: Tokenizer, *, count: int, prompt: int, scored: int, seed: int
) -> list[Window]:
    """`count` windows at places drawn by `seed`, none of which overlap. Raises ValueError where there is less text."""
    size = prompt + scored
    places: list[tuple[int, ...]] = []
    for file in files:
        ids = tokenizer.encode(file.read_text(encoding="utf-8"))
        places += [tuple(ids[at : at + size]) for at in range(0, len(ids) - size + 1, size)]
    if len(places) < count:
        raise ValueError(f"There is text for {len(places)} windows of {size} tokens only.")
    return [Window(tokens, prompt) for tokens in random.Random(seed).sample(places, count)]


def predictions(runner: TorchRunner, window: Window) -> Tensor:
    """Logits of every scored token, from those before it: float32 [scored, vocab]."""
    # The last token of the prompt predicts the first that is scored.
    tokens, start = list(window.tokens[:-1]), window.prompt - 1
    if start:
        runner.logits(Work(0, 0, tokens[:start], ()))
    steps = [runner.logits(Work(0, at, tokens[at : at + FEW_ROWS], ())) for at in range(start, len(tokens), FEW_ROWS)]
    return torch.cat(steps)


def loss(logits: Tensor, window: Window) -> Tensor:
    """Negative log-likelihood of each scored token, in nats."""
    return torch.nn.functional.cross_entropy(logits, torch.tensor(window.tokens[window.prompt :]), reduction="none")


class Tally:
    """Adds up the differences of one form to the reference."""

    def __init__(self, name: str, megabytes: float) -> None:
        self.name = name
        self.megabytes = megabytes
        self._losses: list[Tensor] = []
        self._kl: list[Tensor] = []
        self._squares: list[Tensor] = []
        self._worst: list[float] = []
        self._same: list[Tensor] = []

    def add(self, ours: Tensor, reference: Tensor, window: Window) -> None:
        """Both float32 [scored, vocab]."""
        self._losses.append(loss(ours, window))
        expected = reference.log_softmax(-1)
        self._kl.append((expected.exp() * (expected - ours.log_softmax(-1))).sum(-1))
        off = ours - reference
        # A shift of all logits of a token changes nothing: it is taken out.
        off -= off.mean(-1, keepdim=True)
        self._squares.append(off.square().mean(-1))
        self._worst.append(off.abs().max().item())
        self._same.append((ours.argmax(-1) == reference.argmax(-1)).float())

    def difference(self) -> Difference:
        """The sums as means."""
        kl = torch.cat(self._kl)
        return Difference(
            name=self.name,
            megabytes=self.megabytes,
            perplexity=math.exp(torch.cat(self._losses).mean().item()),
            kl_mean=kl.mean().item(),
            kl_p99=kl.quantile(0.99).item(),
            kl_max=kl.max().item(),
            logit_rms=torch.cat(self._squares).mean().sqrt().item(),
            logit_max=max(self._worst),
            top1=torch.cat(self._same).mean().item(),
        )


def load(folder: Path, contender: Contender, context: int) -> tuple[TorchRunner, float]:
    """A runner on the CPU, without native code, and the megabytes that one generated token reads: of weights, and
    where the cache is quantized of KV at the longest context.
    """
    config, cpu = read_config(folder), torch.device("cpu")
    dtype, form = contender.dtype, contender.form
    narrow = None if form == PLAIN else obtain(folder, config, form, _say)
    model = load_qwen2(folder, config, device=cpu, dtype=dtype, context_length=context, narrow=narrow)
    table = 0 if config.tied_head else config.vocab_size * config.hidden_size
    size = (config.parameters - table) * dtype.itemsize / 1e6
    if narrow is not None:
        size = sum(narrow.weight(name, cpu).nbytes for name in _products(config.layers)) / 1e6
    if contender.kv_form is not None:
        size += context * kv_bytes_per_token(config, dtype.itemsize, contender.kv_form) / 1e6
    return TorchRunner(model, contender.name, (context,), dtype, kv_form=contender.kv_form), size


def _products(layers: int) -> Iterator[str]:
    for layer in range(layers):
        yield from (f"layers.{layer}.{product}" for product in ("qkv", "attention_out", "gate_up", "mlp_out"))
    yield "head"


def contenders(groups: Sequence[int], of: Sequence[str] = ("weights", "kv")) -> list[Contender]:
    """All that is compared with the reference: forms `of` weights, of the KV cache, or of both."""
    found = [Contender("float32", torch.float32)]
    forms = [WeightForm(8), *(WeightForm(4, group) for group in groups)] if "weights" in of else []
    for form in forms:
        name = f"int4 in groups of {form.group}" if form.bits == 4 else form.name
        found.append(Contender(f"{name}, beside", form=form))
        found.append(Contender(f"{name}, alone", form=WeightForm(form.bits, form.group, wide=False)))
    if "kv" in of:
        found += [Contender(f"KV in {kv_form.name}", kv_form=kv_form) for kv_form in FORMS.values()]
    return found


def measure(folder: Path, name: str, windows: Sequence[Window], chosen: Sequence[Contender]) -> Report:
    """Every one of `chosen` on every window. One model is in memory at a time, and nothing is kept on disk."""
    context = len(windows[0].tokens)
    runner, megabytes = load(folder, REFERENCE, context)
    expected = [predictions(runner, window).half() for window in windows]  # half the memory; errs by 2^-11 of a logit
    runner.close()
    losses = torch.cat([loss(logits.float(), window) for logits, window in zip(expected, windows, strict=True)])
    rows = []
    for contender in chosen:
        runner, size = load(folder, contender, context)
        tally = Tally(contender.name, size)
        for window, reference in zip(windows, expected, strict=True):
            tally.add(predictions(runner, window), reference.float(), window)
        runner.close()
        rows.append(tally.difference())
        print(rows[-1], file=sys.stderr)
    return Report(
        machine=describe(("coderls", "torch")),
        command=" ".join(["python -m benchmarks.quantization", *sys.argv[1:]]),
        model=f"{name}, prompts of {windows[0].prompt} tokens",
        windows=len(windows),
        tokens=losses.numel(),
        perplexity=math.exp(losses.mean().item()),
        megabytes=megabytes,
        rows=rows,
    )


def _say(step: str, fraction: float) -> None:
    if fraction in {0.0, 1.0}:
        print(step, file=sys.stderr)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?", default="nano", help="a model's name or directory (default: nano)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=256, metavar="TOKENS", help="tokens read before those scored")
    parser.add_argument("--scored", type=int, default=128, metavar="TOKENS", help="tokens scored in each window")
    parser.add_argument("--groups", type=int, nargs="+", default=[32], help="group sizes of int4")
    parser.add_argument("--of", nargs="+", default=["weights", "kv"], choices=["weights", "kv"], help="whose forms")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _arguments(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        model = resolve(options.model)
        if options.model == "nano" and not is_ready(model):
            model = build_nano(_say)
        files = sorted((project(HTTPX) / "httpx").rglob("*.py"))
        tokenizer = Tokenizer.from_file(model.path / "tokenizer.json")
        windows = windows_of(
            files, tokenizer, count=options.windows, prompt=options.prompt, scored=options.scored, seed=options.seed
        )
        report = measure(model.path, model.name, windows, contenders(options.groups, options.of))
    except (CoderlsError, NotFetched, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report.markdown())
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
