"""Torch on two threads: what the machine of CI has."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> None:
    torch.set_num_threads(2)
