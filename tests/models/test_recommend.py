from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coderls.models import catalogue, footprint, recommend
from coderls.models.recommend import Machine


@pytest.mark.parametrize(
    ("name", "parameters", "kv_bytes"),
    [  # parameters: the sum over the tensors of the published checkpoints
        ("qwen2.5-coder-0.5b", 494_032_768, 12_288),
        ("qwen2.5-coder-1.5b", 1_543_714_304, 28_672),
        ("qwen2.5-coder-3b", 3_085_938_688, 36_864),
        ("qwen2.5-coder-7b", 7_615_616_512, 57_344),
        ("qwen2.5-coder-14b", 14_770_033_664, 196_608),
        ("qwen2.5-coder-32b", 32_763_876_352, 262_144),
    ],
)
def test_sizes_follow_from_the_shapes(name: str, parameters: int, kv_bytes: int) -> None:
    known = catalogue.find(name)
    assert known is not None
    assert known.parameters == parameters
    assert known.weight_bytes() == 2 * parameters
    assert known.weight_bytes("float32") == 4 * parameters
    assert known.kv_bytes_per_token() == kv_bytes
    slots = 8192 + 7 * 2048
    assert known.memory_bytes(8192, processor=False) == 2 * parameters + slots * kv_bytes + footprint.PROGRAM_BYTES
    assert known.memory_bytes(8192, processor=True) > known.memory_bytes(8192, processor=False) + parameters // 2


def test_the_count_of_parameters_is_that_of_transformers() -> None:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    known = catalogue.find("Qwen/Qwen2.5-Coder-0.5B")
    assert known is not None
    config = Qwen2Config(
        vocab_size=known.vocabulary,
        hidden_size=known.hidden,
        intermediate_size=known.feed_forward,
        num_hidden_layers=known.layers,
        num_attention_heads=known.heads,
        num_key_value_heads=known.kv_heads,
        tie_word_embeddings=known.tied,
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == known.parameters


def test_only_the_3b_models_are_for_research_only() -> None:
    restricted = {known.name for known in catalogue.CHECKPOINTS if not known.commercial}
    assert restricted == {"qwen2.5-coder-3b", "qwen2.5-coder-3b-instruct"}


def test_names_are_found_in_any_case() -> None:
    for name in ("QWEN2.5-coder-7B", "qwen/qwen2.5-coder-7b"):
        found = catalogue.find(name)
        assert found is not None
        assert found.repository == "Qwen/Qwen2.5-Coder-7B"
    assert catalogue.find("qwen") is None
    assert catalogue.canonical("Qwen/Qwen2.5-Coder-7B@main") == "qwen2.5-coder-7b@main"


def machine(gigabytes: float, bandwidth: float) -> Machine:
    """A card, where memory is as fast as theirs."""
    device = "cuda" if bandwidth >= 300 else "cpu"
    return Machine(device, "test", 8, int(gigabytes * 1e9), bandwidth * 1e9, measured=True)


@pytest.mark.parametrize(
    ("gigabytes", "bandwidth", "best"),
    [
        (24, 38, "nano"),  # a small server's two cores
        (1, 38, "nano"),
        (64, 90, "qwen2.5-coder-0.5b"),  # a desktop with fast memory
        (8, 300, "qwen2.5-coder-1.5b"),  # a small card: 3B would fit, and may not be used at work
        (24, 1008, "qwen2.5-coder-7b"),
        (80, 3350, "qwen2.5-coder-14b"),  # 32B takes more than four fifths of it
        (141, 4800, "qwen2.5-coder-32b"),
    ],
)
def test_the_largest_that_fits_and_is_fast_is_recommended(gigabytes: float, bandwidth: float, best: str) -> None:
    advice = recommend.advise(machine(gigabytes, bandwidth))
    assert [one.name for one in advice if one.recommended] == [best]


def test_what_does_not_fit_is_marked() -> None:
    fits = {one.name: one.fits for one in recommend.advise(machine(16, 300))}
    assert fits["qwen2.5-coder-3b"]
    assert not fits["qwen2.5-coder-7b"]


def test_nvidia_smi_is_understood() -> None:
    cards = recommend.parse_cards("80000, NVIDIA H100 80GB HBM3\n1000, Quadro Old\n[N/A], Broken\n\n")
    assert [(card.name, card.memory >> 20, card.bandwidth) for card in cards] == [
        ("NVIDIA H100 80GB HBM3", 80_000, 3.35e12),
        ("Quadro Old", 1000, 3e11),
    ]


def test_the_card_with_most_free_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("a shell script stands for nvidia-smi")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '1000, NVIDIA L4'\necho '20000, NVIDIA T4'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert recommend.this_machine().name == "NVIDIA T4"
    tool.write_text("#!/bin/sh\nexit 9\n")  # no driver
    assert recommend.this_machine().device == "cpu"


def test_this_machine_is_measured() -> None:
    assert recommend.usable_cores() >= 1
    assert recommend.memory_bytes() > 1 << 28
    assert 1e9 < recommend.read_bandwidth(1) < 1e13
