"""Fixtures of the tests in real editors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.editors.home import Home


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """One folder and one engine for all editors: tests use files of their own."""
    made = Home()
    yield made
    made.close()
