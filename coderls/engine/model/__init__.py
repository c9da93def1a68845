"""The model itself: the only package that imports torch.

`torch_runner.load_runner` is the door; the engine's bookkeeping knows nothing else of what is here.
"""
