"""Rounds the weights of layers to 4 bits so that what layers give out changes least, not the weights themselves.

Each column of a weight is rounded in its turn, and its error is made up for in the columns that are still to come, by
the second moments of the inputs (GPTQ, https://arxiv.org/abs/2210.17323). A layer's inputs are those that the rounded
layers before it give. Rounding to the nearest takes a low-rank change out again where it moves weights by less than a
step; this keeps most of what it does. The form is GGUF's Q4_1: 32 inputs share a step and a least value.

    python -m training.rounding MODEL_DIR EXAMPLES VALIDATION [--validate 100]

says what it costs on examples of `training.examples`: the loss of their middles with the weights as they are, with the
engine's int4, rounded by EXAMPLES, and with the engine's int4 of these. `--calibrate` of `training.package` rounds so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coderls.engine.model.quantize import quantize_int4
from coderls.errors import CoderlsError
from training import network
from training.network import LINEARS, Layer, Linear, Network
from training.shards import Shards
from training.train import validate

GROUP = 32
_STEPS = 15
#: Of the mean of the diagonal, added to it: inputs that hardly vary would else take all errors.
_DAMPING = 0.01
#: Parts of a group's range that are tried.
_RANGES = (1.0, 0.95, 0.9, 0.85)
#: Linear layers by the one whose input they share.
_SHARED = {
    "q_proj": ("q_proj", "k_proj", "v_proj"), "o_proj": ("o_proj",), "gate_proj": ("gate_proj", "up_proj"),
    "down_proj": ("down_proj",),
}  # fmt: skip
#: Examples that are read: some 8,000 tokens at the least, for inputs of at most 1,536 numbers.
READ = 32
_FULL_NAME = {name.partition(".")[2]: name for name in LINEARS}


@dataclass(frozen=True, slots=True)
class Rounded:
    """A weight of `numbers * step + least`: uint8 [out, in] from 0 to 15, float16 [out, in / 32] each."""

    numbers: Tensor
    step: Tensor
    least: Tensor

    def dequantized(self) -> Tensor:
        """The weight, float32 [out, in]."""
        grouped = self.numbers.view(*self.step.shape, GROUP).float()
        values = grouped * self.step.float().unsqueeze(-1) + self.least.float().unsqueeze(-1)
        return values.view(self.numbers.shape)

    def blocks(self) -> npt.NDArray[np.uint8]:
        """As Q4_1 holds it, uint8 [out, in / 32 * 20]: step, least, and two numbers a byte, 16 apart."""
        grouped = self.numbers.view(*self.step.shape, 2, GROUP // 2).numpy()
        pairs = grouped[..., 0, :] | (grouped[..., 1, :] << 4)
        heads = [part.numpy()[..., None].view(np.uint8) for part in (self.step, self.least)]
        return np.concatenate([*heads, pairs], -1).reshape(self.numbers.shape[0], -1)


@torch.no_grad()
def round_network(net: Network, examples: Sequence[npt.NDArray[np.int64]]) -> dict[str, Rounded]:
    """The weights of all layers by name; they take the place of the network's. `examples`: token ids to read."""
    states = [F.embedding(torch.from_numpy(ids)[None], net.embedding).to(net.dtype) for ids in examples]
    angles = [net.angles(len(ids), net.embedding.device) for ids in examples]
    found: dict[str, Rounded] = {}
    for number, layer in enumerate(net.layers):
        if not isinstance(layer, Layer):
            continue
        moments = _moments(layer, states, angles)
        for first, names in _SHARED.items():
            for name in names:
                linear = layer.get_submodule(name)
                if isinstance(linear, Linear):
                    rounded = round_weight(linear.weight, moments[first])
                    linear.weight.copy_(rounded.dequantized())
                    found[f"model.layers.{number}.{_FULL_NAME[name]}.weight"] = rounded
        states = list(_passed(layer, states, angles))
    return found


def _passed(layer: Layer, states: Sequence[Tensor], angles: Sequence[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    for state, (cos, sin) in zip(states, angles, strict=True):
        yield layer.forward(state, cos, sin)


class _Watched(nn.Module):
    """A linear layer that sums up the second moments of its input, [in, in]."""

    def __init__(self, inner: Linear) -> None:
        super().__init__()
        self.inner = inner
        inputs = inner.weight.shape[1]
        self.moments = torch.zeros(inputs, inputs)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).float()
        self.moments += rows.t() @ rows
        return self.inner.forward(x)


def _moments(layer: Layer, states: Sequence[Tensor], angles: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Of the inputs of a layer's linear layers, by the first that has them."""
    inner = {name: layer.get_submodule(name) for name in _SHARED}
    watched = {name: _Watched(linear) for name, linear in inner.items() if isinstance(linear, Linear)}
    try:
        for name, watcher in watched.items():
            setattr(layer, name, watcher)
        for _ in _passed(layer, states, angles):
            pass
    finally:
        for name, linear in inner.items():
            setattr(layer, name, linear)
    return {name: watcher.moments for name, watcher in watched.items()}


def round_weight(weight: Tensor, moments: Tensor) -> Rounded:
    """`weight` [out, in] for inputs with these second moments [in, in]. `in` is a multiple of 32."""
    rows, columns = weight.shape
    upper = _upper(moments)
    left = weight.detach().float().clone()
    numbers = torch.zeros(rows, columns, dtype=torch.uint8)
    steps, leasts = (torch.zeros(rows, columns // GROUP, dtype=torch.float16) for _ in range(2))
    for start in range(0, columns, GROUP):
        block, inside = left[:, start : start + GROUP], upper[start : start + GROUP]
        step, least = _steps(block)
        errors = torch.zeros_like(block)
        for place in range(GROUP):
            number = _nearest(block[:, place], step, least)
            row = inside[place, start + place : start + GROUP]
            errors[:, place] = (block[:, place] - (number * step + least)) / row[0]
            block[:, place:] -= torch.outer(errors[:, place], row)
            numbers[:, start + place] = number
        left[:, start + GROUP :] -= errors @ inside[:, start + GROUP :]
        steps[:, start // GROUP], leasts[:, start // GROUP] = step, least
    return Rounded(numbers, steps, leasts)


def _upper(moments: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse of the damped moments: its rows say where an error goes."""
    damped = moments.double()
    damped.diagonal().add_(_DAMPING * damped.diagonal().mean() + 1e-9)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor.float()


def _steps(block: Tensor) -> tuple[Tensor, Tensor]:
    """Step and least value [out] of a group [out, 32], rounded as they are held; by the least squared error."""
    low, high = block.amin(1), block.amax(1)
    found = error = None
    for part in _RANGES:
        spare = (high - low) * (1 - part) / 2
        step = ((high - low) * part / _STEPS).half().float()
        least = (low + spare).half().float()
        values = _nearest(block, step[:, None], least[:, None]) * step[:, None] + least[:, None]
        of_this = (values - block).square().sum(1)
        if found is None or error is None:
            found, error = (step, least), of_this
        else:
            better = of_this < error
            found = (torch.where(better, step, found[0]), torch.where(better, least, found[1]))
            error = torch.where(better, of_this, error)
    if found is None:
        raise ValueError("no part of the range is tried")
    return found


def _nearest(values: Tensor, step: Tensor, least: Tensor) -> Tensor:
    safe = torch.where(step > 0, step, torch.ones_like(step))
    return ((values - least) / safe).round().clamp(0, _STEPS)


def to_engine_int4(net: Network) -> None:
    """Each weight of the layers as the engine holds it in int4."""
    for linear in net.modules():
        if isinstance(linear, Linear):
            held = quantize_int4(linear.weight.detach().bfloat16(), GROUP)
            linear.weight.data.copy_(held.dequantize())


def read_examples(folder: Path) -> list[npt.NDArray[np.int64]]:
    """Token ids of the first few examples of a folder. Raises CoderlsError."""
    shards = Shards.open(folder)
    return [shards.example(number)[0] for number in range(min(READ, len(shards)))]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.rounding")
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("examples", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("--validate", type=int, default=100, metavar="N", help="examples to measure on")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        held, read = Shards.open(args.validation), read_examples(args.examples)
        for rounded in (False, True):
            net = network.load(args.model, None, torch.bfloat16)
            if rounded:
                round_network(net, read)
            print("rounded by examples" if rounded else "as it is", validate(net, held, args.validate, 4), flush=True)
            to_engine_int4(net)
            print("  and in the engine's int4", validate(net, held, args.validate, 4), flush=True)
    except CoderlsError as error:
        print(f"rounding: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
