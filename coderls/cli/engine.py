"""`coderls engine`: the process that runs the model. Editors start it by themselves."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from coderls.engine import guest, launch, loading, serve
from coderls.errors import SettingsError
from coderls.models import store
from coderls.settings import DEVICES, DTYPES, NATIVE, SPECULATION, WEIGHTS, EngineSettings


def add_parser(subparsers: Any) -> None:
    """Add the command `engine`."""
    defaults = EngineSettings()
    parser = subparsers.add_parser("engine", help="run the engine process (editors start it by themselves)")
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
    parser.add_argument(
        "--background", action="store_true", help="with a lower priority than other programs, as editors start it"
    )
    parser.add_argument(
        "--idle-exit", type=float, default=0.0, metavar="S", help="leave after S seconds without a request (0: never)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the engine until it is told to leave; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if args.background:
        guest.stand_back()  # before there are threads
    found = store.resolve(args.model)  # a wrong name is said at once, not after a socket was opened
    listener = _listener(args)
    options = {name: getattr(args, name) for name in launch.ENGINE_OPTIONS}
    load = loading.loader(args.model, **options)
    return serve.serve(listener, load, model=found.name, idle_exit_s=args.idle_exit)


def _listener(args: argparse.Namespace) -> serve.Listener:
    if args.listen is None:
        if args.token_file or args.port_file:
            raise SettingsError("--token-file and --port-file go with --listen only.", "Leave them out.")
        if args.socket is None:
            raise SettingsError("The engine needs an address.", "Give --socket PATH or --listen 127.0.0.1:PORT.")
        return serve.listen_unix(args.socket)
    token = _token(args.token_file) if args.token_file else ""
    host, port = args.listen
    listener = serve.listen_loopback(host, port, token=token, port_file=args.port_file)
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
