"""How the engine's two endpoints write their answers: event by event, or whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from coderls.engine import openai_api as wire
from coderls.engine.api import Chunk, Usage


class Shape(Protocol):
    """How an endpoint writes its answers."""

    def event(self, chunk: Chunk) -> dict[str, Any]: ...

    def usage_event(self, usage: Usage) -> dict[str, Any]: ...

    def whole(self, chunks: list[Chunk], usage: Usage) -> dict[str, Any]: ...


@dataclass
class CompletionShape:
    """/v1/completions."""

    head: dict[str, Any]
    token_bytes: Sequence[bytes]
    logprobs: bool
    offsets: dict[int, int] = field(default_factory=dict)  # characters of each candidate so far

    def event(self, chunk: Chunk) -> dict[str, Any]:
        return {**self.head, "choices": [self._choice(chunk)]}

    def usage_event(self, usage: Usage) -> dict[str, Any]:
        return {**self.head, "choices": [], "usage": wire.usage_body(usage)}

    def whole(self, chunks: list[Chunk], usage: Usage) -> dict[str, Any]:
        choices = [self._choice(chunk) for chunk in _joined(chunks)]
        return {**self.head, "choices": choices, "usage": wire.usage_body(usage)}

    def _choice(self, chunk: Chunk) -> dict[str, Any]:
        logprobs = None
        if self.logprobs:
            logprobs = wire.completion_logprobs(chunk, self.token_bytes, self.offsets.get(chunk.index, 0))
        self.offsets[chunk.index] = self.offsets.get(chunk.index, 0) + len(chunk.text)
        choice = {"index": chunk.index, "text": chunk.text, "logprobs": logprobs, "finish_reason": chunk.finish_reason}
        return {**choice, "token_ids": list(chunk.token_ids)}


@dataclass
class ChatShape:
    """/v1/chat/completions."""

    head: dict[str, Any]
    token_bytes: Sequence[bytes]
    logprobs: bool
    begun: set[int] = field(default_factory=set)  # candidates whose role was said

    def event(self, chunk: Chunk) -> dict[str, Any]:
        delta = {} if chunk.index in self.begun else {"role": "assistant"}
        self.begun.add(chunk.index)
        choice = {"index": chunk.index, "delta": {**delta, "content": chunk.text}, "logprobs": self._logprobs(chunk)}
        return {**self.head, "choices": [{**choice, "finish_reason": chunk.finish_reason}]}

    def usage_event(self, usage: Usage) -> dict[str, Any]:
        return {**self.head, "choices": [], "usage": wire.usage_body(usage)}

    def whole(self, chunks: list[Chunk], usage: Usage) -> dict[str, Any]:
        choices = [
            {
                "index": chunk.index,
                "message": {"role": "assistant", "content": chunk.text, "refusal": None},
                "logprobs": self._logprobs(chunk),
                "finish_reason": chunk.finish_reason,
            }
            for chunk in _joined(chunks)
        ]
        return {**self.head, "choices": choices, "usage": wire.usage_body(usage)}

    def _logprobs(self, chunk: Chunk) -> dict[str, Any] | None:
        return wire.chat_logprobs(chunk, self.token_bytes) if self.logprobs else None


def _joined(chunks: list[Chunk]) -> list[Chunk]:
    """One chunk for each candidate, in order."""
    whole: dict[int, Chunk] = {}
    for chunk in chunks:
        before = whole.get(chunk.index, Chunk("", chunk.index))
        whole[chunk.index] = replace(
            chunk,
            text=before.text + chunk.text,
            token_ids=before.token_ids + chunk.token_ids,
            logprobs=before.logprobs + chunk.logprobs,
            top=before.top + chunk.top,
        )
    return [whole[index] for index in sorted(whole)]
