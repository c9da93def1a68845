"""What the engine counts, for `/metrics`. Every engine has a registry of its own; nothing here is global."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.7, 1.2, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """Counters, gauges and histograms of one engine; safe to use from several threads."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "coderls_requests", "Requests by endpoint and HTTP status", ["endpoint", "status"], registry=registry
        )
        self.outcomes = Counter(
            "coderls_generations",
            "Requests that ran, by outcome: done, cancelled, failed",
            ["outcome"],
            registry=registry,
        )
        self.prompt_tokens = Counter("coderls_prompt_tokens", "Tokens of prompts", registry=registry)
        self.cached_tokens = Counter(
            "coderls_cached_tokens", "Tokens of prompts that were in the KV cache", registry=registry
        )
        self.completion_tokens = Counter("coderls_completion_tokens", "Tokens chosen", registry=registry)
        self.drafted_tokens = Counter("coderls_drafted_tokens", "Drafted tokens that were verified", registry=registry)
        self.accepted_tokens = Counter(
            "coderls_accepted_tokens", "Drafted tokens that are in an output", registry=registry
        )
        self.together = Histogram(
            "coderls_batch_size",
            "Generations in one model run",
            buckets=(1.0, 2.0, 4.0, 8.0, 16.0),
            registry=registry,
        )
        self.run_tokens = Counter(
            "coderls_run_tokens", "Tokens that the model ran over, of prompts and outputs", registry=registry
        )
        self.steps = Counter("coderls_steps", "Model runs", ["kind"], registry=registry)
        self.step_seconds = Histogram(
            "coderls_step_seconds", "Time of one model run", ["kind"], buckets=_SECONDS, registry=registry
        )
        self.first_token = Histogram(
            "coderls_first_token_seconds", "From receipt to the first token", buckets=_SECONDS, registry=registry
        )
        self.duration = Histogram(
            "coderls_request_seconds", "From receipt to the end", buckets=_SECONDS, registry=registry
        )
        self.queue = Gauge("coderls_queue", "Requests that wait or run", registry=registry)
        self.prefill_rate = Gauge("coderls_prefill_tokens_per_second", "Prefill speed, measured", registry=registry)

    def step(self, kind: str, generations: int, seconds: float, tokens: int) -> None:
        """Note one model run of `generations`; `kind` is "prefill", "decode" or, with drafts, "verify"."""
        self.run_tokens.inc(tokens)
        self.together.observe(generations)
        self.steps.labels(kind).inc()
        self.step_seconds.labels(kind).observe(seconds)

    def text(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self._registry)
