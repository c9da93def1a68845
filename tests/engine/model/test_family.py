"""Every dense size of the family: its shape, and that shapes like it run."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderls.engine.model.config import parse_config
from coderls.models.catalogue import CHECKPOINTS
from coderls.models.family import SIZES, Size

from .checkpoints import FAMILY

#: As the technical reports say, in billions.
PARAMETERS = {"0.5B": 0.49, "1.5B": 1.54, "3B": 3.09, "7B": 7.62, "14B": 14.77, "32B": 32.76, "72B": 72.7}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_parameters_are_those_that_were_published(size: Size) -> None:
    config = parse_config(size.config(), Path("config.json"))
    assert config.parameters / 1e9 == pytest.approx(PARAMETERS[size.name], rel=0.01)
    assert config.head_dim == size.head_size
    assert config.context_length == size.context
    assert config.plain_context == 32_768


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_head_shapes_are_among_those_that_are_run_in_tests(size: Size) -> None:
    tested = {(one.heads, one.kv_heads, one.head_dim, one.tied) for one in FAMILY}
    assert (size.heads, size.kv_heads, size.head_size, size.tied) in tested


def test_checkpoints_with_a_short_name_have_the_shape_of_their_size() -> None:
    sizes = {size.name.lower(): size for size in SIZES if "Qwen2.5-Coder" in size.series}
    for known in CHECKPOINTS:
        size = sizes[known.name.split("-")[2]]
        shape = (size.layers, size.hidden, size.heads, size.kv_heads, size.feed_forward, size.vocabulary, size.tied)
        assert shape == (
            *(known.layers, known.hidden, known.heads, known.kv_heads),
            *(known.feed_forward, known.vocabulary, known.tied),
        )
        assert size.context == known.context
