"""Far positions against transformers: whole contexts of 131,072 tokens, and the logits at their ends.

The model has one layer, so that what a position needs of the others (its keys and values) does not depend on
attention: transformers computes them piece by piece, and only the last token attends to all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache, Qwen2ForCausalLM

from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import Batch, Span
from coderls.engine.model.kv import allocate
from coderls.engine.model.qwen2 import forward
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import Work

from .checkpoints import Member, oracle, save, some_tokens

YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32768}
PLAIN = {"rope_type": "default", "rope_theta": 1e6}
LONG = Member("long", 4, 2, 64, tied=True)
CONTEXT = 131_072
TOKENS = some_tokens(CONTEXT, seed=5)


def both(folder: Path, rope: dict[str, Any], layers: int = 1) -> tuple[TorchRunner, Qwen2ForCausalLM]:
    """Ours, whose config has YaRN, and transformers' model of the same weights with `rope` for every sequence."""
    theirs = oracle(LONG, layers=layers, rope_parameters=dict(rope), max_position_embeddings=32_768)
    ours = oracle(LONG, layers=layers, rope_parameters=dict(YARN), max_position_embeddings=32_768)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    runner = load_runner(save(ours, folder), name="x", device="cpu", dtype="float32", context_length=CONTEXT)
    return runner, theirs


@torch.no_grad()
def golden(model: Qwen2ForCausalLM, *positions: int) -> list[torch.Tensor]:
    """transformers' logits [vocab] of the tokens at `positions` of TOKENS."""
    pieces = []
    for start in range(0, max(positions), 512):  # short ones: attention inside of a piece is of no use
        end = min(max(positions), start + 512)
        # A piece alone: its outputs are wrong, its keys and values are those of the whole.
        done = model.model(
            torch.tensor([TOKENS[start:end]]),
            position_ids=torch.arange(start, end)[None],
            past_key_values=DynamicCache(config=model.config),
            use_cache=True,
        )
        pieces.append(done.past_key_values.layers[0])
    keys, values = (torch.cat([getattr(piece, name) for piece in pieces], dim=2) for name in ("keys", "values"))
    assert keys.shape[2] == max(positions)
    return [_last(model, keys[:, :, :position], values[:, :, :position]) for position in positions]


def _last(model: Qwen2ForCausalLM, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The logits of the token behind these keys and values."""
    position = keys.shape[2]
    cache = DynamicCache(config=model.config)
    if position:
        cache.update(keys, values, 0)
    logits: torch.Tensor = model(
        torch.tensor([[TOKENS[position]]]),
        position_ids=torch.tensor([[position]]),
        past_key_values=cache,
        attention_mask=torch.ones(1, position + 1, dtype=torch.long),
    ).logits
    return logits[0, -1]


def ours_at(runner: TorchRunner, positions: list[int], *, long: bool) -> list[torch.Tensor]:
    """Our logits [vocab] at `positions` of one sequence, which grows from one to the next."""
    found, done = [], 0
    for position in positions:
        while done < position:
            count = min(8192, position - done)
            assert runner.run([Work(0, done, TOKENS[done : done + count], (), long)]) == [()]
            done += count
        found.append(runner.logits(Work(0, position, [TOKENS[position]], (), long))[0])
        done = position + 1
    return found


@pytest.mark.parametrize(
    ("rope", "long", "positions"),
    [(PLAIN, False, [0, 1, 32_767]), (YARN, True, [0, 1, 32_767, 32_768, 131_071])],
    ids=["plain", "yarn"],
)
def test_logits_at_far_positions(tmp_path: Path, rope: dict[str, Any], long: bool, positions: list[int]) -> None:
    runner, theirs = both(tmp_path, rope)
    each = zip(positions, ours_at(runner, positions, long=long), golden(theirs, *positions), strict=True)
    for position, found, expected in each:
        error, size = (found - expected).abs().max(), expected.abs().max()
        assert error <= 2e-3 * size, (position, float(error), float(size))


def test_yarn_changes_the_logits_of_a_short_sequence(tmp_path: Path) -> None:
    """So the comparison above can fail, and whether a sequence uses YaRN has to be part of what names its KV."""
    runner, theirs = both(tmp_path, YARN)
    plain, scaled = (ours_at(runner, [500], long=long)[0] for long in (False, True))
    [expected] = golden(theirs, 500)
    assert (scaled - expected).abs().max() < 2e-3 * expected.abs().max()
    assert (plain - expected).abs().max() > 2e-2 * expected.abs().max()


@torch.no_grad()
def test_three_layers_with_tokens_at_far_positions(tmp_path: Path) -> None:
    """A few tokens that stand far apart, through all layers: keys of one position meet queries of another."""
    runner, theirs = both(tmp_path, YARN, layers=3)
    places = [0, 1, 5000, 32_766, 32_767, 32_768, 65_536, 131_070, 131_071]
    model, count = runner._model, len(places)
    cache = allocate(model.config, [count], torch.device("cpu"), torch.float32)
    rows = [model.rope.rows(place, 1, long=True)[0] for place in places]
    batch = Batch(torch.tensor([TOKENS[:count], rows, list(range(count))]), (Span(0, count, count),), (count,))
    with torch.inference_mode():
        found = forward(model, batch, cache, SdpaAttention(cache))
    expected = theirs(torch.tensor([TOKENS[:count]]), position_ids=torch.tensor([places])).logits[0]
    assert found is not None
    assert (found - expected).abs().max() <= 2e-3 * expected.abs().max()


def test_a_short_sequence_may_not_reach_beyond_the_plain_context(tmp_path: Path) -> None:
    runner, _ = both(tmp_path, YARN)
    assert runner.info.plain_context == 32_768
    assert runner.info.context_length == CONTEXT
    (refused,) = runner.run([Work(0, 32_767, [1, 2])])
    assert "beyond the 32768 without YaRN" in str(refused)
