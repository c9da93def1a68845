"""Our requests as OpenAI's JSON, for the client: the other side of `openai_api.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coderls.engine.api import LONGEST_DRAFTS, MOST_DRAFTS, ChatRequest, GenerationRequest


def completion_body(request: GenerationRequest, model: str, *, user: str, begun: str = "") -> dict[str, Any]:
    """The JSON of a request. `user`: how we call ourselves to an engine of ours; empty for others. `begun`: the digest
    of the request's beginning, where the engine knows that one.
    """
    prompt = request.prompt if isinstance(request.prompt, str) else list(request.prompt)
    first = request.beginning
    if first is not None and not begun:
        prompt = [*first.ids, *prompt]
    body: dict[str, Any] = {"model": model, "prompt": prompt, **_always(request)}
    optional: dict[str, Any] = {**_asked_for(request), "logprobs": request.logprobs}
    if user:  # fields of our own, which others may refuse
        optional |= {
            "top_k": request.sampling.top_k or None,
            "stop_token_ids": list(request.stop_token_ids) or None,
            "required_prefix": request.required_prefix or None,
            "priority": int(request.priority),
            "drafts": _fitting(request.drafts) or None,
            "exact": request.exact or None,
            "forced": list(request.forced) or None,
            "room": request.room or None,
            "least_cached": request.least_cached or None,
            "beginning": begun or None,
            "local": None if request.local is None else request.local.digest,
            "before": list(request.before) or None,
            "remember": None if first is None or begun else len(first),
            "user": user,
        }
        body["stream_options"]["continuous_usage_stats"] = True  # a stream that is closed early has its counts too
    return body | _given(optional)


def chat_body(request: ChatRequest, model: str, *, user: str) -> dict[str, Any]:
    """The JSON of a conversation. `user` as in `completion_body`."""
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    body: dict[str, Any] = {"model": model, "messages": messages, **_always(request)}
    optional = _asked_for(request)
    if user:
        predicted = {"type": "content", "content": request.prediction[:LONGEST_DRAFTS]} if request.prediction else None
        optional |= {"priority": int(request.priority), "prediction": predicted, "user": user}
    return body | _given(optional)


def _always(request: GenerationRequest | ChatRequest) -> dict[str, Any]:
    """What every request says, of a text or of a conversation."""
    return {
        "max_tokens": request.max_tokens,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _asked_for(request: GenerationRequest | ChatRequest) -> dict[str, Any]:
    """What both say where it is not as usual; None otherwise."""
    return {
        "seed": request.sampling.seed,
        "n": request.n if request.n != 1 else None,
        "stop": list(request.stop) or None,
    }


def _given(optional: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in optional.items() if value is not None}


def _fitting(drafts: Sequence[str]) -> list[str]:
    """As much of the drafts as the engine takes, the first ones whole: a request is not refused for its hints."""
    left = LONGEST_DRAFTS
    kept = []
    for draft in drafts[:MOST_DRAFTS]:
        kept.append(draft[:left])
        left -= len(kept[-1])
    return [draft for draft in kept if draft]
