"""The optional native step: C++ that runs a whole decode or verify step on a CPU, compiled where a compiler is.

Nothing needs it: where it cannot be built, or `engine.native` is off, torch runs every step.
"""
