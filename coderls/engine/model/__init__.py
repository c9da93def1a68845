"""The model itself, in PyTorch: the only package that imports torch."""
