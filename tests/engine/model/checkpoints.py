"""Small checkpoints in the true head shapes of the family, written by transformers itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

from coderls.engine.model.torch_runner import TorchRunner
from coderls.engine.runner import Sample, Work

logging.disable_progress_bar()

VOCAB = 320


@dataclass(frozen=True)
class Member:
    """Head counts and sizes are those of the published model.

    `hidden` 0: it follows from them, as it does there; the largest are made narrower, to be quick.
    """

    name: str
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    hidden: int = 0
    theta: float = 1e6
    eps: float = 1e-6


FAMILY = [
    Member("nano", 9, 3, 64, tied=True, theta=1e5, eps=1e-5),
    Member("0.5B", 14, 2, 64, tied=True),
    Member("1.5B", 12, 2, 128, tied=True),
    Member("3B", 16, 2, 128, tied=True),
    Member("7B", 28, 4, 128, tied=False, hidden=256),
    Member("14B-32B", 40, 8, 128, tied=False, hidden=320),
    Member("72B", 64, 8, 128, tied=False, hidden=256),
]
SMALL = FAMILY[0]


def oracle(member: Member = SMALL, *, layers: int = 2, **extra: Any) -> Qwen2ForCausalLM:
    """transformers' model with random weights: biases and norms too, which it would set to zero and one."""
    config = Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=member.hidden or member.heads * member.head_dim,
        head_dim=extra.pop("head_dim", member.head_dim),
        intermediate_size=160,
        num_hidden_layers=layers,
        num_attention_heads=member.heads,
        num_key_value_heads=member.kv_heads,
        max_position_embeddings=extra.pop("max_position_embeddings", 512),
        rms_norm_eps=member.eps,
        tie_word_embeddings=member.tied,
        rope_parameters=extra.pop("rope_parameters", {"rope_type": "default", "rope_theta": member.theta}),
        eos_token_id=extra.pop("eos_token_id", 7),
        **extra,
    )
    model = Qwen2ForCausalLM(config).float().eval()
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("norm.weight"):
                weight.copy_(1 + 0.1 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.5 * noise)
            else:
                weight.copy_(noise * weight.shape[-1] ** -0.5)
    return model


def save(model: Qwen2ForCausalLM, folder: Path, **options: Any) -> Path:
    """As users get it: config.json, generation_config.json and safetensors, in one file or several."""
    model.save_pretrained(folder, **options)
    return folder


def load(folder: Path, dtype: torch.dtype) -> Qwen2ForCausalLM:
    """Read back by transformers."""
    return Qwen2ForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@torch.no_grad()
def expected_logits(model: Qwen2ForCausalLM, tokens: list[int]) -> torch.Tensor:
    """What transformers says, [tokens, vocab]."""
    logits: torch.Tensor = model(torch.tensor([tokens])).logits[0]
    return logits


def some_tokens(count: int, seed: int = 0) -> list[int]:
    """A prompt."""
    return [int(i) for i in torch.randint(0, VOCAB, (count,), generator=torch.Generator().manual_seed(seed))]


def sampled(runner: TorchRunner, work: Work) -> Sample:
    """Run one piece of work; the one sample that it asked for."""
    (result,) = runner.run([work])
    assert isinstance(result, tuple)
    (sample,) = result
    return sample
