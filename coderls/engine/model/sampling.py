"""Choosing the next token from logits."""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor

from coderls.engine.api import Sampling
from coderls.engine.runner import Sample, SampleSpec
from coderls.errors import EngineError

#: A nucleus hardly ever has more tokens than this; sorting the whole vocabulary takes ten times as long.
_NUCLEUS_GUESS = 1024


def choose(logits: Tensor, spec: SampleSpec) -> Sample:
    """Choose a token from `logits` [vocab], float32. The same seed and step draw the same token.

    Log-probabilities are of the whole distribution, before temperature and filters, and whatever is `allowed`.
    Raises EngineError when the logits are not numbers, or nothing is allowed.
    """
    total = float(torch.logsumexp(logits, 0))
    if not math.isfinite(total):
        raise EngineError(
            "The model gave logits that are not numbers, so no token can be chosen.",
            "The weights may be damaged: run `coderls doctor`, fetch the model again, or try dtype float32.",
        )
    ids, candidates = None, logits
    if spec.allowed is not None:
        ids = torch.tensor([i for i in spec.allowed if 0 <= i < len(logits)], dtype=torch.long, device=logits.device)
        if not len(ids):
            raise EngineError("No token is allowed here.", "The required prefix fits no token of this model.")
        candidates = logits[ids]
    index = _pick(candidates, spec.sampling, spec.step)
    token = index if ids is None else int(ids[index])
    top: tuple[tuple[int, float], ...] = ()
    if spec.top > 0:
        best = torch.topk(logits, min(spec.top, len(logits)))
        top = tuple(zip(best.indices.tolist(), (best.values - total).tolist(), strict=True))
    return Sample(token, float(logits[token]) - total, top)


def _pick(logits: Tensor, sampling: Sampling, step: int) -> int:
    """Index of the chosen one. Equal logits: the greedy choice is the first."""
    if sampling.temperature <= 0:
        return int(logits.argmax())
    scaled = (logits - logits.max()).double() / sampling.temperature  # in float32 a tiny temperature would be zero
    weights, order = _nucleus(scaled.exp(), sampling)
    bounds = weights.cumsum(0)
    point = _uniform(sampling.seed, step) * float(bounds[-1])
    # right=True steps over candidates of no weight; the draw is below 1, but its product may round up to the end.
    index = int(torch.searchsorted(bounds, point, right=True).clamp(max=len(bounds) - 1))
    return int(order[index])


def _nucleus(weights: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The weights that top_k and top_p leave, and their indices; likeliest first where a filter is on."""
    count = len(weights)
    top_k = min(sampling.top_k, count) if sampling.top_k > 0 else count
    if top_k == count and sampling.top_p >= 1:
        return weights, torch.arange(count, device=weights.device)
    goal = sampling.top_p * float(weights.sum() if top_k == count else torch.topk(weights, top_k).values.sum())
    best = torch.topk(weights, min(top_k, _NUCLEUS_GUESS))
    if len(best.values) < top_k and float(best.values.sum()) < goal:
        best = torch.topk(weights, top_k)
    if sampling.top_p >= 1:
        return best.values, best.indices
    # The nucleus is the fewest that reach top_p: each whose predecessors do not. The first is always in.
    before = best.values.cumsum(0) - best.values
    kept = max(1, int((before < goal).sum()))
    return best.values[:kept], best.indices[:kept]


def _uniform(seed: int | None, step: int) -> float:
    """A number in [0, 1), fixed by seed and step on every machine (Python hashes string seeds with SHA-512)."""
    return random.random() if seed is None else random.Random(f"{seed}:{step}").random()
