"""Running a program that is not trusted to behave: a time limit, a limit on what it prints, and an end that takes its
children along."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderls.errors import CheckerFailed

#: No checker has more to say (bytes); one that prints without end is stopped here.
MOST_OUTPUT = 32_000_000
#: Address space of a C compiler in KiB: `#include "/dev/zero"` and macros that double ten times over end there. Headers
#: of C++ libraries need a part of it.
C_MEMORY_KIB = 4_000_000
#: gcc reads `a.h.gch`, a picture of its own memory that a repository could bring, instead of `a.h` where that is the
#: first file of all to be included. With this one before it, it is not.
WITHOUT_GCH = ("-include", os.devnull)
_SHELL = Path("/bin/sh")  # Windows has none, and no limit: there the time is all that ends it
_CHUNK = 65_536
_LAST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Done:
    """What a program left behind."""

    code: int
    stdout: str
    stderr: str
    took_s: float

    @property
    def last_words(self) -> str:
        """The end of what it said, in one line, for a message."""
        return " ".join((self.stderr or self.stdout).split())[-_LAST_WORDS:]


async def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    limit_s: float,
    text: str = "",
    memory_kib: int | None = None,
) -> Done:
    """Run `command` in `folder` with `text` on its standard input, and wait for its end.

    `memory_kib`: so much address space each of its processes may have, where the system knows such a limit.

    Raises CheckerFailed when it cannot be started, prints without end or is not done after `limit_s` seconds. However
    this ends, the task's being cancelled included, neither the program nor its children are left.
    """
    began = time.perf_counter()
    name = Path(command[0]).name
    limited = command if memory_kib is None else _limited(command, memory_kib)
    process = await start(limited, folder=folder, environment=environment)
    try:
        stdout, stderr, code = await asyncio.wait_for(_talk(process, text, name), limit_s)
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise CheckerFailed(f"{name} did not answer in {limit_s:.0f} s and was stopped.") from error
    finally:
        await stop(process)
    took = time.perf_counter() - began
    return Done(code, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"), took)


def _limited(command: Sequence[str], memory_kib: int) -> list[str]:
    """The command by way of a shell that sets the limit first."""
    shell = [str(_SHELL), "-c", f'ulimit -v {memory_kib}; exec "$0" "$@"'] if _SHELL.exists() else []
    return [*shell, *command]


async def start(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Process:
    """Start a program with pipes, in a process group of its own. Raises CheckerFailed when that fails.

    Cancelled while it starts, it leaves nothing behind.
    """
    apart: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        apart = {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command, cwd=folder, env=dict(environment), stdin=PIPE, stdout=PIPE, stderr=PIPE, **apart
        )
    )
    try:
        # asyncio, cancelled here, would wait for pipes that a child of the program may hold open for ever.
        return await asyncio.shield(starting)
    except (OSError, ValueError) as error:
        raise CheckerFailed(f"{command[0]} could not be started: {error}.", "Check its installation.") from error
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.ensure_future(_stop_once_started(starting)))
        raise


async def _stop_once_started(starting: asyncio.Future[Process]) -> None:
    with suppress(OSError, ValueError):
        await stop(await starting)


async def stop(process: Process) -> None:
    """End a program and its children at once; nothing if they have ended."""
    if os.name == "nt":
        if process.returncode is None:
            await _end_tree_on_windows(process.pid)
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # the group lives on as long as one child of it does
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    transport = getattr(process, "_transport", None)  # its pipes: a child that left the group may hold them open
    await asyncio.shield(asyncio.ensure_future(_reap(process)))
    if transport is not None:
        transport.close()


async def _reap(process: Process) -> None:
    with suppress(TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), 5.0)


async def _end_tree_on_windows(pid: int) -> None:
    killer = await asyncio.create_subprocess_exec(
        "taskkill", "/PID", str(pid), "/T", "/F", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    await killer.wait()


async def _talk(process: Process, text: str, name: str) -> tuple[bytes, bytes, int]:
    told = asyncio.ensure_future(_write(process, text))
    heard = [asyncio.ensure_future(_read(stream, name)) for stream in (process.stdout, process.stderr)]
    try:
        stdout, stderr = await asyncio.gather(*heard)
        return stdout, stderr, await process.wait()
    finally:
        for task in (told, *heard):
            task.cancel()
        await asyncio.gather(told, *heard, return_exceptions=True)


async def _write(process: Process, text: str) -> None:
    if process.stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # it has gone, or does not listen: its answer will tell
        process.stdin.write(text.encode("utf-8", "surrogatepass"))
        await process.stdin.drain()
        process.stdin.close()


async def _read(stream: asyncio.StreamReader | None, name: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while stream is not None and (piece := await stream.read(_CHUNK)):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_OUTPUT:
            raise CheckerFailed(f"{name} printed more than {MOST_OUTPUT / 1e6:.0f} MB and was stopped.")
    return b"".join(pieces)
