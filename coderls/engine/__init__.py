"""The inference engine: an OpenAI-compatible HTTP server over one model, and the client of it.

Torch is imported in `engine/model/` alone; everything else here is plain Python and runs without it.
"""
