"""coderls: fill-in-the-middle completion and proved repairs from a model on your own machine."""

__version__ = "0.1.0"
