"""The plan of the memory for models in their true sizes, on cards that are not here."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.model.config import parse_config
from coderls.engine.model.kv_form import INT8, KvForm
from coderls.engine.model.memory import graph_bytes, plan_memory, scratch_bytes
from coderls.errors import EngineStartFailed

from .test_config import PATH, PUBLISHED

GIB = 1 << 30
CARD = torch.device("cuda", 0)
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
CODER_7B = parse_config(PUBLISHED | {"rope_scaling": YARN}, PATH)
WEIGHTS = CODER_7B.parameters * 2


def test_131072_tokens_of_7b_beside_its_weights() -> None:
    plan = plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, graphs=graph_bytes(CODER_7B), free=78 * GIB)
    assert plan.slots == (131_072, *[8192] * 7)
    assert plan.bytes_per_token == 56 * 1024
    assert plan.kv == (131_072 + 7 * 8192) * 56 * 1024
    assert plan.total == plan.weights + plan.kv + plan.graphs + plan.scratch
    assert sum(plan.parts().values()) == plan.total
    assert plan.total < 30 * GIB, "no more than is of use, however large the card is"
    said = str(plan)
    assert "cuda:0" in said
    assert "131,072 and 7 x 8,192 tokens" in said
    assert "78.0 GiB were free" in said


def test_131072_tokens_of_7b_in_8_bits() -> None:
    wide, short = (
        plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, free=78 * GIB, kv_form=form) for form in (None, INT8)
    )
    assert short.slots == wide.slots
    assert short.kv == wide.kv * (1 + 2 / 32) / 2
    # A layer's keys and values of the whole context, at full width for a prompt, and what they are made from.
    assert short.scratch - wide.scratch == 131_072 * 2 * 4 * 128 * 2 * 2
    assert "in int8 for 131,072" in str(short)
    assert " in " not in str(wide).split("KV")[1].split("tokens")[0]


def test_who_has_too_little_memory_is_told_what_8_bits_would_hold() -> None:
    def todo(free: int, form: KvForm | None = None) -> str:
        with pytest.raises(EngineStartFailed) as caught:
            plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, wanted=131_072, free=free * GIB, kv_form=form)
        return caught.value.todo

    assert "engine.kv_cache to int8 (all of them then)" in todo(22)
    assert re.search(r"engine\.kv_cache to int8 \(\d\d,\d{3} of them then\)", todo(18))
    assert "kv_cache" not in todo(18, INT8)
    plan = plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, wanted=131_072, free=22 * GIB, kv_form=INT8)
    assert plan.slots[0] == 131_072
    assert plan.total < 22 * GIB


def test_a_card_where_memory_is_short_keeps_room_for_shorter_slots() -> None:
    plan = plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, graphs=graph_bytes(CODER_7B), free=21 * GIB)
    assert 32_768 < plan.slots[0] < 131_072
    assert len(plan.slots) > 1
    assert plan.total < 21 * GIB


def test_the_context_that_was_asked_for_is_met_or_refused_with_what_fits() -> None:
    def plan(wanted: int) -> tuple[int, ...]:
        return plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, wanted=wanted, free=22 * GIB).slots

    with pytest.raises(
        EngineStartFailed, match=r"needs 7\.1 GiB .* largest context that fits is ([\d,]+) tokens"
    ) as no:
        plan(131_072)
    fits = int(str(no.value).split("fits is ")[1].split(" ")[0].replace(",", ""))
    assert plan(fits) == (fits, 1024), "there is always a second slot"
    with pytest.raises(EngineStartFailed):
        plan(fits + 256)


@pytest.mark.parametrize(("free", "said"), [(14, "weights take 14.2 GiB on cuda:0"), (15, "No useful context fits")])
def test_a_card_that_is_too_small(free: int, said: str) -> None:
    with pytest.raises(EngineStartFailed, match=said) as caught:
        plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, free=free * GIB)
    assert "smaller model" in caught.value.todo


def test_a_limit_is_kept_on_a_card_that_is_empty() -> None:
    plan = plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, limit=20 * GIB, free=78 * GIB)
    assert plan.total <= 20 * GIB
    assert plan.total > 19 * GIB
    assert "the limit is 20.0 GiB" in str(plan)
    with pytest.raises(EngineStartFailed, match=r"engine\.gpu_memory_gb allows 10\.0 GiB"):
        plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, limit=10 * GIB, free=78 * GIB)


def test_a_limit_above_what_is_free_adds_nothing() -> None:
    free = plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, free=23 * GIB)
    assert plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, limit=70 * GIB, free=23 * GIB).slots == free.slots


def test_scratch_holds_a_chunk_of_a_prefill_and_logits() -> None:
    gate_and_up = 4096 * 2 * CODER_7B.intermediate_size * 2
    logits = 128 * CODER_7B.vocab_size * 4
    assert scratch_bytes(CODER_7B, 2, CARD) > gate_and_up + logits
    assert scratch_bytes(CODER_7B, 2, torch.device("cpu")) < scratch_bytes(CODER_7B, 2, CARD)


@given(tokens=st.integers(800, 300_000), wanted=st.integers(0, 131_072))
def test_there_are_always_two_slots_and_all_fit(tokens: int, wanted: int) -> None:
    fixed = WEIGHTS + scratch_bytes(CODER_7B, 2, CARD)
    free = fixed + int(tokens * 56 * 1024 / 0.92) + 56 * 1024
    try:
        plan = plan_memory(CODER_7B, CARD, 2, weights=WEIGHTS, wanted=wanted, free=free)
    except EngineStartFailed as no:
        said = re.search("largest context that fits is ([0-9,]+)", no.todo)
        assert wanted > (int(said[1].replace(",", "")) if said else 0)
        return
    assert len(plan.slots) > 1
    assert plan.slots[0] >= wanted
    assert min(plan.slots[1:]) >= min(1024, plan.slots[0] // 2)
    assert sum(plan.slots) <= tokens + 1
