"""How an engine is asked to leave: `POST /shutdown`, which only its own user can do.

On a unix socket nobody else can be (mode 0600). On loopback the request must name a token that stands in the port file,
which only this user can read: the one that other programs were given for completions is not enough.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from coderls.engine import openai_api as wire
from coderls.engine.api import LEAVING, STOP_HEADER
from coderls.errors import RequestRefused

log = logging.getLogger(__name__)


class ExitDoor:
    """Takes requests to leave. `stop_token`: what they must name; "": nothing; None: nobody can ask for that.

    `leave` is what ends the server; it is set when there is one.
    """

    def __init__(self, stop_token: str | None) -> None:
        self._stop_token = stop_token
        self.leave: Callable[[], None] = lambda: None

    async def asked(self, request: Request) -> Response:
        """The endpoint."""
        given = request.headers.get(STOP_HEADER, "")
        if self._stop_token is None or not secrets.compare_digest(given.encode(), self._stop_token.encode()):
            refusal = RequestRefused(
                "Only the user who started this engine can end it.",
                "Use `coderls engine --stop` there, or end its process.",
                403,
            )
            return JSONResponse(wire.error_body(refusal, refusal.status), refusal.status)
        log.info("Leaving: asked to")
        self.leave()
        return JSONResponse({"state": LEAVING}, 202)
