"""The command line: `coderls --stdio`, and one module for each other command.

A command's module has `add_parser(subparsers)` and `run(args) -> int`. Only the module of the command that was
asked for is imported, so that an editor that starts `coderls --stdio` waits for nothing else. What the commands in
`APART` take is declared in `arguments.py`: their modules are imported once it is known that the arguments are right.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from coderls import __version__
from coderls.cli.visible import visible
from coderls.errors import CoderlsError, ModelNotFound, SettingsError, UsageError

#: name -> (module, one line for `coderls --help`)
COMMANDS: dict[str, tuple[str, str]] = {
    "complete": ("coderls.cli.complete", "print the completion at FILE:LINE:COLUMN"),
    "replay": ("coderls.cli.replay", "make recorded completions again, and say whether the same comes of them"),
    "repair": ("coderls.cli.repair", "find verified fixes for what checkers complain about, or report on a whole tree"),
    "models": ("coderls.cli.models", "list, fetch, build, recommend or remove models"),
    "engine": ("coderls.cli.engine", "run the engine process (editors start it by themselves)"),
    "index": ("coderls.cli.index", "read a repository into the index, and say what is left out and why"),
    "stats": ("coderls.cli.stats", "how completions fared: shown, taken, kept (it stays on this machine)"),
    "doctor": ("coderls.cli.doctor", "check this installation, and say what to do about each fault"),
}

APART = frozenset({"complete", "replay", "repair", "index", "doctor"})

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
_LAYOUT = "\n\t"
#: What was typed has to be corrected, and nothing was done.
_TO_CORRECT = (UsageError, SettingsError, ModelNotFound)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0; 1: it failed and said why, or the answer is no; 2: what was typed has to be corrected, be it an option, a value,
    or the name of a file, folder, place, model or engine that is not there; 130: Ctrl+C. Some have 3 and 4, too.
    """
    _write_anything()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except CoderlsError as error:
        print(f"coderls: {visible(str(error), keep=_LAYOUT)}", file=sys.stderr)
        return MISUSED if isinstance(error, _TO_CORRECT) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()  # the reader has gone (`coderls ... | head`): nobody is left to be told
        return FAILED
    return code


def _run(argv: list[str]) -> int:
    parser, commands = _parser(argv)
    args, unknown = parser.parse_known_args(argv)
    if unknown and args.command is not None:
        _refuse(args.command, unknown[0], commands.choices[args.command])
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.stdio:
        return int(_server().serve_stdio(_records(args)))
    if args.tcp is not None:
        return int(_server().serve_tcp(args.tcp, _records(args)))
    if args.record is not None:
        parser.error("--record goes with --stdio or --tcp; for one completion: coderls complete PLACE --record DIR")
    if args.command is None:
        parser.print_help()
        return MISUSED
    if "look_first" in args:
        args.look_first(args)  # before what takes long to import
    return int(importlib.import_module(COMMANDS[args.command][0]).run(args))


def _refuse(command: str, word: str, parser: argparse.ArgumentParser) -> None:
    """Leave with a sentence about a word that a command does not take, and the option that it may stand for."""
    import difflib  # noqa: PLC0415  (an editor's server needs none)

    options = set(re.findall(r"--[a-z][a-z-]+", parser.format_help()))
    near = difflib.get_close_matches(f"--{word.lstrip('-')}", sorted(options), 1, 0.7)
    guess = f" Did you mean {near[0]}?" if near else ""
    said = f"coderls {command} takes no {visible(word)!r}.{guess} `coderls {command} --help` says what it takes."
    parser.exit(MISUSED, f"coderls: {said}\n")


def _parser(argv: Sequence[str]) -> tuple[argparse.ArgumentParser, Any]:
    """The parser, and those of the commands (`choices`)."""
    parser = argparse.ArgumentParser(
        prog="coderls",
        description="Code completion from a model on your own machine, for every editor that speaks LSP.",
    )
    parser.add_argument("--version", action="version", version=f"coderls {__version__}")
    serve = parser.add_mutually_exclusive_group()
    serve.add_argument("--stdio", action="store_true", help="serve LSP over standard input and output")
    serve.add_argument("--tcp", type=_port, metavar="PORT", help="serve LSP over TCP on 127.0.0.1:PORT")
    # VS Code's client library adds this one; the parent's process id comes with `initialize` as well.
    parser.add_argument("--clientProcessId", help=argparse.SUPPRESS)
    parser.add_argument(
        "--record",
        metavar="DIR",
        help="with --stdio or --tcp: write each completion, with the code that it was made from, to a file in DIR",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, line) in COMMANDS.items():
        if name in argv and name in APART:
            importlib.import_module("coderls.cli.arguments").PARSERS[name](subparsers)
        elif name in argv:
            importlib.import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=line)
    return parser, subparsers


def _server() -> Any:
    """The package `server`. What its import makes stays to the end, so the garbage collector need not look at it."""
    gc.disable()
    try:
        return importlib.import_module("coderls.server")
    finally:
        gc.freeze()
        gc.enable()


def _records(args: argparse.Namespace) -> Any:
    """The folder for records, or None. Raises RecordBroken before a client waits for an answer."""
    if args.record is None:
        return None
    from pathlib import Path  # noqa: PLC0415

    return importlib.import_module("coderls.records.folder").prepared(Path(args.record))


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _write_anything() -> None:
    """Let no file name or completion fail on a terminal that lacks its characters: they are escaped instead."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Python would try to flush what is left at exit, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
