"""What stands before every endpoint: who may ask (Host, token), which protocol they speak, and the count of requests.

On loopback any program, and any web page through DNS rebinding, can connect: so Host must name this machine and a
token is needed. A unix socket with mode 0600 needs neither.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coderls.engine.api import PROTOCOL_HEADER, PROTOCOL_VERSION
from coderls.engine.metrics import Metrics

OUR_HOSTS = ("127.0.0.1", "localhost", "[::1]")
ENDPOINTS = (
    "/v1/completions",
    "/v1/chat/completions",
    "/v1/local_text",
    "/v1/models",
    "/health",
    "/metrics",
    "/shutdown",
)

#: What a request that counts as use of the engine runs in.
Use = Callable[[], AbstractContextManager[None]]


class Guard:
    """ASGI middleware. `token` None: behind a unix socket, where nobody else can come."""

    def __init__(self, app: ASGIApp, *, token: str | None, metrics: Metrics, in_use: Use = nullcontext) -> None:
        self._app = app
        self._token = token
        self._metrics = metrics
        self._in_use = in_use

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with what is wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        endpoint = scope["path"] if scope["path"] in ENDPOINTS else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(endpoint, str(message["status"])).inc()
                header = (PROTOCOL_HEADER.encode(), str(PROTOCOL_VERSION).encode())
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        refusal = self._refusal(Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, counted)
            return
        if not endpoint.startswith("/v1/"):
            await self._app(scope, receive, counted)
            return
        with self._in_use():
            await self._app(scope, receive, counted)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        if self._token is not None:
            host = headers.get("host", "")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name.lower() not in OUR_HOSTS:
                return _refuse(403, f"The Host {host!r:.80} is not this engine's: use 127.0.0.1.")
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self._token.encode()):
                return _refuse(401, "The bearer token is missing or wrong.", {"WWW-Authenticate": "Bearer"})
        protocol = headers.get(PROTOCOL_HEADER)
        if protocol is not None and protocol != str(PROTOCOL_VERSION):
            return _refuse(
                426,
                f"This engine speaks protocol {PROTOCOL_VERSION}, the client {protocol!r:.20}. "
                "Install the same version of coderls on both sides, and restart the engine.",
                {"Upgrade": f"coderls/{PROTOCOL_VERSION}"},
            )
        return None


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": error}, status, headers)
