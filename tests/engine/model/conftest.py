"""Torch on two threads: what the machine of CI has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from coderls.engine.model.native import build
from tests.engine.model.interpreter import quicken


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(autouse=True, scope="session")
def quick_interpreter() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        yield


@pytest.fixture(autouse=True)
def compiles_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch computes is tested by itself; the tests of the native step, in `native/`, compile it once."""
    if "native" not in request.path.parts and request.node.get_closest_marker("nano") is None:
        monkeypatch.setattr(build, "find_compiler", lambda: None)
