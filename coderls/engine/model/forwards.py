"""The ways to run a batch through the model: each says which batches it takes, and the first that does runs it.

The eager pass takes everything and comes last. Before it come ways that are faster for what they take, each tested
equal to it: captured CUDA graphs, a compiled step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from coderls.engine.model.attention import Attention
from coderls.engine.model.batch import Batch
from coderls.engine.model.kv import KvCache
from coderls.engine.model.qwen2 import Qwen2, forward
from coderls.errors import RunStopped


class Forward(Protocol):
    """One way, for one model and its cache."""

    @property
    def name(self) -> str:
        """As logs and `coderls doctor` show it."""

    def takes(self, batch: Batch) -> bool:
        """Whether this way can run `batch`. Quick: it is asked at every step."""

    def __call__(self, batch: Batch) -> Tensor | None:
        """See `qwen2.forward`: writes keys and values, returns float32 logits [wanted, vocab] or None."""


class EagerForward:
    """Operation by operation: on every device, every batch."""

    name = "eager"

    def __init__(self, model: Qwen2, cache: KvCache, attention: Attention) -> None:
        self._model = model
        self._cache = cache
        self._attention = attention
        self._device = model.embedding.device

    def takes(self, batch: Batch) -> bool:
        """Always."""
        del batch
        return True

    def __call__(self, batch: Batch) -> Tensor | None:
        """See `Forward`."""
        return forward(self._model, batch.to(self._device), self._cache, self._attention)


def run_first(forwards: Sequence[Forward], batch: Batch) -> Tensor | None:
    """Run `batch` the first way that takes it; the last of `forwards` takes all."""
    return next(way for way in forwards if way.takes(batch))(batch)


def stop_between(should_stop: Callable[[], bool], device: torch.device) -> Callable[[], None]:
    """What to call before each layer of a long pass: raises RunStopped once `should_stop` says yes.

    A card works behind the host, which could have queued all layers before anybody changes their mind: the host is
    held back until the card is at most two layers behind.
    """
    behind: deque[torch.cuda.Event] = deque()

    def between() -> None:
        if device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(device))
            behind.append(event)
            if len(behind) > 2:
                behind.popleft().synchronize()
        if should_stop():
            raise RunStopped("The run of the model was stopped.")

    return between
