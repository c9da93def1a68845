"""`coderls engine`: runs the model (editors start it by themselves); shows and ends the engines that run."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from coderls.engine import guest, launch, loading, serve
from coderls.errors import CoderlsError, SettingsError
from coderls.models import store
from coderls.settings import BATTERY, DEVICES, DTYPES, KV_CACHES, NATIVE, SPECULATION, WEIGHTS, EngineSettings

if TYPE_CHECKING:
    from coderls.engine.running import Running


def add_parser(subparsers: Any) -> None:
    """Add the command `engine`."""
    defaults = EngineSettings()
    parser = subparsers.add_parser(
        "engine",
        help="run the engine process (editors start it by themselves), show those that run, end them",
        description="Run an engine, or show and end those that editors and other commands started. An engine that is "
        "told to leave by Ctrl+C or SIGTERM does so with exit code 130 or 143.",
    )
    manage = parser.add_mutually_exclusive_group()
    manage.add_argument("--list", action="store_true", help="show the engines of this user that run")
    manage.add_argument(
        "--stop",
        nargs="?",
        const="all",
        metavar="NAME",
        help="end engines: all, or those of a name in --list, a model or a process id; editors start a new one when "
        "they need it",
    )
    parser.add_argument("--json", action="store_true", help="with --list: print JSON")
    parser.add_argument(
        "--model", default=defaults.model, metavar="NAME|DIR", help="model name or directory (default: %(default)s)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", type=Path, metavar="PATH", help="listen on a unix socket (mode 0600)")
    where.add_argument(
        "--listen", type=_address, metavar="HOST:PORT", help="listen on loopback, with a token (port 0: any free one)"
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="with --listen: the bearer token is the text of this file"
    )
    parser.add_argument(
        "--port-file", type=Path, metavar="FILE", help="with --listen: write port, token and process id there as JSON"
    )
    parser.add_argument("--device", default=defaults.device, choices=DEVICES)
    parser.add_argument("--dtype", default=defaults.dtype, choices=DTYPES)
    parser.add_argument("--weights", default=defaults.weights, choices=WEIGHTS)
    parser.add_argument("--kv-cache", default=defaults.kv_cache, choices=KV_CACHES, help="8 bits: twice the context")
    parser.add_argument("--native", default=defaults.native, choices=NATIVE, help="compiled steps on a processor")
    parser.add_argument("--threads", type=int, default=defaults.threads, metavar="N", help="0: as many as cores")
    parser.add_argument(
        "--context-length", type=int, default=defaults.context_length, metavar="TOKENS", help="0: what memory allows"
    )
    parser.add_argument(
        "--memory-gb", type=float, default=defaults.memory_gb, metavar="GB", help="memory to take (0: what is free)"
    )
    parser.add_argument(
        "--gpu-memory-gb", type=float, default=defaults.gpu_memory_gb, metavar="GB", help="the same of a card's memory"
    )
    parser.add_argument(
        "--speculation", default=defaults.speculation, choices=SPECULATION, help="draft tokens and verify them at once"
    )
    parser.add_argument(
        "--draft-model", default=defaults.draft_model, metavar="NAME|DIR", help="a smaller model that drafts"
    )
    parser.add_argument("--battery", default=defaults.battery, choices=BATTERY, help="auto: spare a battery")
    parser.add_argument(
        "--background", action="store_true", help="with a lower priority than other programs, as editors start it"
    )
    parser.add_argument(
        "--idle-exit", type=float, default=0.0, metavar="S", help="leave after S seconds without a request (0: never)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the engine until it is told to leave, or show or end those that run; returns the exit code."""
    if args.json and not args.list:
        raise SettingsError("--json goes with --list only.", "Leave it out.")
    if args.list:
        return _list(as_json=args.json)
    if args.stop is not None:
        return _stop(args.stop)
    return _serve(args)


def _list(*, as_json: bool) -> int:
    from coderls.engine import running  # noqa: PLC0415  (an engine needs no HTTP client)

    engines = running.running()
    if as_json:
        print(json.dumps([_facts(one) for one in engines], indent=1))
        return 0
    if not engines:
        print("No engine runs.")
        return 0
    rows: list[tuple[str, ...]] = [("name", "model", "state", "device", "weights", "memory", "process")]
    rows += [_row(one) for one in engines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("\n`coderls engine --stop NAME` ends one, `coderls engine --stop` all of them.")
    return 0


def _facts(engine: Running) -> dict[str, Any]:
    return {"name": engine.name, "state": engine.state, "address": str(engine.file), "health": dict(engine.health)}


def _row(engine: Running) -> tuple[str, ...]:
    health = engine.health
    taken = health.get("resident_bytes", 0)
    memory = f"{taken / 1e9:.2f} GB" if isinstance(taken, int) and taken else ""
    said = (str(health.get(name, "")) for name in ("device", "weights"))
    return (engine.name, engine.model, engine.state, *said, memory, str(engine.pid or ""))


def _stop(name: str) -> int:
    from coderls.engine import running  # noqa: PLC0415

    engines = running.running()
    wanted = running.chosen(engines, name)
    if not wanted and name == "all":
        print("No engine runs.")
        return 0
    if not wanted:
        names = ", ".join(f"{one.name} ({one.model})" for one in engines) or "none runs"
        raise SettingsError(f"No engine is called {name!r}.", f"Engines that run: {names}.")
    failed: list[CoderlsError] = []
    for one in wanted:
        try:
            running.end(one)
            print(f"{one.name} ({one.model}) has left.")
        except CoderlsError as error:
            failed.append(error)
            print(f"coderls: {error}", file=sys.stderr)
    return 1 if failed else 0


def _serve(args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if args.background:
        guest.stand_back()  # before there are threads
    guest.wait_briefly()
    found = store.resolve(args.model)  # a wrong name is said at once, not after a socket was opened
    listener = _listener(args)
    options = {name: getattr(args, name) for name in launch.ENGINE_OPTIONS}
    load = loading.loader(args.model, **options)
    return serve.serve(listener, load, model=found.name, idle_exit_s=args.idle_exit)


def _terminated(number: int, _: FrameType | None) -> NoReturn:
    """SIGTERM before the server has handlers of its own: leave through every `finally`."""
    raise SystemExit(128 + number)


def _listener(args: argparse.Namespace) -> serve.Listener:
    if args.listen is None:
        if args.token_file or args.port_file:
            raise SettingsError("--token-file and --port-file go with --listen only.", "Leave them out.")
        if args.socket is None:
            raise SettingsError("The engine needs an address.", "Give --socket PATH or --listen 127.0.0.1:PORT.")
        return serve.listen_unix(args.socket)
    from coderls.engine import running  # noqa: PLC0415

    token = _token(args.token_file) if args.token_file else ""
    host, port = args.listen
    listed = running.port_file_beside(args.port_file)
    listener = serve.listen_loopback(host, port, token=token, port_file=args.port_file, listed=listed)
    print(f"coderls engine: {listener.name}/v1", file=sys.stderr)
    if not token and args.port_file is None:
        print(f"coderls engine: bearer token {listener.token}", file=sys.stderr)
    return listener


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"The token file {path} cannot be read: {error}.", "Name one that you can read.") from error
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"The token in {path} must be 16 or more printable characters without spaces.",
            "Make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`.",
        )
    return token


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:8012")
    return host.strip("[]"), int(port)
