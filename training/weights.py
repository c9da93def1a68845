"""Whole weights: a trained network as a model's folder, in files of a bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from training.network import EMBEDDING, LINEARS, Layer, Linear, Network

#: A repository's file may have so many bytes.
PIECE_BYTES = 50 * 10**6


def tensors(network: Network) -> Iterator[tuple[str, Tensor]]:
    """Names as Hugging Face's checkpoints have them, and the weights with the low-rank part added, float32."""
    embedding = network.embedding.detach().float().clone()
    if network.low is not None:
        embedding[network.rows] = network.E.detach().float()
    yield EMBEDDING, embedding
    yield "model.norm.weight", network.norm.detach().float()
    for number, layer in enumerate(network.layers):
        if isinstance(layer, Layer):
            yield from ((f"model.layers.{number}.{name}", value) for name, value in _of_layer(layer))


def _of_layer(layer: Layer) -> Iterator[tuple[str, Tensor]]:
    yield "input_layernorm.weight", layer.input_norm.detach().float()
    yield "post_attention_layernorm.weight", layer.post_norm.detach().float()
    for name in LINEARS:
        linear = layer.get_submodule(name.partition(".")[2])
        if isinstance(linear, Linear):
            weight = linear.weight.detach().float()
            if linear.scale:
                weight = weight + linear.scale * (linear.B.detach().double() @ linear.A.detach().double()).float()
            yield f"{name}.weight", weight
            if linear.bias is not None:
                yield f"{name}.bias", linear.bias.detach().float()


def save(network: Network, folder: Path) -> None:
    """Write the weights in bfloat16, as `model-*.safetensors` of at most about 50 MB and their index.

    The embedding of this model, 57 MB, is the one tensor that is larger, and has a file of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("model*.safetensors"):
        old.unlink()
    pieces: list[dict[str, Tensor]] = [{}]
    held = 0
    for name, value in tensors(network):
        data = value.to("cpu", torch.bfloat16).contiguous()
        if pieces[-1] and held + data.nbytes > PIECE_BYTES:
            pieces.append({})
            held = 0
        pieces[-1][name] = data
        held += data.nbytes
    names = [f"model-{number + 1:05}-of-{len(pieces):05}.safetensors" for number in range(len(pieces))]
    for file, piece in zip(names, pieces, strict=True):
        save_file(piece, str(folder / file), metadata={"format": "pt"})
    placed = {name: file for file, piece in zip(names, pieces, strict=True) for name in piece}
    total = sum(value.nbytes for piece in pieces for value in piece.values())
    index = {"metadata": {"total_size": total}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
