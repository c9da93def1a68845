"""Rotary tables against transformers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from coderls.engine.model.config import ModelConfig, parse_config
from coderls.engine.model.rope import rope_tables, rotate

YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32768}
PLAIN = {"rope_type": "default", "rope_theta": 1e6}
POSITIONS = [0, 1, 32767, 32768, 131071]


def config_of(rope: dict[str, Any], head_dim: int = 128) -> tuple[ModelConfig, Qwen2Config]:
    """Ours and theirs."""
    values = {
        "architectures": ["Qwen2ForCausalLM"],
        "vocab_size": 100,
        "hidden_size": 2 * head_dim,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 32768,
    }
    ours = parse_config(values | {"rope_parameters": rope}, Path("config.json"))
    return ours, Qwen2Config(**values, rope_parameters=dict(rope))


@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize(
    "rope",
    [
        PLAIN,
        YARN,
        YARN | {"factor": 2.0},
        YARN | {"attention_factor": 1.25},
        YARN | {"beta_fast": 24.0, "beta_slow": 2.0},
        YARN | {"truncate": False},
        YARN | {"original_max_position_embeddings": 8192, "factor": 16.0},
    ],
    ids=["plain", "yarn", "factor 2", "attention factor", "betas", "not truncated", "factor 16"],
)
def test_tables_are_those_of_transformers(rope: dict[str, Any], head_dim: int) -> None:
    ours, theirs = config_of(rope, head_dim)
    tables = rope_tables(ours, 131072, torch.device("cpu"))
    assert tables.cos.dtype == torch.float32
    embedding = Qwen2RotaryEmbedding(theirs)
    # In float64 their formula is exact; their float32 angles are off by up to 2^-7 turns at the far end.
    angles = torch.tensor(POSITIONS, dtype=torch.float64)[:, None] * embedding.inv_freq.double()
    rows = [position + (tables.plain if ours.yarn else 0) for position in POSITIONS]
    slack = torch.tensor(POSITIONS, dtype=torch.float64)[:, None] * embedding.inv_freq.double() * 2e-6 + 1e-6
    for found, expected in (
        (tables.cos, angles.cos() * embedding.attention_scaling),
        (tables.sin, angles.sin() * embedding.attention_scaling),
    ):
        assert ((found[rows].double() - expected).abs() <= slack * embedding.attention_scaling).all()


def test_yarn_attention_factor_is_part_of_the_tables() -> None:
    ours, _ = config_of(YARN)
    tables = rope_tables(ours, 40_000, torch.device("cpu"))
    assert float(tables.cos[tables.rows(0, 1, long=True)[0], 0]) == pytest.approx(1.1386294, abs=1e-6)
    assert float(tables.cos[0, 0]) == 1.0, "a short sequence does without"
    assert ours.context_length == 131072


def test_far_positions_are_computed_in_double_precision() -> None:
    ours, _ = config_of(PLAIN)
    tables = rope_tables(ours, 131072, torch.device("cpu"))
    exact = torch.tensor(131071.0, dtype=torch.float64) * 1e6 ** (-2 / 128)
    assert float(tables.cos[131071, 1]) == pytest.approx(float(exact.cos()), abs=1e-7)


def test_rotating_turns_pairs_of_the_two_halves() -> None:
    ours, _ = config_of(PLAIN, head_dim=64)
    cos, sin = rope_tables(ours, 16, torch.device("cpu")).factors(torch.tensor([5, 6, 7]), torch.float32)
    heads = torch.randn(3, 4, 64)
    before = heads.clone()
    rotate(heads, cos, sin)
    angle = (5 + torch.arange(3.0))[:, None, None] * 1e6 ** (-torch.arange(0, 64, 2) / 64)
    turned = torch.complex(before[..., :32], before[..., 32:]) * torch.polar(torch.ones_like(angle), angle)
    torch.testing.assert_close(heads, torch.cat((turned.real, turned.imag), -1), atol=1e-5, rtol=0)


def test_rows_end_where_the_tables_end() -> None:
    ours, _ = config_of(YARN)
    tables = rope_tables(ours, 65536, torch.device("cpu"))
    assert tables.rows(32766, 2, long=False) == range(32766, 32768)
    assert tables.rows(65535, 1, long=True)[0] == len(tables.cos) - 1
    for start, long in ((32767, False), (65535, True)):
        with pytest.raises(ValueError, match="no rotary rows"):
            tables.rows(start, 2, long=long)
