"""Models on disk: which there are, where they come from, and what a machine can run. No torch."""
