"""Trains the embedded model: on a CPU a low-rank delta, on a GPU all weights. One command each.

    python -m training.train EXAMPLES OUT --model DIR --steps 400                        # CPU: LoRA, bfloat16
    python -m training.train EXAMPLES OUT --model DIR --steps 9000 --full --device cuda --batch 64 --rows 16 --rate 4e-4

DIR is a built model without a delta (`python -m training.base DIR` makes it); `--start DELTA` begins from a delta. OUT
gets `log.jsonl` (`python -m training.plot`), `state/` (everything to go on from, in pieces of 60 MB) and, of each saved
step, `step-N/` or `delta-N.safetensors` to choose from by `benchmarks.fim_quality`. The same command goes on where it
was stopped, bit for bit as if it never had been. The rate rises over `--warmup` steps, stays, and falls over the last
fifth of `--steps`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from coderls.errors import CoderlsError
from training import checkpoint, delta, network, weights
from training.network import LowRank, Network
from training.shards import Shards

#: Marks and the end token. With the suffix first nothing tells a prompt's text from its middle: were the end token in
#: the likelihood of text, each line of text would teach that there is none. (It was once: the model then stopped by
#: itself less often than before.)
CONTROL = LowRank().rows
STATE = "state"
LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. `batch`: examples of a step; `rows`: of these at once in memory. `text`: weight of the text's loss.

    `text_share`: the share of a prompt's tokens that this loss is taken on, spread evenly.
    """

    steps: int
    batch: int = 4
    rows: int = 1
    rate: float = 3e-4
    warmup: int = 12
    fall: float = 0.2
    text: float = 0.3
    text_share: float = 0.3
    decay: float = 0.0
    full: bool = False

    def rate_at(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1.0, self.fall * self.steps)
        return self.rate * rising * max(0.05, min(1.0, left))


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums of negative log-likelihoods (nats) and how many tokens they are of."""

    middle: float = 0.0
    middle_tokens: int = 0
    text: float = 0.0
    text_tokens: int = 0
    tokens: int = 0

    def __add__(self, other: Losses) -> Losses:
        return Losses(*(a + b for a, b in zip(self._all(), other._all(), strict=True)))  # type: ignore[arg-type]

    def _all(self) -> tuple[float, ...]:
        return (self.middle, self.middle_tokens, self.text, self.text_tokens, self.tokens)


class Trainer:
    """A network, its optimizer, and how far they are."""

    def __init__(self, net: Network, shards: Shards, plan: Plan) -> None:
        self.net, self.shards, self.plan = net, shards, plan
        self.optimizer = torch.optim.AdamW(
            list(net.trained().values()), lr=plan.rate, betas=(0.9, 0.95), weight_decay=plan.decay
        )
        self.step = 0

    def advance(self) -> Losses:
        """One step. What it learns from depends on its number alone."""
        plan = self.plan
        first = self.step * plan.batch
        numbers = sorted(range(first, first + plan.batch), key=lambda number: len(self.shards.example(number)[0]))
        groups = [numbers[start : start + plan.rows] for start in range(0, len(numbers), plan.rows)]
        examples = [[self.shards.example(number) for number in group] for group in groups]
        middle_tokens = sum(len(ids) - middle for group in examples for ids, middle in group)
        done = Losses()
        for group in examples:
            middle, text, counted = losses(self.net, group, plan.text_share if plan.text else 0.0, self.step)
            share = len(group) / plan.batch
            loss = middle / middle_tokens + plan.text * share * text / max(1, counted.text_tokens)
            loss.backward()  # type: ignore[no-untyped-call]
            done = done + counted
        torch.nn.utils.clip_grad_norm_(self.net.trained().values(), 1.0)
        for settings in self.optimizer.param_groups:
            settings["lr"] = plan.rate_at(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return done

    def save(self, folder: Path) -> None:
        """Everything to go on from."""
        names = list(self.net.trained())
        tensors: dict[str, Tensor] = dict(self.net.trained())
        for name, value in zip(names, self.net.trained().values(), strict=True):
            for part in ("exp_avg", "exp_avg_sq"):
                if value in self.optimizer.state:
                    tensors[f"{part}:{name}"] = self.optimizer.state[value][part]
        checkpoint.save(folder, tensors, {"step": self.step, "plan": asdict(self.plan)})

    def restore(self, folder: Path) -> None:
        """Go on from `save`. Raises CoderlsError for a checkpoint of another network."""
        tensors, facts = checkpoint.load(folder)
        self.step = int(facts["step"])
        for name, value in self.net.trained().items():
            if name not in tensors or tensors[name].shape != value.shape:
                raise CoderlsError(f"{folder} is a checkpoint of another network ({name}).", "Name another folder.")
            with torch.no_grad():
                value.copy_(tensors[name])
            if f"exp_avg:{name}" in tensors:
                self.optimizer.state[value] = {
                    "step": torch.tensor(float(self.step)),
                    "exp_avg": tensors[f"exp_avg:{name}"].to(value.device),
                    "exp_avg_sq": tensors[f"exp_avg_sq:{name}"].to(value.device),
                }


def losses(
    net: Network, group: Sequence[tuple[npt.NDArray[np.int64], int]], text_share: float, turn: int
) -> tuple[Tensor, Tensor, Losses]:
    """Summed losses on middles and on text of examples (ids, place of the middle), padded to one length."""
    device = net.embedding.device
    parts = [part for part, _ in group]
    ids = padded(parts)
    length = ids.shape[1]
    middle_places: list[int] = []
    text_places: list[int] = []
    every = max(1, round(1 / text_share)) if text_share else 0
    for row, (part, (_, first)) in enumerate(zip(parts, group, strict=True)):
        middle_places += range(row * length + first - 1, row * length + len(part) - 1)
        if every:
            text_places += range(row * length + turn % every, row * length + first - 1, every)
    flat = ids.reshape(-1)
    hidden = net.hidden(ids.to(device)).reshape(len(flat), -1)
    nothing = hidden.new_zeros((), dtype=torch.float32)

    def summed(places: Tensor, without: Sequence[int] = ()) -> Tensor:
        if not len(places):
            return nothing
        return network.loss_of(net, hidden, places.to(device), flat[places + 1].to(device), without)

    of_middle, of_text = (torch.tensor(places, dtype=torch.int64) for places in (middle_places, text_places))
    of_text = of_text[~torch.isin(flat[of_text + 1], torch.tensor(CONTROL))]
    middle, text = summed(of_middle), summed(of_text, CONTROL)
    counts = Losses(middle.item(), len(of_middle), text.item(), len(of_text), sum(map(len, parts)))
    return middle, text, counts


@dataclass(frozen=True, slots=True)
class Held:
    """What a network makes of held-out examples: nats a token of their middles, and how many middles of `count`.

    `exact`: each token of the middle behind its first, its end too, is the likeliest where those before it stand, as
    greedy generation takes it; of the first one, healing has part of the text already.
    """

    loss: float
    exact: int
    count: int


@torch.no_grad()
def validate(net: Network, shards: Shards, count: int, rows: int) -> Held:
    """Loss and exact middles of the first `count` examples."""
    loss, tokens, exact, count = 0.0, 0, 0, min(count, len(shards))
    for start in range(0, count, rows):
        group = [shards.example(number) for number in range(start, min(count, start + rows))]
        ids = padded([ids for ids, _ in group])
        hidden = net.hidden(ids.to(net.embedding.device))
        for row, (part, first) in enumerate(group):
            targets = ids[row, first : len(part)].to(hidden.device)
            scores = net.logits(hidden[row, first - 1 : len(part) - 1])
            loss += F.cross_entropy(scores, targets, reduction="sum").item()
            tokens += len(targets)
            exact += bool((scores.argmax(-1) == targets)[1:].all())
    return Held(loss / max(1, tokens), exact, count)


def padded(parts: Sequence[npt.NDArray[np.int64]]) -> Tensor:
    """Token ids as rows of one length, zeros behind the shorter ones."""
    return pad_sequence([torch.from_numpy(part) for part in parts], batch_first=True)


def run(trainer: Trainer, out: Path, args: argparse.Namespace, held: Shards | None) -> None:
    """Train to the end, logging each few steps and saving each few minutes."""
    began = saved = time.monotonic()
    since = Losses()
    kept_step = trainer.step
    with (out / LOG).open("a", encoding="utf-8") as log:
        while trainer.step < trainer.plan.steps:
            since = since + trainer.advance()
            last = trainer.step == trainer.plan.steps
            if trainer.step % args.log_every == 0 or last:
                line = {
                    "step": trainer.step,
                    "seconds": round(time.monotonic() - began, 1),
                    "tokens": since.tokens,
                    "middle": round(since.middle / max(1, since.middle_tokens), 4),
                    "text": round(since.text / max(1, since.text_tokens), 4),
                    "rate": trainer.plan.rate_at(trainer.step - 1),
                }
                since = Losses()
                log.write(json.dumps(line) + "\n")
                log.flush()
                print(line, flush=True)
            if time.monotonic() - saved > args.save_minutes * 60 or last:
                trainer.save(out / STATE)
                if trainer.step - kept_step >= args.keep_steps or last:
                    keep(trainer, out, args)
                    kept_step = trainer.step
                if held is not None:
                    found = validate(trainer.net, held, args.validate, args.rows)
                    facts = {"validation": round(found.loss, 4), "exact": found.exact, "of": found.count}
                    log.write(json.dumps({"step": trainer.step, **facts}) + "\n")
                    log.flush()
                saved = time.monotonic()


def keep(trainer: Trainer, out: Path, args: argparse.Namespace) -> None:
    """What `benchmarks.fim_quality` can choose from: a delta, or a whole model with the files of the one begun with."""
    if not trainer.plan.full:
        delta.save(trainer.net, out / f"delta-{trainer.step:06}.safetensors")
        return
    folder = out / f"step-{trainer.step:06}"
    weights.save(trainer.net, folder)
    for file in args.model.glob("*.json"):
        if file.name != "coderls.json" and not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, or go on; returns the exit code."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.device == "cuda":
        torch.set_float32_matmul_precision("high")
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    plan = Plan(
        steps=args.steps, batch=args.batch, rows=args.rows, rate=args.rate, warmup=args.warmup, text=args.text,
        decay=0.05 if args.full else 0.0, full=args.full,
    )  # fmt: skip
    try:
        low = None if args.full else LowRank()
        net = network.load(args.model, low, torch.bfloat16 if args.dtype == "bfloat16" else torch.float32, args.device)
        net.checkpointing = args.checkpointing
        trainer = Trainer(net, Shards.open(args.examples), plan)
        args.out.mkdir(parents=True, exist_ok=True)
        if (args.out / STATE).exists() or (args.out / f"{STATE}.old").exists():
            trainer.restore(args.out / STATE)
            print(f"going on from step {trainer.step}", flush=True)
        elif args.start:
            delta.load(net, args.start)
        run(trainer, args.out, args, Shards.open(args.validation) if args.validation else None)
    except CoderlsError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train")
    parser.add_argument("examples", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--start", type=Path, metavar="DELTA", help="begin from this delta")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=4, help="examples of a step")
    parser.add_argument("--rows", type=int, default=1, help="of these at once in memory")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--warmup", type=int, default=12, metavar="STEPS")
    parser.add_argument("--text", type=float, default=0.3, help="weight of the loss on text; 0: middles only")
    parser.add_argument("--full", action="store_true", help="train all weights")
    parser.add_argument("--checkpointing", action="store_true", help="less memory, a third more time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validation", type=Path, metavar="EXAMPLES")
    parser.add_argument("--validate", type=int, default=64, metavar="N", help="examples for the validation loss")
    parser.add_argument("--log-every", type=int, default=10, metavar="STEPS")
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument("--keep-steps", type=int, default=1, metavar="STEPS", help="keep a model at most so often")
    return parser


if __name__ == "__main__":
    sys.exit(main())
