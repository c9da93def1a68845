"""Completions as somebody at a keyboard meets them: latency, whole lines typed, and what other parsers say of them."""
