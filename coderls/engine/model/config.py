"""What a checkpoint's config.json says, checked and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderls.errors import ModelBroken, ModelNotFound
from coderls.models.store import read_json

ARCHITECTURE = "Qwen2ForCausalLM"


@dataclass(frozen=True, slots=True)
class Yarn:
    """YaRN context extension (https://arxiv.org/abs/2309.00071): `factor` times `original_context` tokens."""

    factor: float
    original_context: int
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a Qwen2 model. Sizes in numbers of elements, `context_length` in tokens."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rms_norm_eps: float
    tied_head: bool
    rope_theta: float
    yarn: Yarn | None
    context_length: int
    stop_ids: tuple[int, ...]

    @property
    def plain_context(self) -> int:
        """Tokens up to which a sequence needs no YaRN."""
        return min(self.context_length, self.yarn.original_context) if self.yarn else self.context_length

    @property
    def kv_values_per_token(self) -> int:
        """How many numbers the KV cache keeps for each token, over all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    @property
    def parameters(self) -> int:
        """How many numbers the weights are, a tied head counted once."""
        attention = self.hidden_size * self.head_dim * 2 * (self.heads + self.kv_heads)
        biases = self.head_dim * (self.heads + 2 * self.kv_heads)
        layer = attention + biases + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size
        ends = self.vocab_size * self.hidden_size * (1 if self.tied_head else 2) + self.hidden_size
        return self.layers * layer + ends


def read_config(folder: Path) -> ModelConfig:
    """Read config.json (and the stop ids of generation_config.json) of a model directory.

    Raises ModelNotFound when the folder is not there, ModelBroken when it is no Qwen2 model that the engine runs.
    """
    if not folder.is_dir():
        raise ModelNotFound(f"There is no model directory {folder}.", "Check the path, or see `coderls models`.")
    path = folder / "config.json"
    values = read_json(path)
    stop_ids = _stop_ids(values.get("eos_token_id"), path)
    generation = folder / "generation_config.json"
    if generation.exists():
        stop_ids += _stop_ids(read_json(generation).get("eos_token_id"), generation)
    return parse_config(values, path, tuple(dict.fromkeys(stop_ids)))


def parse_config(values: Mapping[str, Any], path: Path, stop_ids: tuple[int, ...] = ()) -> ModelConfig:
    """Check the parsed config.json. `path` is for messages. Raises ModelBroken."""
    _check_architecture(values, path)
    hidden = _count(values, "hidden_size", path)
    heads = _count(values, "num_attention_heads", path)
    kv_heads = _count(values, "num_key_value_heads", path, default=heads)
    if heads % kv_heads:
        raise _broken(path, f"num_attention_heads {heads} is no multiple of num_key_value_heads {kv_heads}")
    if values.get("head_dim") is None and hidden % heads:
        raise _broken(path, f"hidden_size {hidden} is no multiple of num_attention_heads {heads}")
    head_dim = _count(values, "head_dim", path, default=hidden // heads)
    if head_dim % 2:
        raise _broken(path, f"head_dim {head_dim} is odd, which rotary positions cannot be")
    vocab_size = _count(values, "vocab_size", path)
    for token in stop_ids:
        if not 0 <= token < vocab_size:
            raise _broken(path, f"eos_token_id {token} is outside the vocabulary of {vocab_size}")
    context = _count(values, "max_position_embeddings", path)
    theta, yarn = _rope(values, context, path)
    if yarn is not None:
        context = max(context, int(yarn.factor * yarn.original_context))
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=_count(values, "intermediate_size", path),
        layers=_count(values, "num_hidden_layers", path),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=_number(values, "rms_norm_eps", path, default=1e-6),
        tied_head=bool(values.get("tie_word_embeddings", False)),
        rope_theta=theta,
        yarn=yarn,
        context_length=context,
        stop_ids=stop_ids,
    )


def _check_architecture(values: Mapping[str, Any], path: Path) -> None:
    """Refuse what this engine would run wrongly."""
    names = values.get("architectures") or ([ARCHITECTURE] if values.get("model_type") == "qwen2" else [])
    if names != [ARCHITECTURE]:
        found = ", ".join(map(str, names)) if isinstance(names, list) and names else "none named"
        raise ModelBroken(
            f"{path}: the architecture is {found}; this engine runs {ARCHITECTURE}.",
            "Name a Qwen2, Qwen2.5 or Qwen2.5-Coder checkpoint, or set engine.url to a server that runs this one.",
        )
    quantised = values.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "unnamed") if isinstance(quantised, dict) else quantised
        raise ModelBroken(
            f"{path}: the weights are quantised ({method}), which this engine does not read.",
            "Use the plain checkpoint (bfloat16) of the same model.",
        )
    if values.get("hidden_act", "silu") != "silu":
        raise _broken(path, f"hidden_act is {values['hidden_act']!r}; Qwen2 has 'silu'")
    window = values.get("sliding_window")
    if values.get("use_sliding_window") and window is not None:
        raise ModelBroken(
            f"{path}: a sliding attention window of {window} tokens is in use, which this engine does not run.",
            f"Set use_sliding_window to false there; prompts of up to {window} tokens are not changed by that.",
        )


def _rope(values: Mapping[str, Any], context: int, path: Path) -> tuple[float, Yarn | None]:
    """Base and scaling, from the newer `rope_parameters` or the older `rope_theta` with `rope_scaling`."""
    found = values.get("rope_scaling") or values.get("rope_parameters") or {}
    if not isinstance(found, dict):
        raise _broken(path, "rope_parameters is no object")
    default_theta = _number(values, "rope_theta", path, default=10_000.0)
    theta = _number(found, "rope_theta", path, default=default_theta)
    kind = found.get("rope_type", found.get("type", "default"))
    if _number(found, "partial_rotary_factor", path, default=1.0) != 1.0:
        raise _broken(path, "partial_rotary_factor is not 1")
    if kind == "default":
        return theta, None
    if kind != "yarn":
        raise ModelBroken(
            f"{path}: rotary scaling of type {kind!r} is not supported (default and yarn are).",
            "Take rope_scaling out of config.json: the model then runs with its own context length.",
        )
    if found.get("mscale") or found.get("mscale_all_dim"):
        raise _broken(path, "yarn with mscale is not supported (it belongs to other models)")
    factor = _number(found, "factor", path)
    if factor < 1.0:
        raise _broken(path, f"the yarn factor {factor} is less than 1")
    attention = found.get("attention_factor")
    return theta, Yarn(
        factor=factor,
        original_context=_count(found, "original_max_position_embeddings", path, default=context),
        attention_factor=None if attention is None else _number(found, "attention_factor", path),
        beta_fast=_number(found, "beta_fast", path, default=32.0),
        beta_slow=_number(found, "beta_slow", path, default=1.0),
        truncate=bool(found.get("truncate", True)),
    )


def _stop_ids(value: Any, path: Path) -> tuple[int, ...]:
    """`eos_token_id`: a number, a list of numbers, or nothing."""
    found = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(token, int) and not isinstance(token, bool) for token in found):
        raise _broken(path, f"eos_token_id is {value!r}")
    return tuple(found)


def _count(values: Mapping[str, Any], key: str, path: Path, default: int | None = None) -> int:
    """A whole number from 1 up."""
    value = values.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _broken(path, f"{key} is {'missing' if value is None else repr(value)}, not a number from 1 up")
    return value


def _number(values: Mapping[str, Any], key: str, path: Path, default: float | None = None) -> float:
    """A positive number."""
    value = values.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise _broken(path, f"{key} is {'missing' if value is None else repr(value)}, not a positive number")
    return float(value)


def _broken(path: Path, fault: str) -> ModelBroken:
    return ModelBroken(f"{path}: {fault}.", "Fetch the checkpoint again; config.json was damaged or edited.")
