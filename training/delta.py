"""Deltas: the low-rank part of a network as the file that ships, and back; `coderls.models.embedded` applies it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from coderls.errors import ModelBroken
from training.network import LINEARS, Network


def _names(network: Network) -> dict[str, str]:
    """The names of trained tensors in a file, by their names in the network."""
    where = {name.partition(".")[2]: name for name in LINEARS}
    names = {"E": "E"}
    for name in network.trained():
        if name.startswith("layers."):
            _, number, linear, part = name.split(".")
            names[name] = f"model.layers.{number}.{where[linear]}.{part}"
    return names


def save(network: Network, path: Path) -> None:
    """Write the delta in bfloat16."""
    trained = network.trained()
    tensors = {
        new: trained[old].detach().to("cpu", torch.bfloat16).contiguous() for old, new in _names(network).items()
    }
    part = path.with_name(path.name + ".part")
    save_file(tensors, str(part))
    part.replace(path)


def load(network: Network, path: Path) -> None:
    """Begin from a delta. Raises ModelBroken for one of another shape."""
    try:
        found = load_file(str(path))
    except Exception as error:  # the library raises its own and OSError alike
        raise ModelBroken(f"{path} is no delta that can be read: {error}.") from error
    trained, names = network.trained(), _names(network)
    if set(found) != set(names.values()):
        raise ModelBroken(f"{path} is the delta of another network.")
    with torch.no_grad():
        for old, new in names.items():
            if trained[old].shape != found[new].shape:
                raise ModelBroken(f"{new} in {path} has the shape {tuple(found[new].shape)}.")
            trained[old].copy_(found[new].float())
