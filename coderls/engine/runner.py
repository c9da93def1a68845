"""The seam between bookkeeping and tensors: what the worker asks of a model.

`engine/model/torch_runner.py` is the real one, `engine/fake.py` a scripted one without torch.
A runner owns KV slots, numbered from 0, each with room for `slot_lengths[i]` tokens. It does not know
which tokens are in them: `kv_slots.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coderls.engine.api import Sampling
from coderls.errors import CoderlsError


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about the loaded model. `context_length` in tokens; `stop_ids` end any generation.

    `plain_context`: a sequence that may grow beyond so many tokens has to be run as `Work.long` from its start (YaRN);
    0: none has to. `weights` and `kv_cache` are their forms ("bfloat16", "int8", "int4", "fp8"); `attention` names the
    backend that was chosen;
    `numerics`: see `Health`; `ways` the ways to run a step, the first that takes it first; `notes`: what could be
    faster here, and why it is not; `memory`: bytes of `device` by what they are for, as planned.
    """

    name: str
    context_length: int
    vocab_size: int
    stop_ids: tuple[int, ...]
    device: str
    dtype: str
    weights: str = ""
    kv_cache: str = ""
    weight_bytes: int = 0
    kv_bytes_per_token: int = 0
    plain_context: int = 0
    attention: str = ""
    ways: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    numerics: str = ""
    memory: Mapping[str, int] = field(default_factory=dict)


#: The file of a model directory that says how much is to be blended in.
GATE_FILE = "blend.json"


@dataclass(frozen=True, slots=True)
class Blend:
    """Probability that does not come from the model: a mass for each of `tokens`, less than 1 in all.

    What is left of 1 is the model's, which shares it out as it would have shared out all (see `blend.py`). Of tokens
    `untouched` only the model knows, such as where a text ends: they keep their probability, and all this is about the
    rest.
    """

    tokens: tuple[int, ...]
    masses: tuple[float, ...]
    untouched: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """Choose a token after the last one. `step` counts tokens of this output: seed and step fix the draw.

    `allowed`: only these ids may be chosen (token healing); None: all. `top`: how many alternatives to report.
    `blend`: what is mixed into the model's probabilities before anything else.
    """

    sampling: Sampling
    step: int = 0
    allowed: Sequence[int] | None = None
    top: int = 0
    blend: Blend | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The chosen token, its log-probability (natural, of the unfiltered distribution), and the likeliest others."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """Run `tokens` at positions `start`.. of `slot`, writing their KV; then sample after the last of them.

    `samples`: how to choose after each of the last `len(samples)` tokens. One for a step; several to verify drafted
    tokens, which come last in `tokens`; none for a mere prefill. `long`: see `ModelInfo.plain_context`.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    samples: Sequence[SampleSpec] = ()
    long: bool = False


#: What came of one piece of work: a Sample for each of its `samples`, or why it failed (the others did not).
Result = tuple[Sample, ...] | CoderlsError


class Runner(Protocol):
    """A loaded model with its KV memory. Called from one thread only."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def slot_lengths(self) -> Sequence[int]:
        """Capacity in tokens of each KV slot."""

    def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
        """Do all pieces of work (of different slots) at once; one result for each, in order.

        `should_stop` is asked now and then during a long prefill, between two layers; once it says yes, RunStopped is
        raised soon: what was to be written cannot be trusted then, and what was in the slots before is as it was.
        Raises what ends the whole batch: the KV of none of its slots can be trusted then.
        """

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the KV of the first `length` tokens from one slot to another."""

    def go_gently(self, gently: bool) -> None:
        """Use less power from now on at the cost of speed, or no longer. Never changes what is computed."""

    def close(self) -> None:
        """Give the memory back."""
