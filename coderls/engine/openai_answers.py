"""What engines answer in OpenAI's form, as values of ours: for the client, the other side of `openai_requests.py`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from coderls.engine.api import LEAVING, Chunk, Usage
from coderls.errors import EngineLeaving, EngineMismatch, RequestRefused

if TYPE_CHECKING:
    import httpx

#: Bytes of one event. Those with the log-probabilities of a whole prompt are the longest.
_LONGEST_EVENT = 64 * 1024 * 1024


async def read_events(response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON of each server-sent event, up to [DONE]. Lines end at \\n or \\r\\n only: httpx cuts at U+2028 too.

    Raises EngineMismatch for a line without end, before it fills the memory.
    """
    rest = bytearray()
    async for data in response.aiter_bytes():
        whole, end, begun = data.rpartition(b"\n")
        if len(rest) + len(data) > _LONGEST_EVENT:
            raise EngineMismatch("The engine sent an event without end.", "Is it an engine?")
        if not end:
            rest += data
            continue
        lines = (bytes(rest) + whole).split(b"\n")
        rest = bytearray(begun)
        for line in lines:
            if not line.startswith(b"data:"):
                continue  # comments, event names, empty lines between events
            payload = line[5:].strip()
            if payload == b"[DONE]":
                continue  # read on to the end, so that the connection can be kept
            yield _read_event(payload)
    if rest.startswith(b"data:") and rest[5:].strip() != b"[DONE]":
        yield _read_event(bytes(rest[5:]).strip())


def _read_event(payload: bytes) -> dict[str, Any]:
    try:
        event = json.loads(payload.decode("utf-8", "replace"))  # some cut a character in two; an answer ends there
    except (ValueError, RecursionError) as error:
        raise EngineMismatch(f"The engine sent {payload!r:.80}, which is no JSON.", "Is it an engine?") from error
    if not isinstance(event, dict):
        raise EngineMismatch(f"The engine sent {payload!r:.80}, which is no event.", "Is it an engine?")
    failure = event.get("error")
    if failure:
        message = failure.get("message") if isinstance(failure, dict) else failure
        if isinstance(failure, dict) and failure.get("code") == LEAVING:
            raise EngineLeaving(str(message))
        raise RequestRefused(f"The engine failed: {message}", status=500)
    return event


def read_chunks(event: Mapping[str, Any], engine: str) -> list[Chunk]:
    """The pieces of an event of a completion or a conversation; `engine` names who sent it. Raises EngineMismatch."""
    try:
        return [_read_choice(choice) for choice in event.get("choices") or ()]
    except (AttributeError, TypeError, ValueError) as error:
        raise EngineMismatch(
            f"{engine} answers in another form than OpenAI's completions.", "Check the option engine.url."
        ) from error


def _read_choice(choice: Mapping[str, Any]) -> Chunk:
    logprobs = choice.get("logprobs") or {}
    said = choice.get("text") or (choice.get("delta") or {}).get("content")  # a completion, or a turn of a chat
    return Chunk(
        text=str(said or ""),
        index=int(choice.get("index") or 0),
        token_ids=tuple(int(token) for token in choice.get("token_ids") or ()),
        logprobs=tuple(float(value) for value in logprobs.get("token_logprobs") or () if value is not None),
        finish_reason=choice.get("finish_reason"),
    )


def read_usage(raw: Any) -> Usage | None:
    """The counts, where there are any."""
    if not isinstance(raw, dict):
        return None
    cached, accepted, rejected = (
        _count(details, name) if isinstance(details := raw.get(part), dict) else 0
        for part, name in (
            ("prompt_tokens_details", "cached_tokens"),
            ("completion_tokens_details", "accepted_prediction_tokens"),
            ("completion_tokens_details", "rejected_prediction_tokens"),
        )
    )
    prompt, completion = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    return Usage(prompt, completion, cached, accepted + rejected, accepted)


def _count(raw: Mapping[str, Any], name: str) -> int:
    count = raw.get(name)
    return count if isinstance(count, int) else 0  # a wrong count spoils no answer
