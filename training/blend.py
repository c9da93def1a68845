"""Fits the weights by which texts near by are blended into the model's words (`coderls/engine/blend.py`).

    python -m training.blend CORPUS MODEL_DIR BLEND.json [--count 800] [--threads 1] [--seed 1]

Lines of projects of the corpus are hidden, and asked for as completions are. Of each token of what was hidden it is
noted how likely the model has it, and what followed the tokens before it elsewhere: in the prompt, and in the texts
that the repository's index gives. The weights are those under which what was hidden is the likeliest, by maximum
likelihood with a small penalty. The same is then told of held-out projects, which had no part in it: nats a token, how
many tokens come out right where those before them stand, and of how many places inside of lines all the rest does.

MODEL_DIR is a built model (`coderls models build`); BLEND.json belongs into it, for `nano` into `coderls/models/nano/`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from coderls.engine.blend import GAP, Blender, Found, Gate, LocalText
from coderls.errors import CoderlsError
from coderls.fim.model import Budgets, FimModel
from coderls.fim.prompt import Names
from coderls.local_ids import CHARACTERS, LocalIds
from coderls.repo_context.index import RepositoryIndex
from training import network, spans
from training.examples import counts, hide, nano_model, read_manifest, render
from training.network import LowRank, Network

BUDGET = Budgets(360, 140, 0)
_TRIES = 6
_STEPS, _RATE, _PENALTY = 800, 0.02, 1e-3


@dataclass(frozen=True, slots=True)
class Token:
    """One hidden token: the model's probabilities of it, of its likeliest and of all that was found elsewhere.

    `healed`: part of it stands there already, or a line begins with it: then nothing is blended.
    """

    wanted: int
    model: Mapping[int, float]
    prompt: Found
    local: Found
    healed: bool

    def seen(self) -> list[float]:
        """What a gate looks at, the bias first."""
        return [1.0, *self.prompt.features(), *self.local.features()]

    def shares(self) -> list[float]:
        """Of the token by the model and in both texts, then what both texts have in all."""
        wanted = (texts.get(self.wanted, 0.0) for texts in (self.prompt.shares, self.local.shares))
        sums = (sum(texts.values()) for texts in (self.prompt.shares, self.local.shares))
        return [self.model[self.wanted], *wanted, *sums]

    def likelihood(self, gate: Gate | None) -> tuple[float, bool]:
        """Log-likelihood of the token, and whether it is the likeliest."""
        blend = None if gate is None or self.healed else gate.blend(self.prompt, self.local)
        masses = dict(zip(blend.tokens, blend.masses, strict=True)) if blend is not None else {}
        left = 1 - sum(masses.values())
        blended = {token: left * share + masses.get(token, 0.0) for token, share in self.model.items()}
        return math.log(max(blended[self.wanted], 1e-12)), max(blended, key=blended.__getitem__) == self.wanted


Line = list[Token]


def lines_of(
    corpus: Path, project: str, rows: Sequence[dict[str, Any]], count: int, *, net: Network, model: FimModel, seed: int
) -> Iterator[Line]:
    """Up to `count` hidden lines of a project, drawn by the seed."""
    root, chooser = corpus / "projects" / project, random.Random(f"{seed} {project}")
    files = sorted((row for row in rows if row["language"] == "python"), key=lambda row: str(row["path"]))
    if not files:
        return
    table = model.tokenizer.token_bytes if model.tokenizer is not None else []
    blanks = {token for token, text in enumerate(table) if text.isspace()}
    index, ids = RepositoryIndex([root], keep=False), LocalIds(model.encode_afresh)
    try:
        index.build()
        index.settle(300)
        for _ in range(count):
            row = chooser.choice(files)
            text = (root / row["path"]).read_text(encoding="utf-8")
            span = next(filter(None, (spans.draw(text, chooser, "line") for _ in range(_TRIES))), None)
            if span is None:
                continue
            document = hide(root / row["path"], "python", text, span)
            names = Names(row["path"], project)
            example = render(text, span, document, model=model, budget=BUDGET, snippets=(), names=names)
            if example is not None and len(example.ids) <= 2 * (BUDGET.prefix + BUDGET.suffix):
                near = ids.of(index.local_texts(document, span.start, CHARACTERS)) or b""
                taken_back = len(example.ids) - 1 - example.middle - len(model.encode(text[span.start : span.end]))
                yield line_of(net, example.ids[:-1], example.middle, near, healed=max(1, taken_back), blanks=blanks)
    finally:
        index.close()


@torch.no_grad()
def line_of(
    net: Network, ids: Sequence[int], middle: int, near: bytes, *, healed: int, blanks: Collection[int]
) -> Line:
    """What is known of each token of `ids` from `middle` on; the first `healed` of them stand there in parts."""
    hidden = net.hidden(torch.tensor([ids]))[0]
    rows = net.logits(hidden[middle - 1 : -1]).softmax(-1)
    local = LocalText(np.array(array("i", near) or [GAP], dtype=np.int32))
    controls = set(LowRank().rows)
    prompt = [GAP if token in controls else token for token in ids[:middle]]
    blender = Blender(Gate((), ()), prompt, prompt, len(ids) - middle, local)
    found: Line = []
    for number, token in enumerate(ids[middle:]):
        near_by, row = blender.found(), rows[number]
        known = [int(row.argmax()), token, *near_by[0].shares, *near_by[1].shares]
        model = dict(zip(known, row[known].tolist(), strict=True))
        found.append(Token(token, model, *near_by, number < healed or ids[middle + number - 1] in blanks))
        blender.came([token])
    return found


def fit(lines: Sequence[Line]) -> Gate:
    """The likeliest weights. Raises CoderlsError where there is nothing to fit."""
    tokens = [token for line in lines for token in line if not token.healed]
    if not tokens:
        raise CoderlsError("No line could be hidden.", "Give a larger corpus, or a larger --count.")
    seen = torch.tensor([token.seen() for token in tokens])
    model, prompt, local, all_prompt, all_local = torch.tensor([token.shares() for token in tokens]).unbind(1)
    weights = torch.zeros(2, seen.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=_RATE)
    for _ in range(_STEPS):
        part = torch.cat([torch.zeros(len(seen), 1), seen @ weights.t()], 1).softmax(-1)
        left = 1 - part[:, 1] * all_prompt - part[:, 2] * all_local
        likelihood = left * model + part[:, 1] * prompt + part[:, 2] * local
        loss = -likelihood.clamp_min(1e-9).log().mean() + _PENALTY * weights.square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    rows = [tuple(round(value, 4) for value in row) for row in weights.tolist()]
    return Gate(rows[0], rows[1])


def figures(lines: Sequence[Line], gate: Gate | None) -> dict[str, float]:
    """Nats a token; shares of tokens and of whole lines that come out; and of places inside of lines, all the rest."""
    nats, right, count, whole, rests, places = 0.0, 0, 0, 0, 0, 0
    for line in lines:
        said = [token.likelihood(gate) for token in line]
        nats -= sum(likelihood for likelihood, _ in said)
        hits = [hit for _, hit in said]
        right, count, whole = right + sum(hits), count + len(hits), whole + all(hits)
        inside = range(2, len(hits))
        rests, places = rests + sum(all(hits[place:]) for place in inside), places + len(inside)
    shares = {"tokens": right / max(1, count), "lines": whole / max(1, len(lines)), "rests": rests / max(1, places)}
    return {"nats": round(nats / max(1, count), 4)} | {name: round(value, 4) for name, value in shares.items()}


def gathered(corpus: Path, splits: Sequence[str], total: int, net: Network, seed: int) -> list[Line]:
    """Hidden lines of the projects of these splits."""
    model = nano_model()
    projects = {name: rows for split in splits for name, rows in read_manifest(corpus, split).items()}
    wanted = counts(projects, total)
    found: list[Line] = []
    for name in tqdm(sorted(wanted), unit="project", mininterval=5.0):
        found += lines_of(corpus, name, projects[name], wanted[name], net=net, model=model, seed=seed)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Fit and tell; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.blend")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("out", type=Path, metavar="BLEND.json")
    parser.add_argument("--count", type=int, default=800, help="hidden lines, and half as many held-out ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        net = network.load(args.model, LowRank(), torch.bfloat16)
        gate = fit(gathered(args.corpus, ("train", "validation"), args.count, net, args.seed))
        args.out.write_text(json.dumps({"prompt": gate.prompt, "local": gate.local}, indent=1) + "\n", encoding="utf-8")
        held_out = gathered(args.corpus, ("held-out",), args.count // 2, net, args.seed)
    except CoderlsError as error:
        print(f"blend: {error}", file=sys.stderr)
        return 1
    print(f"{len(held_out)} held-out lines, the model alone: {figures(held_out, None)}")
    print(f"with what was fitted: {figures(held_out, gate)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
