"""The way to the engine: found or started in the background, and again when it is gone.

Nothing here runs while nobody types: the engine may leave when it is idle, and the next request brings it back.
After a failure the next try waits longer each time; the user is told once for each outage, not for each keystroke.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from coderls.engine.power import Power
from coderls.errors import CoderlsError, EngineError, EngineLeaving, EngineUnreachable, ModelUnavailable
from coderls.session.status import EngineState
from coderls.session.ui import Client, Progress
from coderls.settings import EngineSettings

if TYPE_CHECKING:
    from coderls.session.heavy import Engine

logger = logging.getLogger(__name__)

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_LONGEST_ANSWER_S = 30.0
#: One that fails now and then, with good answers in between, is told of only once in so long.
_TOLD_HOLDS_S = 300.0

#: How long a measured speed is believed, and how much faster the engine must be for longer prompts. Both are coarse:
#: each change of the budget moves the window, and what the engine has cached is lost once.
_SPEED_HOLDS_S = 20.0
_FASTER = 1.25


def import_heavy() -> ModuleType:
    """The module of all that takes long to import."""
    return importlib.import_module("coderls.session.heavy")


class EngineLink:
    """The engine of one session. `engine` is None while there is none that can be asked.

    `on_state` is called each time that `state` is another one.
    """

    def __init__(self, client: Client, on_state: Callable[[], None] = lambda: None) -> None:
        self.engine: Engine | None = None
        self.state = EngineState()
        self._client = client
        self._on_state = on_state
        self._settings: EngineSettings | None = None
        self._power = Power("off")
        self._connecting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._retry_at = 0.0
        self._used_at = 0.0
        self._proved = False
        self._left: Engine | None = None  # the last that went of its own accord
        self._told = False
        self._told_at = float("-inf")
        self._speed_seen_at = float("-inf")

    def use(self, settings: EngineSettings) -> None:
        """Connect in the background, or leave the engine for another when the settings are others."""
        if settings == self._settings:
            return
        self._settings = settings
        self._power = Power(settings.battery)
        self._failures, self._retry_at, self._told = 0, 0.0, False
        self._leave()
        self._connect()

    async def spare_battery(self) -> None:
        """Raise EngineError where nothing shall be computed that nobody waits for."""
        if await asyncio.to_thread(self._power.saves):
            raise EngineError("This machine runs on its battery.", "Set engine.battery to off.")

    def wanted(self) -> Engine | None:
        """The engine for one request. Without one: None, and a try to get it is made if one is due."""
        if self.engine is None and self._connecting is None and time.monotonic() >= self._retry_at:
            self._connect()
        return self.engine

    async def ready(self, longest_s: float) -> Engine | None:
        """As `wanted`, but waits for a while when the engine is just being found or started."""
        if self.wanted() is None and self._connecting is not None:
            await asyncio.wait([self._connecting], timeout=longest_s)
        return self.engine

    def worked(self, engine: Engine) -> None:
        """`engine` answered a request: what went wrong before is over."""
        if self.engine is engine:
            self._used_at = time.monotonic()
            self._failures, self._proved = 0, True
            self._told = self._told and time.monotonic() - self._told_at < _TOLD_HOLDS_S
            if time.monotonic() - self._speed_seen_at > _SPEED_HOLDS_S:
                self._speed_seen_at = time.monotonic()
                self._keep(asyncio.ensure_future(self._see_speed(engine)))

    def lost(self, engine: Engine, error: CoderlsError) -> None:
        """`engine` failed a request in a way that says it is gone: get it back.

        One that never answered anything is not started again at once: it would fail at each keystroke. One that
        leaves of its own accord is no failure.
        """
        if self.engine is not engine or self._settings is None:
            return  # somebody else noticed before
        idle = time.monotonic() - self._used_at
        longest = self._settings.idle_exit_s
        # Its idle time began with its last request, ours with the answer.
        left_idle = longest > 0 and idle >= max(longest / 2, longest - _LONGEST_ANSWER_S)
        left_by_itself = isinstance(error, EngineLeaving) or left_idle
        logger.warning("The engine is gone: %s", error)
        self._left = engine if left_by_itself else None
        self._leave()
        if not self._proved and not left_by_itself:
            self._failed(f"The engine stopped at its first request. {error}", "error")
            return
        if not left_by_itself and not self._told:
            self._told, self._told_at = True, time.monotonic()
            self._client.show("warning", f"The engine stopped, and is started again. {error}")
        self._connect()

    async def successor(self, engine: Engine) -> Engine | None:
        """The engine that can be asked again what `engine` did not answer, because it left of its own accord.

        Waits until it is there. None when there is none, and when `engine` did not leave in such a way.
        """
        if engine is not self._left:
            return None
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        return self.engine

    async def close(self) -> None:
        """Drop the connection; the engine process is left to others, and leaves when idle."""
        self._settings = None
        self._leave()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _see_speed(self, engine: Engine) -> None:
        """Let prompts grow when the engine turns out to be faster than it was when it was found."""
        with suppress(EngineError):  # if it is gone, the next request says so
            health = await engine.client.health()
            speed = health.prefill_tokens_per_s
            if self.engine is engine and speed > engine.model.prefill_tokens_per_s * _FASTER:
                self.engine = replace(engine, health=health, model=replace(engine.model, prefill_tokens_per_s=speed))

    def _leave(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._keep(self._connecting)
            self._connecting = None
        if self.engine is not None:
            self._keep(asyncio.ensure_future(self.engine.client.aclose()))
            self.engine = None

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _connect(self) -> None:
        if self._settings is not None:
            self._connecting = asyncio.ensure_future(self._find_or_start(self._settings))

    async def _find_or_start(self, settings: EngineSettings) -> None:
        bar = _Bar(self._client, "coderls")
        detail = ""
        self._enter(EngineState("starting"))
        try:
            loop = asyncio.get_running_loop()
            work = await loop.run_in_executor(None, import_heavy)
            log = await loop.run_in_executor(None, work.log_of, settings)
            self._enter(EngineState("starting", log=log))

            def report(what: str, fraction: float) -> None:
                loading = not work.not_loading_yet(what)
                self._enter(EngineState("loading" if loading else "starting", what, fraction, log=log))
                bar.report(what, fraction)

            client, health = await work.connect(settings, report)
            try:
                model = await loop.run_in_executor(None, work.load_fim_model, health)
            except BaseException:
                await client.aclose()
                raise
            self.engine = work.Engine(client, health, model)
            self._used_at, self._proved = time.monotonic(), False
            detail = f"{health.model} is ready"
            self._enter(EngineState("ready", model=health.model, device=health.device, log=log))
            self._client.log(f"The engine is ready: {health.model} on {health.device or 'its own device'}.")
        except (EngineUnreachable, ModelUnavailable) as error:
            self._failed(str(error), "offline")
        except CoderlsError as error:
            self._failed(str(error), "error")
        except Exception as error:
            logger.exception("Connecting to the engine failed.")
            self._failed(f"Connecting to the engine failed ({type(error).__name__}). The log says more.", "error")
        finally:
            if self._connecting is asyncio.current_task():
                self._connecting = None
            await bar.end(detail)

    def _enter(self, state: EngineState) -> None:
        if state != self.state:
            self.state = state
            self._on_state()

    def _failed(self, message: str, kind: Literal["offline", "error"]) -> None:
        wait = min(_FIRST_WAIT_S * 2**self._failures, _LONGEST_WAIT_S)
        self._failures += 1
        self._retry_at = time.monotonic() + wait
        logger.warning("No engine (try %d): %s", self._failures, message)
        self._enter(EngineState(kind, f"{message} It is tried again as you type.", log=self.state.log))
        if not self._told:
            self._told, self._told_at = True, time.monotonic()
            self._client.show("error", f"No completions for now. {message}")


class _Bar:
    """A progress bar that appears with the first report, so that an engine that is there shows none."""

    def __init__(self, client: Client, title: str) -> None:
        self._client = client
        self._title = title
        self._loop = asyncio.get_running_loop()
        self._latest = ("", 0.0)
        self._beginning: asyncio.Task[None] | None = None
        self._shown: Progress | None = None

    def report(self, detail: str, fraction: float) -> None:
        """Safe from any thread."""
        self._loop.call_soon_threadsafe(self._report, detail, fraction)

    def _report(self, detail: str, fraction: float) -> None:
        self._latest = (detail, fraction)
        if self._shown is not None:
            self._shown.report(detail, fraction)
        elif self._beginning is None:
            self._beginning = asyncio.ensure_future(self._begin())

    async def _begin(self) -> None:
        self._shown = await self._client.progress(self._title)
        self._shown.report(*self._latest)

    async def end(self, detail: str) -> None:
        if self._beginning is not None:
            await self._beginning
        if self._shown is not None:
            self._shown.end(detail)
            self._shown = None
