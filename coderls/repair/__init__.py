"""Repairs: candidates from rules and models, and the proof that each of them must pass before anybody sees it."""
