"""Checkpoints that coderls knows by a short name."""

from __future__ import annotations


def canonical(model: str) -> str:
    """The short name of a known checkpoint, whichever way it was written; anything else as it is."""
    return model
