"""Talks to an engine: ours over its socket, or anybody's OpenAI-compatible server.

httpx is imported when the first client is made, so that the front starts without it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coderls.beginning import Beginning
from coderls.engine.api import (
    LEAVING,
    PROTOCOL_HEADER,
    PROTOCOL_VERSION,
    UNKNOWN_BEGINNING,
    UNKNOWN_LOCAL,
    ChatRequest,
    Chunk,
    GenerationRequest,
    Health,
    LocalName,
)
from coderls.engine.openai_answers import read_chunks, read_events, read_usage
from coderls.engine.openai_requests import chat_body, completion_body
from coderls.errors import EngineError, EngineLeaving, EngineMismatch, EngineSilent, EngineUnreachable, RequestRefused

if TYPE_CHECKING:
    import httpx

CONNECT_S = 5.0
HEALTH_S = 10.0
SILENCE_S = 300.0  # a long prompt on a slow machine may wait in the queue before it says anything


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine is: a unix socket, or the base URL of an HTTP server. `foreign`: not an engine of coderls.

    `port_file`: our own engine on loopback writes port and token there (where there are no unix sockets).
    """

    socket: str = ""
    url: str = ""
    port_file: str = ""
    foreign: bool = False

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket else self.url or self.port_file


class EngineClient:
    """One engine, over a pool of kept connections. Make it where an event loop runs; `aclose` it there.

    `model` is what requests name; the engine's own where it is empty.
    """

    def __init__(self, endpoint: Endpoint, *, token: str = "", model: str = "", silence_s: float = SILENCE_S) -> None:
        # Its command line, which it imports where it can, brings click and rich along: an empty module stands for it.
        sys.modules.setdefault("httpx._main", ModuleType("httpx._main"))
        import httpx  # noqa: PLC0415  60 ms that the front's start cannot afford

        self.endpoint = endpoint
        self._model = model
        self._user = secrets.token_hex(8)  # the engine shares its time out by it
        self._health: Health | None = None
        self._sent: Beginning | None = None  # the engine was sent this one in full
        self.local = LocalName()  # the text that it was given last
        self._httpx = httpx
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if not endpoint.foreign:
            headers[PROTOCOL_HEADER] = str(PROTOCOL_VERSION)
        # There is no TLS on this machine's own sockets, and reading all certificates takes as long as a keystroke may.
        transport = httpx.AsyncHTTPTransport(uds=endpoint.socket, verify=False) if endpoint.socket else None
        try:
            _ = urlsplit(endpoint.url).port  # httpx looks at its range only when it connects
            self._http = httpx.AsyncClient(
                base_url=_base_url(endpoint),
                headers=headers,
                transport=transport,
                timeout=httpx.Timeout(silence_s, connect=CONNECT_S),
                verify=endpoint.foreign,
                trust_env=endpoint.foreign,  # a proxy is for other machines, never for our own socket
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise EngineMismatch(
                f"{endpoint} cannot be used: {error}.", "Check engine.url and engine.token."
            ) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def health(self) -> Health:
        """What the engine says of itself. A foreign one may know no `/health`: then its list of models is asked.

        Raises EngineUnreachable, EngineMismatch (no engine, or another protocol), RequestRefused (e.g. the token).
        """
        if self.endpoint.foreign:
            self._health = await self._foreign_health()
        else:
            answer = await self._get("/health")
            self._health = _read_health(_object(answer, self.endpoint), self.endpoint)
        return self._health

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Run a request; the last chunk of the last candidate has the usage.

        Closing the iterator (`contextlib.aclosing`) or cancelling the task drops the connection, which stops the
        generation. Raises EngineUnreachable, EngineMismatch or RequestRefused.
        """
        try:
            async with aclosing(self._begun(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except RequestRefused as error:
            if error.status != UNKNOWN_LOCAL or request.local is None or not request.local.digest:
                raise
        if self.local == request.local:  # it has forgotten the text: answers come without it until it is given again
            self.local = LocalName()
        async with aclosing(self._begun(replace(request, local=LocalName()))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def give(self, ids: bytes) -> None:
        """Give the engine a text of the repository: `local` names it from now on.

        `ids`: four bytes a token (little-endian, signed), -1 between two files. Raises as `stream` does.
        """
        name = LocalName(hashlib.sha256(ids).hexdigest(), len(ids) // 4)
        if name == self.local:
            return
        body = {"ids": base64.b64encode(ids).decode("ascii")}
        async with self._connected("POST", "/v1/local_text", body) as response:
            await response.aread()
        self.local = name

    async def _begun(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """As `stream`, with a beginning by its digest where the engine knows it."""
        model, user, first = await self._named(), "" if self.endpoint.foreign else self._user, request.beginning
        if first is not None and self._sent == first:
            body = completion_body(request, model, user=user, begun=first.digest)
            try:
                async with aclosing(self._streamed("/v1/completions", body)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except RequestRefused as error:
                if error.status != UNKNOWN_BEGINNING:
                    raise
            self._sent = None
        async with aclosing(self._streamed("/v1/completions", completion_body(request, model, user=user))) as chunks:
            async for chunk in chunks:
                if first is not None and self._keeps_beginnings:
                    self._sent = first
                yield chunk

    @property
    def _keeps_beginnings(self) -> bool:
        return self._health is not None and "beginning" in self._health.features

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Run a conversation to its next turn, as `stream` runs a prompt.

        Raises what `stream` raises; RequestRefused also when the engine's model has no chat template.
        """
        body = chat_body(request, await self._named(), user="" if self.endpoint.foreign else self._user)
        async with aclosing(self._streamed("/v1/chat/completions", body)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _named(self) -> str:
        """What the engine calls its model; it is asked once."""
        if not self._model and self._health is None:
            await self.health()
        return self._model or (self._health.model if self._health else "")

    async def _streamed(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        async with self._connected("POST", path, body) as response, aclosing(read_events(response)) as events:
            held: Chunk | None = None  # the chunk that ended a candidate waits for the usage, which comes right after
            async for event in events:
                usage = read_usage(event.get("usage"))
                for chunk in read_chunks(event, str(self.endpoint)):
                    if held is not None:
                        yield held
                        held = None
                    if chunk.finish_reason is None:
                        yield chunk if usage is None else replace(chunk, usage=usage)
                    else:
                        held = chunk
                if usage is not None and held is not None:
                    held = replace(held, usage=usage)
            if held is None:
                raise EngineUnreachable(
                    f"The engine at {self.endpoint} ended its answer in the middle.", "Ask again; its log may say why."
                )
            yield held

    async def _foreign_health(self) -> Health:
        answer = await self._get("/v1/models")
        listed = _object(answer, self.endpoint).get("data")
        cards = [card for card in listed if isinstance(card, dict)] if isinstance(listed, list) else []
        names = [str(card.get("id", "")) for card in cards]
        if not names:
            raise EngineMismatch(f"{self.endpoint} lists no models.", "Check the address (option engine.url).")
        index = names.index(self._model) if self._model in names else 0
        self._model = names[index]
        length = cards[index].get("max_model_len")  # vLLM and SGLang say it
        return Health(
            protocol=PROTOCOL_VERSION,
            state="ready",
            model=names[index],
            fraction=1.0,
            context_length=length if isinstance(length, int) else 0,
        )

    async def _get(self, path: str) -> httpx.Response:
        async with self._translated():
            response = await asyncio.wait_for(self._http.get(path), HEALTH_S)
            if response.status_code >= 400:
                raise _refusal(response.status_code, response.content, self.endpoint)
            return response

    @asynccontextmanager
    async def _connected(self, method: str, path: str, body: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        """A streamed response whose status is good. A kept connection that the engine had closed is tried anew once."""
        async with self._translated():
            try:
                response = await self._send(method, path, body)
            except (self._httpx.RemoteProtocolError, self._httpx.ReadError, self._httpx.WriteError):
                response = await self._send(method, path, body)
            try:
                if response.status_code >= 400:
                    raise _refusal(response.status_code, await response.aread(), self.endpoint)
                yield response
            finally:
                await response.aclose()

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        if self._http.is_closed:  # httpx has no error of its own for that
            raise EngineUnreachable(f"The connection to {self.endpoint} was closed.", "Ask again.")
        return await self._http.send(self._http.build_request(method, path, json=body), stream=True)

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Errors of the connection become errors of ours."""
        try:
            yield
        except (self._httpx.ReadTimeout, asyncio.TimeoutError) as error:
            raise EngineSilent(
                f"The engine at {self.endpoint} is connected but says nothing.", "Stop it; it is started anew."
            ) from error
        except self._httpx.RemoteProtocolError as error:
            if "disconnected" in str(error) or "closed" in str(error):
                raise EngineUnreachable(
                    f"The engine at {self.endpoint} went away in the middle.", "Ask again; its log may say why."
                ) from error
            raise EngineMismatch(f"{self.endpoint} does not speak HTTP: {error}.", "Check the address.") from error
        except self._httpx.DecodingError as error:
            raise EngineMismatch(f"{self.endpoint} cannot be read: {error}.", "Check the address.") from error
        except self._httpx.TransportError as error:
            raise EngineUnreachable(
                f"Nobody answers at {self.endpoint} ({type(error).__name__}).", "Is the engine running there?"
            ) from error


def _base_url(endpoint: Endpoint) -> str:
    if endpoint.socket:
        return "http://localhost"
    return endpoint.url.rstrip("/").removesuffix("/v1")  # both forms are common


def _read_health(raw: dict[str, Any], endpoint: Endpoint) -> Health:
    protocol = raw.get("protocol")
    if protocol != PROTOCOL_VERSION:
        raise EngineMismatch(
            f"{endpoint} speaks protocol {protocol!r:.20}, this coderls {PROTOCOL_VERSION}.",
            "Stop that engine; one of the right version is started then.",
        )
    known = {name.name for name in fields(Health)}
    values = {name: value for name, value in raw.items() if name in known}
    try:
        lists = {name: tuple(values.get(name) or ()) for name in ("features", "ways", "notes")}
        return Health(**{**values, **lists})
    except TypeError as error:
        raise EngineMismatch(f"{endpoint} says something else than an engine would.", "Check the address.") from error


def _object(response: httpx.Response, endpoint: Endpoint) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError as error:
        raise EngineMismatch(f"{endpoint} answers, but not as an engine does.", "Check the address.") from error
    if not isinstance(value, dict):
        raise EngineMismatch(f"{endpoint} answers, but not as an engine does.", "Check the address.")
    return value


def _refusal(status: int, content: bytes, endpoint: Endpoint) -> EngineError:
    """The error for a bad status, with the server's own sentence where it has one."""
    code = None
    try:
        failure = json.loads(content)["error"]
        message = str(failure["message"] if isinstance(failure, dict) else failure)
        code = failure.get("code") if isinstance(failure, dict) else None
    except (ValueError, KeyError, TypeError):
        message = ""
    if status == 503 and code == LEAVING:
        return EngineLeaving(message)
    if status == 426:
        return EngineMismatch(message or f"{endpoint} speaks another protocol version.", "Restart the engine.")
    if status in (404, 405) and not message:
        return EngineMismatch(f"{endpoint} is no engine (HTTP {status}).", "Check the option engine.url.")
    return RequestRefused(message or f"The engine at {endpoint} refused the request (HTTP {status}).", status=status)
