"""Every dense size of Qwen2, Qwen2.5, Qwen2.5-Coder, Qwen2-Math and Qwen2.5-Math.

A size has one shape in all series that have it (config.json of https://huggingface.co/Qwen; table 1 of
https://arxiv.org/abs/2412.15115 and of https://arxiv.org/abs/2407.10671). The engine runs them all; what a machine
needs for one follows from its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Longest context with YaRN, in tokens, of the sizes that were trained for it; the others have 32,768.
_LONG = 131_072
_SHORT = 32_768


@dataclass(frozen=True, slots=True)
class Size:
    """One size: its name, the series that have it, and its shape. `context`: the longest, in tokens, of any of them."""

    name: str
    series: tuple[str, ...]
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    feed_forward: int
    head_size: int = 128
    vocabulary: int = 152_064
    tied: bool = False
    context: int = _LONG

    def config(self) -> dict[str, object]:
        """What its config.json says of the shape, with YaRN where that makes the context longer."""
        values: dict[str, object] = {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "intermediate_size": self.feed_forward,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.tied,
            "max_position_embeddings": _SHORT,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
        }
        if self.context > _SHORT:
            factor = self.context / _SHORT
            values["rope_scaling"] = {"type": "yarn", "factor": factor, "original_max_position_embeddings": _SHORT}
        return values


_PLAIN, _CODER, _MATH = ("Qwen2", "Qwen2.5"), ("Qwen2.5-Coder",), ("Qwen2-Math", "Qwen2.5-Math")

SIZES: tuple[Size, ...] = (
    Size("0.5B", _PLAIN + _CODER, 24, 896, 14, 2, 4864, head_size=64, vocabulary=151_936, tied=True, context=_SHORT),
    Size("1.5B", _PLAIN + _CODER + _MATH, 28, 1536, 12, 2, 8960, vocabulary=151_936, tied=True, context=_SHORT),
    Size("3B", ("Qwen2.5", *_CODER), 36, 2048, 16, 2, 11_008, vocabulary=151_936, tied=True, context=_SHORT),
    Size("7B", _PLAIN + _CODER + _MATH, 28, 3584, 28, 4, 18_944),
    Size("14B", ("Qwen2.5", *_CODER), 48, 5120, 40, 8, 13_824),
    Size("32B", ("Qwen2.5", *_CODER), 64, 5120, 40, 8, 27_648),
    Size("72B", _PLAIN + _MATH, 80, 8192, 64, 8, 29_568),
)
