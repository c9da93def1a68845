"""OpenAI's JSON: request bodies are read into our values here, and our values are written as theirs.

A wrong field is refused by name. What the engine cannot do is refused too, rather than silently left out; fields
that change nothing about the output (`metadata`, `service_tier`, ...) are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from coderls.engine.api import (
    LEAVING,
    LONGEST_DRAFTS,
    MOST_DRAFTS,
    Chunk,
    GenerationRequest,
    LocalName,
    Priority,
    Sampling,
    Usage,
)
from coderls.errors import CoderlsError, EngineLeaving, RequestRefused

MOST_CANDIDATES = 16
MOST_STOPS = 64
MOST_LOGPROBS = 20
LONGEST_NAME = 256


class FieldRefused(RequestRefused):
    """A field of the request is wrong; `param` is its name."""

    def __init__(self, param: str, must: str, value: Any = None) -> None:
        super().__init__(f"{param!r} must be {must}, not {value!r:.80}." if must else f"{param!r} is not supported.")
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """What both endpoints have in common. `max_tokens` None: as many as fit. `logprobs` None: none.

    `beginning`: the digest of what stands before the prompt; `remember`: so many of its first tokens are to be known by
    theirs.
    """

    model: str | None
    request: GenerationRequest
    max_tokens: int | None
    stream: bool
    include_usage: bool
    usage_so_far: bool = False
    user: str = ""
    beginning: str = ""
    remember: int = 0


class Fields:
    """Checked access to the fields of one JSON body. Every method raises FieldRefused for a wrong value."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    def raw(self, name: str) -> Any:
        """The value as it came; None when it is absent."""
        return self._body.get(name)

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise FieldRefused(name, "a string", value)
        return value

    def flag(self, name: str) -> bool:
        """A boolean; false when absent."""
        value = self.raw(name)
        if value is not None and not isinstance(value, bool):
            raise FieldRefused(name, "true or false", value)
        return bool(value)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int | None:
        """A whole number from `low` to `high`."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise FieldRefused(name, f"a whole number from {low} to {high}", value)
        return value

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number from `low` to `high`."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise FieldRefused(name, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def ids(self, name: str) -> tuple[int, ...]:
        """A list of token ids."""
        value = self.raw(name)
        if value is None:
            return ()
        if not _is_ids(value):
            raise FieldRefused(name, "a list of token ids", value)
        return tuple(value)

    def stops(self) -> tuple[str, ...]:
        """`stop`: a string or a list of strings."""
        value = self.raw("stop")
        stops = [value] if isinstance(value, str) else [] if value is None else value
        if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
            raise FieldRefused("stop", f"a string or a list of at most {MOST_STOPS} non-empty strings", value)
        return tuple(stops)

    def drafts(self) -> tuple[str, ...]:
        """`drafts`: texts that the output may be."""
        value = self.raw("drafts")
        if value is None:
            return ()
        whole = isinstance(value, list) and len(value) <= MOST_DRAFTS and all(isinstance(text, str) for text in value)
        if not whole or sum(map(len, value)) > LONGEST_DRAFTS:
            raise FieldRefused("drafts", f"at most {MOST_DRAFTS} strings of {LONGEST_DRAFTS} characters in all", value)
        return tuple(dict.fromkeys(text for text in value if text))

    def refuse(self, *names: str) -> None:
        """These would change the output, and are not supported: refused unless absent, empty or zero."""
        for name in names:
            if self.raw(name):
                raise FieldRefused(name, "")


def read_completion(body: Mapping[str, Any]) -> Asked:
    """The body of /v1/completions. Raises FieldRefused."""
    fields = Fields(body)
    fields.refuse("echo", "suffix")
    n = fields.whole("n", 1, MOST_CANDIDATES, 1)
    if fields.raw("best_of") not in (None, n):
        raise FieldRefused("best_of", "absent or equal to n", fields.raw("best_of"))
    logprobs = fields.whole("logprobs", 0, MOST_LOGPROBS)
    beginning = fields.text("beginning", "") or ""
    prompt = () if beginning and fields.raw("prompt") == [] else _prompt(fields.raw("prompt"))
    if beginning and isinstance(prompt, str):
        raise FieldRefused("beginning", "with a prompt of token ids", beginning)
    remember = fields.whole("remember", 0, 0 if beginning or isinstance(prompt, str) else len(prompt), 0) or 0
    asked = _asked(fields, prompt, fields.whole("max_tokens", 0, 1 << 20, 16), logprobs)
    local = fields.text("local")
    if local is not None:
        asked = replace(asked, request=replace(asked.request, local=LocalName(local), before=fields.ids("before")))
    return replace(asked, beginning=beginning, remember=remember)


def read_chat(body: Mapping[str, Any]) -> tuple[Asked, list[dict[str, Any]]]:
    """The body of /v1/chat/completions: the request (its prompt is still empty) and the messages."""
    fields = Fields(body)
    fields.refuse("tools", "functions", "audio")
    if fields.raw("response_format") not in (None, {"type": "text"}):
        raise FieldRefused("response_format", 'absent or {"type": "text"}', fields.raw("response_format"))
    limit = fields.whole("max_completion_tokens", 1, 1 << 20, fields.whole("max_tokens", 1, 1 << 20))
    top = fields.whole("top_logprobs", 0, MOST_LOGPROBS, 0)
    asked = _asked(fields, (), limit, top if fields.flag("logprobs") else None)
    predicted = _prediction(fields.raw("prediction"))
    if predicted:
        asked = replace(asked, request=replace(asked.request, drafts=(*asked.request.drafts, predicted)))
    return asked, _messages(fields.raw("messages"))


def _asked(fields: Fields, prompt: tuple[int, ...] | str, max_tokens: int | None, logprobs: int | None) -> Asked:
    fields.refuse("frequency_penalty", "presence_penalty", "logit_bias")
    options = fields.raw("stream_options")
    if options is not None and not isinstance(options, dict):
        raise FieldRefused("stream_options", "an object", options)
    priority = fields.whole("priority", Priority.INTERACTIVE, Priority.BACKGROUND, Priority.INTERACTIVE)
    request = GenerationRequest(
        prompt,
        max_tokens=max_tokens or 0,
        sampling=Sampling(
            fields.number("temperature", 0.0, 2.0, 1.0),
            fields.number("top_p", 0.0, 1.0, 1.0),
            fields.whole("top_k", 0, 1 << 20, 0) or 0,
            fields.whole("seed", -(1 << 63), (1 << 63) - 1),
        ),
        n=fields.whole("n", 1, MOST_CANDIDATES, 1) or 1,
        stop=fields.stops(),
        stop_token_ids=fields.ids("stop_token_ids"),
        logprobs=logprobs,
        required_prefix=fields.text("required_prefix", "") or "",
        priority=Priority(priority or 0),
        drafts=fields.drafts(),
        exact=fields.flag("exact"),
        forced=fields.ids("forced"),
        room=fields.whole("room", 0, 1 << 20, 0) or 0,
        least_cached=fields.whole("least_cached", 0, 1 << 20, 0) or 0,
    )
    usage = bool((options or {}).get("include_usage"))
    # vLLM's name for counts in every event: a client that stops a generation early has them all the same.
    so_far = bool((options or {}).get("continuous_usage_stats"))
    if request.forced:
        if request.required_prefix or request.n != 1:
            raise FieldRefused("forced", "alone: without required_prefix and n", list(request.forced))
        request = replace(request, max_tokens=len(request.forced), drafts=())
    user = (fields.text("user", "") or "")[:LONGEST_NAME]
    return Asked(fields.text("model"), request, max_tokens, fields.flag("stream"), usage, so_far, user)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in value)


def _prompt(value: Any) -> tuple[int, ...] | str:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], (str, list)):
        value = value[0]  # a batch of one
    if isinstance(value, str) and value:
        return value
    if _is_ids(value) and value:
        return tuple(value)
    raise FieldRefused("prompt", "a text or a list of token ids (one prompt for each request)", value)


def _messages(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise FieldRefused("messages", "a list of messages", value)
    return [_message(entry, f"messages[{index}]") for index, entry in enumerate(value)]


def _message(entry: Any, name: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("role"), str):
        raise FieldRefused(name, "an object with role and content", entry)
    return {"role": entry["role"], "content": _content(entry.get("content"), f"{name}.content")}


def _content(content: Any, name: str) -> str:
    """A text, or the joined texts of a list of parts."""
    if isinstance(content, list):
        parts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content
        ]
        if not all(isinstance(part, str) for part in parts):
            raise FieldRefused(name, "text, or parts of type text", content)
        content = "".join(str(part) for part in parts)
    if not isinstance(content, str):
        raise FieldRefused(name, "text, or parts of type text", content)
    return content


def _prediction(value: Any) -> str:
    """OpenAI's predicted output of a chat: most of the answer is expected to be this text."""
    if value is None:
        return ""
    if not isinstance(value, dict) or value.get("type") != "content":
        raise FieldRefused("prediction", 'an object of type "content"', value)
    return _content(value.get("content"), "prediction.content")[:LONGEST_DRAFTS]


# Answers


def error_body(error: CoderlsError, status: int) -> dict[str, Any]:
    """An error as OpenAI writes it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = {404: "model_not_found", 503: "unavailable"}.get(status)
    if isinstance(error, EngineLeaving):
        code = LEAVING
    return {"error": {"message": str(error), "type": kind, "param": getattr(error, "param", None), "code": code}}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Token counts, with those that came from the cache and from drafts."""
    rejected = usage.drafted_tokens - usage.accepted_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {
            "accepted_prediction_tokens": usage.accepted_tokens,
            "rejected_prediction_tokens": rejected,
        },
    }


def completion_logprobs(chunk: Chunk, token_bytes: Sequence[bytes], offset: int) -> dict[str, Any]:
    """`logprobs` of a completions choice. `offset`: characters of the output before this chunk."""
    tokens = [_token_text(token_bytes[token]) for token in chunk.token_ids]
    offsets = []
    at = offset
    for text in tokens:
        offsets.append(at)
        at = min(at + len(text), offset + len(chunk.text))
    return {
        "tokens": tokens,
        "token_logprobs": [_finite(value) for value in chunk.logprobs],
        "top_logprobs": [{_token_text(token_bytes[i]): _finite(value) for i, value in top} for top in chunk.top],
        "text_offset": offsets,
    }


def chat_logprobs(chunk: Chunk, token_bytes: Sequence[bytes]) -> dict[str, Any]:
    """`logprobs` of a chat choice."""

    def entry(token: int, value: float) -> dict[str, Any]:
        data = token_bytes[token]
        return {"token": _token_text(data), "logprob": _finite(value), "bytes": list(data)}

    return {
        "content": [
            {**entry(token, value), "top_logprobs": [entry(i, other) for i, other in top]}
            for token, value, top in zip(chunk.token_ids, chunk.logprobs, chunk.top, strict=True)
        ]
    }


def _token_text(data: bytes) -> str:
    """A token that is part of a character is written as its bytes, as OpenAI does."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -9999.0  # OpenAI's own stand-in; JSON has no infinity
