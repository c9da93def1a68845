"""A model's folder as a GGUF file that llama.cpp runs, with the ids of the FIM marks, so that its `/infill` works.

    python -m training.gguf_export MODEL_DIR OUT.gguf [--layers q4_1] [--embedding q8_0] [--calibrate EXAMPLES]

`--calibrate`: layers in q4_1 are rounded so that what they give out on these examples changes least
(`training.rounding`), instead of each weight to the nearest.

Qwen2 without biases on q, k and v is Llama; that is what is written, as it is what the embedded model was made from
and what `coderls.models.gguf_llama` reads. llama.cpp's rotary embedding wants the pairs of a head beside each other, so
rows of q and k change places. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

`/infill` puts the prefix first, then the suffix, then the mark of the middle; coderls puts the suffix first. The model
knows the former from a tenth of its examples only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gguf
import numpy as np
import numpy.typing as npt
import torch

from coderls.errors import CoderlsError, ModelBroken
from coderls.models import safetensors_file
from coderls.models.gguf_llama import Array
from training import network, rounding
from training.examples import MIDDLE

Number = TypeVar("Number", bound=np.generic)

TYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "bf16": gguf.GGMLQuantizationType.BF16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q4_1": gguf.GGMLQuantizationType.Q4_1,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
}
_FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "bf16": 32}
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


@dataclass(frozen=True, slots=True)
class Form:
    """How tensors are held: `layers` and `embedding` are names of `TYPES`; `calibrate` says what to read for q4_1."""

    layers: str = "q4_1"
    embedding: str = "q8_0"
    calibrate: Path | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Form:
        """As `add_options` had it said."""
        return cls(args.layers, args.embedding, args.calibrate)


def export(folder: Path, out: Path, form: Form = Form()) -> None:
    """Write the GGUF file. Raises ModelBroken for a folder that cannot be put as a Llama."""
    config, tokenizer, template = (_json(folder / name) for name in ("config.json", "tokenizer.json", "fim.json"))
    tensors: dict[str, Array] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= safetensors_file.read_float32(path)
    if not tensors:
        raise ModelBroken(f"{folder} holds no weights.")
    rounded = dict(_renamed(_calibrated(folder, form), config))
    part = out.with_name(out.name + ".part")
    writer = gguf.GGUFWriter(part, "llama")
    try:
        _facts(writer, config, _FILE_TYPES[form.layers])
        _vocabulary(writer, config, tokenizer, template)
        for name, values in _renamed(tensors, config):
            wanted = form.embedding if name == "token_embd.weight" else form.layers
            kind = TYPES["f32" if values.ndim == 1 else wanted]
            data = rounded[name] if name in rounded else gguf.quantize(np.ascontiguousarray(values), kind)
            writer.add_tensor(name, data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    except KeyError as error:
        raise ModelBroken(f"{folder} cannot be exported: {error} is missing.") from error
    finally:
        writer.close()
    part.replace(out)


def _calibrated(folder: Path, form: Form) -> dict[str, npt.NDArray[np.uint8]]:
    """The blocks of the layers' weights, by their names in the folder; none without examples to read."""
    if form.calibrate is None:
        return {}
    if form.layers != "q4_1":
        raise CoderlsError(f"Only q4_1 is rounded by examples, not {form.layers}.", "Leave --calibrate out.")
    examples = rounding.read_examples(form.calibrate)
    net = network.load(folder, None, torch.bfloat16)
    return {name: weight.blocks() for name, weight in rounding.round_network(net, examples).items()}


def _json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{path} cannot be read: {error}.") from error
    if not isinstance(raw, dict):
        raise ModelBroken(f"{path} holds no object.")
    return raw


def _facts(writer: gguf.GGUFWriter, config: Mapping[str, Any], file_type: int) -> None:
    heads = int(config["num_attention_heads"])
    theta = (config.get("rope_parameters") or {}).get("rope_theta") or config["rope_theta"]
    writer.add_name("coderls nano")
    writer.add_license("apache-2.0")
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config["num_key_value_heads"]))
    writer.add_rope_freq_base(float(theta))
    writer.add_rope_dimension_count(int(config["hidden_size"]) // heads)
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _vocabulary(
    writer: gguf.GGUFWriter, config: Mapping[str, Any], tokenizer: Mapping[str, Any], template: Mapping[str, Any]
) -> None:
    ids = {str(text): int(number) for text, number in tokenizer["model"]["vocab"].items()}
    special = {str(token["content"]): int(token["id"]) for token in tokenizer["added_tokens"]}
    texts = {number: text for text, number in (ids | special).items()}
    size = int(config["vocab_size"])
    control, normal, unused = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL, gguf.TokenType.UNUSED
    numbers = set(special.values())
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([texts.get(number, f"[unused {number}]") for number in range(size)])
    writer.add_token_types(
        [control if number in numbers else normal if number in texts else unused for number in range(size)]
    )
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(int(config["bos_token_id"]))
    writer.add_eos_token_id(special[str(template["stop"][0])])
    writer.add_pad_token_id(int(config["pad_token_id"]))
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    for key, name in fim_names(template).items():
        writer.add_uint32(key, special[name])


def fim_names(template: Mapping[str, Any]) -> dict[str, str]:
    """GGUF's keys for the FIM marks, and the control tokens that stand for them."""
    keys = gguf.Keys.Tokenizer
    return {
        keys.FIM_PRE_ID: str(template["prefix"]),
        keys.FIM_SUF_ID: str(template["suffix"]),
        keys.FIM_MID_ID: str(template.get("middle") or MIDDLE),
    }


def _renamed(
    tensors: Mapping[str, npt.NDArray[Number]], config: Mapping[str, Any]
) -> Iterator[tuple[str, npt.NDArray[Number]]]:
    heads = {"q_proj": int(config["num_attention_heads"]), "k_proj": int(config["num_key_value_heads"])}
    for name in sorted(tensors, key=lambda text: [int(part) if part.isdigit() else -1 for part in text.split(".")]):
        values, stem = tensors[name], name.removesuffix(".weight").removesuffix(".bias")
        if name.endswith(".bias"):
            if np.any(values):
                raise ModelBroken(
                    f"{name} is not zero: this is no Llama.", "Only models without biases can be exported."
                )
            continue
        if stem in _OUTSIDE:
            yield f"{_OUTSIDE[stem]}.weight", values
            continue
        _, _, number, inner = stem.split(".", 3)
        count = heads.get(inner.rpartition(".")[2], 0)
        yield f"blk.{number}.{_LAYER[inner]}.weight", pairs_together(values, count) if count else values


def pairs_together(weight: npt.NDArray[Number], heads: int) -> npt.NDArray[Number]:
    """The reverse of `gguf_llama.halves_apart`. Shape [heads * size, inputs], or bytes in the place of inputs."""
    rows, inputs = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, inputs)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, inputs)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a `Form`."""
    parser.add_argument("--layers", choices=sorted(TYPES), default="q4_1")
    parser.add_argument("--embedding", choices=sorted(TYPES), default="q8_0")
    parser.add_argument("--calibrate", type=Path, metavar="EXAMPLES", help="round q4_1 by these (`training.examples`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Export; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.gguf_export")
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("out", type=Path, metavar="OUT.gguf")
    add_options(parser)
    args = parser.parse_args(argv)
    try:
        export(args.model, args.out, Form.of(args))
    except CoderlsError as error:
        print(f"gguf_export: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
