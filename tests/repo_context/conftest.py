"""Time for every retriever: what is left out because it is late would be another thing on each machine."""

from __future__ import annotations

import pytest

from coderls.repo_context import candidates, retrieve


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = candidates.find.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "limit_s", 30.0)
    monkeypatch.setattr(retrieve, "_BINDINGS_S", 10.0)
