"""Choosing the next tokens from logits."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from coderls.engine.api import Sampling
from coderls.engine.runner import Sample, SampleSpec
from coderls.errors import EngineError

#: A nucleus hardly ever has more tokens than this; sorting the whole vocabulary takes ten times as long.
_NUCLEUS_GUESS = 1024
#: Of most vocabularies a divisor.
_BLOCK = 64


def choose_all(logits: Tensor, specs: Sequence[SampleSpec]) -> list[Sample | EngineError]:
    """Choose a token for each row of `logits` [rows, vocab], float32. The same seed and step draw the same token.

    Log-probabilities are of the whole distribution, what is blended in included, before temperature and filters, and
    whatever is `allowed`. A row whose logits are not numbers, or for which nothing is allowed, gives an EngineError.

    Everything is chosen where the logits are, and comes to the host in one copy: a card is waited for once.
    """
    vocabulary = logits.shape[1]
    allowed = [None if spec.allowed is None else [i for i in spec.allowed if 0 <= i < vocabulary] for spec in specs]
    logprobs = torch.log_softmax(logits, -1)
    blended = [spec.blend is not None for spec in specs]
    if any(blended):
        _blend(logprobs, specs)
        # Rows without one are chosen from as if they were alone: a logarithm rounds, and makes equal what was not.
        mixed = torch.tensor(blended, device=logits.device).unsqueeze(1)
        logits = logprobs if all(blended) else torch.where(mixed, logprobs, logits)
    tokens = _greedy(logits, allowed)
    drawn = [row for row, spec in enumerate(specs) if spec.sampling.temperature > 0 and allowed[row] != []]
    if drawn:
        choices = torch.stack([_draw(logits[row], allowed[row], specs[row]) for row in drawn])
        tokens[torch.tensor(drawn, device=logits.device)] = choices
    most = min(max((spec.top for spec in specs), default=0), vocabulary)
    parts = [tokens.unsqueeze(1), logprobs.gather(1, tokens.unsqueeze(1))]
    if most > 0:
        best = torch.topk(logprobs, most)
        parts += [best.indices, best.values]
    # Every id and every float32 is a float64 too.
    found = torch.cat([part.double() for part in parts], 1).tolist()
    return [
        _nothing_allowed() if permitted == [] else _sample(row, most, min(spec.top, vocabulary))
        for row, permitted, spec in zip(found, allowed, specs, strict=True)
    ]


def _blend(logprobs: Tensor, specs: Sequence[SampleSpec]) -> None:
    """Mix each row's blend into its log-probabilities [rows, vocab], in place. Rows without one stay as they are."""
    for row, spec in enumerate(specs):
        blend = spec.blend
        if blend is None:
            continue
        mine = logprobs[row]
        tokens = torch.tensor(blend.tokens, device=logprobs.device)
        masses = torch.tensor(blend.masses, device=logprobs.device, dtype=logprobs.dtype)
        untouched = torch.tensor(blend.untouched, device=logprobs.device, dtype=torch.int64)
        kept = mine[untouched]
        rest = torch.log1p(-kept.exp().sum().clamp(max=1.0))
        mine += math.log1p(-sum(blend.masses))
        mine[tokens] = torch.logaddexp(mine[tokens], masses.log() + rest)
        mine[untouched] = kept


def _sample(row: list[float], most: int, top: int) -> Sample | EngineError:
    """What came of a row: token and log-probability, then the ids and log-probabilities of the `most` likeliest."""
    token, logprob = row[:2]
    if math.isnan(logprob):
        return EngineError(
            "The model gave logits that are not numbers, so no token can be chosen.",
            "The weights may be damaged: run `coderls doctor`, fetch the model again, or try dtype float32.",
        )
    ids, values = row[2 : 2 + top], row[2 + most : 2 + most + top]
    return Sample(int(token), logprob, tuple((int(i), value) for i, value in zip(ids, values, strict=True)))


def _nothing_allowed() -> EngineError:
    return EngineError("No token is allowed here.", "The required prefix fits no token of this model.")


def _greedy(logits: Tensor, allowed: Sequence[Sequence[int] | None]) -> Tensor:
    """The likeliest of each row, int64 [rows]; of equal ones the first (where some are `allowed`: in their order)."""
    tokens = _argmax(logits)
    limited = [row for row, ids in enumerate(allowed) if ids]
    if not limited:
        return tokens
    longest = max(len(allowed[row] or ()) for row in limited)
    # Short lists are filled up with their first, which loses no tie to itself.
    filled = [[*ids, *[ids[0]] * (longest - len(ids))] for row in limited if (ids := allowed[row])]
    table, rows = torch.tensor(filled, device=logits.device), torch.tensor(limited, device=logits.device)
    best = logits[rows].gather(1, table).argmax(-1, keepdim=True)
    tokens[rows] = table.gather(1, best).squeeze(1)
    return tokens


def _argmax(logits: Tensor) -> Tensor:
    """The first of the largest in each row. On a CPU by the largest of each block: a third of the time of `argmax`."""
    if logits.device.type != "cpu" or logits.shape[1] % _BLOCK:
        return logits.argmax(-1)
    blocks = logits.reshape(len(logits), -1, _BLOCK)
    best = blocks.amax(-1).argmax(-1)
    within = blocks.gather(1, best.view(-1, 1, 1).expand(-1, 1, _BLOCK)).squeeze(1).argmax(-1)
    return best * _BLOCK + within


def _draw(logits: Tensor, allowed: Sequence[int] | None, spec: SampleSpec) -> Tensor:
    """The token that seed and step draw from `logits` [vocab]: int64, on their device."""
    ids = None if allowed is None else torch.tensor(allowed, device=logits.device)
    candidates = logits if ids is None else logits[ids]
    # In float32 a tiny temperature would be zero.
    scaled = (candidates - candidates.max()).double() / spec.sampling.temperature
    weights, order = _nucleus(scaled.exp(), spec.sampling)
    bounds = weights.cumsum(0)
    point = _uniform(spec.sampling.seed, spec.step) * bounds[-1:]
    # right=True steps over candidates of no weight; the draw is below 1, but its product may round up to the end.
    index = torch.searchsorted(bounds, point, right=True).clamp(max=len(bounds) - 1)
    chosen = order.gather(0, index)  # a tensor of no dimension as an index would be read by the host
    return (chosen if ids is None else ids.gather(0, chosen))[0]


def _nucleus(weights: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The weights that top_k and top_p leave (others may be there with none), and their indices.

    Likeliest first where a filter is on.
    """
    count = len(weights)
    top_k = min(sampling.top_k, count) if sampling.top_k > 0 else count
    if top_k == count and sampling.top_p >= 1:
        return weights, torch.arange(count, device=weights.device)
    if sampling.top_p >= 1:
        best = torch.topk(weights, top_k)
        return best.values, best.indices
    goal = sampling.top_p * (weights.sum() if top_k == count else torch.topk(weights, top_k).values.sum())
    best = torch.topk(weights, _nucleus_size(weights, top_k, goal))
    # The nucleus is the fewest that reach top_p: each whose predecessors do not. The first is always in.
    before = best.values.cumsum(0) - best.values
    kept = (before < goal).double()
    kept[:1].fill_(1.0)
    return best.values * kept, best.indices


def _nucleus_size(weights: Tensor, top_k: int, goal: Tensor) -> int:
    """How many of the likeliest to look at: a guess that is checked on a processor; a card is not asked, but sorts."""
    guess = min(top_k, _NUCLEUS_GUESS)
    if weights.device.type != "cpu" or guess == top_k:
        return top_k
    return guess if bool(torch.topk(weights, guess).values.sum() >= goal) else top_k


def _uniform(seed: int | None, step: int) -> float:
    """A number in [0, 1), fixed by seed and step on every machine (Python hashes string seeds with SHA-512)."""
    return random.random() if seed is None else random.Random(f"{seed}:{step}").random()
