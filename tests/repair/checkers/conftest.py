"""Real checkers: those that `python -m devtools.checker_tools` installs, ruff and mypy of this environment, and the
machine's own compilers. One that is not there is skipped with its name; CI installs all that can be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.checkers.table import TABLE
from devtools.checker_tools import bins

FindTool = Callable[[str], Path]


@pytest.fixture(autouse=True)
def tools_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Put the installed tools in front of PATH; Go keeps what it compiled between runs of the tests."""
    real = [str(place) for place in bins()]
    monkeypatch.setenv("PATH", os.pathsep.join([*real, os.environ.get("PATH", "")]))


@pytest.fixture
def need() -> FindTool:
    """The program of a checker, or a skip that says which one is missing."""

    def find(name: str) -> Path:
        row = next(row for row in TABLE if row.kind.name == name)
        program = Surroundings.of(None, trusted=False).find(*row.programs)
        if program is None:
            pytest.skip(f"{name} is not installed: python -m devtools.checker_tools")
        return program

    return find
