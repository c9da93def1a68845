"""The HTTP side of the engine: OpenAI's endpoints over a worker. A request ends when its connection ends."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coderls.engine import openai_api as wire
from coderls.engine.api import LEAVING, UNKNOWN_BEGINNING, Chunk, GenerationRequest, Usage
from coderls.engine.beginnings import Beginnings
from coderls.engine.chat import ChatTemplate
from coderls.engine.event_stream import EventStream, unless_gone
from coderls.engine.exit_door import ExitDoor
from coderls.engine.guard import Guard, Use
from coderls.engine.jobs import Job
from coderls.engine.metrics import Metrics
from coderls.engine.resident import resident_bytes
from coderls.engine.shapes import ChatShape, CompletionShape, Shape
from coderls.engine.worker import Worker
from coderls.errors import CoderlsError, EngineLeaving, RequestRefused

if TYPE_CHECKING:
    from coderls.engine.blend import LocalText
    from coderls.engine.local_texts import LocalTexts

LARGEST_BODY = 16 << 20  # bytes; 128K tokens are one or two MB
LONG_TEXT = 20_000  # characters; longer prompts are tokenized beside the event loop

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def make_app(
    worker: Worker,
    metrics: Metrics,
    *,
    token: str | None = None,
    in_use: Use = nullcontext,
    exit_door: ExitDoor | None = None,
) -> Starlette:
    """The ASGI application. `token`: what loopback clients must send; None behind a unix socket.

    Every request that counts as use of the engine runs in an `in_use()`; `exit_door` takes requests to leave.
    """
    endpoints = _Endpoints(worker, metrics)
    return Starlette(
        routes=[
            Route("/v1/completions", endpoints.completions, methods=["POST"]),
            Route("/v1/chat/completions", endpoints.chat, methods=["POST"]),
            Route("/v1/local_text", endpoints.local_text, methods=["POST"]),
            Route("/v1/models", endpoints.models),
            Route("/v1/models/{model:path}", endpoints.model),
            Route("/health", endpoints.health),
            Route("/metrics", endpoints.metrics),
            Route("/shutdown", (exit_door or ExitDoor(None)).asked, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, token=token, metrics=metrics, in_use=in_use)],
        exception_handlers={
            CoderlsError: _refused,
            HTTPException: _no_such_page,
            ClientDisconnect: _gone,
            Exception: _broken,
        },
    )


class _Endpoints:
    def __init__(self, worker: Worker, metrics: Metrics) -> None:
        self._worker = worker
        self._metrics = metrics
        self._created = int(time.time())
        self._chat: ChatTemplate | None = None
        self._beginnings = Beginnings()
        self._local: LocalTexts | None = None

    async def health(self, _: Request) -> Response:
        now = {"prefill_tokens_per_s": self._worker.prefill_rate, "resident_bytes": resident_bytes()}
        return JSONResponse(asdict(self._worker.health) | now)

    async def metrics(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type=self._metrics.content_type)

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> Response:
        self._check_model(request.path_params["model"])
        return JSONResponse(self._card())

    def _card(self) -> dict[str, Any]:
        health = self._worker.health
        card = {"id": health.model, "object": "model", "created": self._created, "owned_by": "coderls"}
        return {**card, "max_model_len": health.context_length}

    async def completions(self, request: Request) -> Response:
        asked = wire.read_completion(await _json(request))
        self._check_ready(asked.model)
        begun = self._begun(asked.beginning)
        asked_prompt = asked.request.prompt
        rest = await self._encode(asked_prompt) if isinstance(asked_prompt, str) else asked_prompt
        prompt = (*begun, *rest)
        logprobs = asked.request.logprobs is not None
        shape = CompletionShape(self._head("cmpl", "text_completion"), self._worker.token_bytes, logprobs)
        local = None if asked.request.local is None else self._texts().get(asked.request.local.digest)
        response = await self._answer(request, asked, prompt, shape, checked=len(begun), local=local)
        if asked.remember:  # it was taken in: these are tokens of the model
            self._beginnings.keep(prompt[: asked.remember])
        return response

    async def local_text(self, request: Request) -> Response:
        body = await _json(request)
        self._check_ready()
        texts = self._texts()
        digest = await asyncio.to_thread(texts.take, body.get("ids"), self._worker.vocabulary)
        return JSONResponse({"digest": digest})

    def _texts(self) -> LocalTexts:
        if "local" not in self._worker.health.features:
            raise RequestRefused("This model has no weights for local texts ('local').", "Ask without it.")
        if self._local is None:
            texts = importlib.import_module("coderls.engine.local_texts")  # needs numpy
            self._local = texts.LocalTexts()
        return self._local

    def _begun(self, digest: str) -> tuple[int, ...]:
        """The tokens that a prompt begins with by their digest; none for "". Raises RequestRefused."""
        found = self._beginnings.get(digest) if digest else ()
        if found is None:
            raise RequestRefused("This beginning is not known here.", "Send all of the prompt.", UNKNOWN_BEGINNING)
        return found

    async def chat(self, request: Request) -> Response:
        asked, messages = wire.read_chat(await _json(request))
        self._check_ready(asked.model)
        template = self._chat_template()
        prompt = await asyncio.to_thread(template.encode, messages)
        stops = (*asked.request.stop_token_ids, *template.stop_ids)
        asked = replace(asked, request=replace(asked.request, stop_token_ids=stops))
        if asked.max_tokens is None:  # as many as fit; at least one, so that a full context is refused
            room = max(1, self._worker.context_length - len(prompt))
            asked = replace(asked, request=replace(asked.request, max_tokens=room))
        kind = "chat.completion.chunk" if asked.stream else "chat.completion"
        logprobs = asked.request.logprobs is not None
        shape = ChatShape(self._head("chatcmpl", kind), self._worker.token_bytes, logprobs)
        return await self._answer(request, asked, tuple(prompt), shape)

    def _check_ready(self, model: str | None = None) -> None:
        health = self._worker.health
        if health.state == LEAVING:
            raise EngineLeaving("The engine is leaving.", "Ask again: it is started anew.")
        if health.state != "ready":
            raise RequestRefused(f"The engine is not ready ({health.state}): {health.detail}.", "Try again.", 503)
        if model is not None:
            self._check_model(model)

    def _check_model(self, name: str) -> None:
        health = self._worker.health
        if name not in (health.model, health.model_path):
            raise RequestRefused(f"There is no model {name!r:.80} here.", f"This engine runs {health.model!r}.", 404)

    async def _encode(self, text: str) -> list[int]:
        if len(text) > LONG_TEXT:
            return await asyncio.to_thread(self._worker.tokenizer.encode, text)
        return self._worker.tokenizer.encode(text)

    def _chat_template(self) -> ChatTemplate:
        if self._chat is None:
            self._chat = ChatTemplate(self._worker.model_folder, self._worker.tokenizer)
        return self._chat

    def _head(self, prefix: str, kind: str) -> dict[str, Any]:
        identity = f"{prefix}-{secrets.token_hex(12)}"
        return {"id": identity, "object": kind, "created": int(time.time()), "model": self._worker.health.model}

    async def _answer(
        self,
        request: Request,
        asked: wire.Asked,
        prompt: tuple[int, ...],
        shape: Shape,
        *,
        checked: int = 0,
        local: LocalText | None = None,
    ) -> Response:
        chunks = generate(
            self._worker, asked.request, prompt, _client(request, asked.user), checked=checked, local=local
        )
        if not asked.stream:
            every = await unless_gone(request.receive, _all(chunks))
            if every is None:
                raise ClientDisconnect
            usage = next((chunk.usage for chunk in reversed(every) if chunk.usage), Usage())
            return JSONResponse(shape.whole(every, usage))
        # The headers wait for the first chunk: what fails before it gets a status of its own.
        first = await unless_gone(request.receive, anext(chunks))
        if first is None:
            await chunks.aclose()
            raise ClientDisconnect
        return EventStream(_events(first, chunks, shape, asked))


def _client(request: Request, user: str) -> str:
    """Whom a request counts against: who it says it is, or its address. Behind a unix socket there is none."""
    return f"user {user}" if user else f"host {request.client.host}" if request.client else ""


async def generate(
    worker: Worker,
    request: GenerationRequest,
    prompt: tuple[int, ...],
    client: str = "",
    *,
    checked: int = 0,
    local: LocalText | None = None,
) -> AsyncGenerator[Chunk, None]:
    """Run a request; closing the generator stops it before the next step. Raises what the worker fails it with."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Chunk | CoderlsError] = asyncio.Queue()

    def emit(event: Chunk | CoderlsError) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(arrived.put_nowait, event)

    job = Job(request, prompt, emit, client, checked, local)
    worker.submit(job)
    try:
        unfinished = request.n
        while unfinished:
            event = await arrived.get()
            if isinstance(event, CoderlsError):
                raise event
            unfinished -= event.finish_reason is not None
            yield event
    finally:
        job.cancelled = True


async def _events(
    first: Chunk, rest: AsyncGenerator[Chunk, None], shape: Shape, asked: wire.Asked
) -> AsyncGenerator[bytes, None]:
    usage = Usage()
    async with aclosing(rest):
        try:
            chunk: Chunk | None = first
            while chunk is not None:
                usage = chunk.usage or usage
                event = shape.event(chunk)
                if asked.usage_so_far and chunk.usage:
                    event["usage"] = wire.usage_body(chunk.usage)
                yield _event(event)
                chunk = await anext(rest, None)
        except CoderlsError as error:  # too late for a status
            yield _event(wire.error_body(error, _status(error)))
            return
    if asked.include_usage:
        yield _event(shape.usage_event(usage))
    yield b"data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> bytes:
    # ASCII only: some clients cut lines at U+2028 and its kind too
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


async def _all(chunks: AsyncGenerator[Chunk, None]) -> list[Chunk]:
    async with aclosing(chunks):
        return [chunk async for chunk in chunks]


async def _json(request: Request) -> dict[str, Any]:
    """The body, at most LARGEST_BODY bytes of it. Raises RequestRefused."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > LARGEST_BODY:
            raise RequestRefused(f"The request is larger than {LARGEST_BODY >> 20} MiB.", "Send less.", 413)
    try:
        body = json.loads(data.decode())
        if _HALF.search(data):  # JSON can name half a character; no text holds one, and no tokenizer takes it
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"The body is no JSON text: {error}.") from error
    if not isinstance(body, dict):
        raise RequestRefused("The body must be a JSON object.")
    return body


# Errors


def _status(error: CoderlsError) -> int:
    if isinstance(error, EngineLeaving):
        return 503
    return error.status if isinstance(error, RequestRefused) else 500


async def _refused(_: Request, error: Exception) -> Response:
    known = error if isinstance(error, CoderlsError) else CoderlsError(str(error))
    status = _status(known)
    return JSONResponse(wire.error_body(known, status), status, {"Retry-After": "1"} if status == 503 else None)


async def _no_such_page(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    body = wire.error_body(CoderlsError("There is nothing at this address." if status == 404 else str(error)), status)
    body["error"]["code"] = None
    return JSONResponse(body, status)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; the number is nginx's for a client that closed


async def _broken(_: Request, error: Exception) -> Response:
    return JSONResponse(wire.error_body(CoderlsError("The engine failed; its log says why."), 500), 500)
