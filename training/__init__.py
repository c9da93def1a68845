"""The recipe of the model that comes with coderls: corpus, examples, training, calibration, packing (README.md)."""
