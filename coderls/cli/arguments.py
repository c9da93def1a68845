"""What the commands that bring much along take: declared apart from them, so that a slip is told at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coderls.cli import places
from coderls.cli.options import add_engine_options
from coderls.cli.places import Target


def complete(subparsers: Any) -> None:
    """Add the command `complete`."""
    parser = subparsers.add_parser(
        "complete",
        help="print the completion at FILE:LINE:COLUMN",
        description="Print what coderls would offer at a place in a file. Nothing is printed where it has nothing to "
        "offer (exit code 0, and the reason on stderr).",
    )
    parser.add_argument(
        "target", type=_target, metavar="FILE:LINE:COLUMN", help="line and column count from 1, columns in characters"
    )
    parser.add_argument("--json", action="store_true", help="text, range, timings, token counts, files in the prompt")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say on stderr what of other files was offered for the prompt, and whether it is in it: lines, retriever, "
        "score, tokens; and where there is no suggestion, what the model said. A file that is not listed gave nothing "
        "(`coderls index --why FILE` says why)",
    )
    parser.add_argument(
        "--influence",
        action="store_true",
        help="as --explain, or with --json: ask the engine, too, how much likelier each piece made the completion "
        "(natural logarithm; the prompt is read once more for each)",
    )
    parser.add_argument(
        "--record",
        dest="record_one",
        type=Path,
        metavar="DIR",
        help="write what the completion was made from, code included, to a file in DIR (see `coderls replay`)",
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest completion, in tokens")
    parser.add_argument("--no-context", action="store_true", help="take nothing from other files")
    parser.add_argument("--root", type=Path, metavar="DIR", help="the project's folder (default: found from the file)")
    add_engine_options(parser)
    parser.set_defaults(look_first=places.of_complete)


def replay(subparsers: Any) -> None:
    """Add the command `replay`."""
    parser = subparsers.add_parser(
        "replay",
        help="make recorded completions again, and say whether the same comes of them",
        description="Make completions again from records of `coderls --record DIR`. Without --live the engine says "
        "again what it said then, so that only our own code is tried. Exit code 0: the same came of all; 1: not; "
        "3: there is no saying, since version, model or machine are others.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="records, or folders of them")
    parser.add_argument("--live", action="store_true", help="ask the engine again, and compare byte by byte")
    parser.add_argument(
        "--as-test",
        type=Path,
        metavar="FILE",
        help="write the record as a test: without what its outcome does not need",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_engine_options(parser)
    parser.set_defaults(look_first=places.of_replay)


def repair(subparsers: Any) -> None:
    """Add the command `repair`."""
    parser = subparsers.add_parser(
        "repair",
        help="find verified fixes for what checkers complain about, or report on a whole tree",
        description="Run the checkers that are there for FILE, and look for a fix of each complaint. A fix is shown "
        "only if it was applied to a copy and checked again: the complaint is gone and no new one came. Each is "
        "printed once it is known: first those that rules mend, then those for a model. Exit code 0: nothing to repair "
        "is left; 3: complaints are left, and some have a verified fix; 4: none has.",
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE", help="with --check also folders, or several")
    parser.add_argument("--check", action="store_true", help="report on files and whole folders (default: this one)")
    parser.add_argument("--line", type=_line, metavar="N", help="only what is complained about in line N")
    parser.add_argument(
        "--apply", action="store_true", help="write verified fixes to the file; with --check to all of them"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--unverified", action="store_true", help="show what could not be verified, too; it says so")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="use the checkers of the project's own environment, and those that run its code (cargo, eslint, tests)",
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="the project's folder (default: found from the file)")
    parser.add_argument("--errors-only", action="store_true", help="leave warnings alone")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--no-model", action="store_true", help="only fixes that need no model")
    model.add_argument("--with-model", action="store_true", help="with --check: ask the model, too")
    add_engine_options(parser)
    parser.set_defaults(look_first=places.of_repair)


def index(subparsers: Any) -> None:
    """Add the command `index`."""
    parser = subparsers.add_parser(
        "index",
        help="read a repository into the index, and say what is left out and why",
        description="Read what changed of a repository into its index, as an editor's start does, and print what is "
        "in it. With --why: whether one file is in it, and if not, why.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="default: the project around this folder"
    )
    parser.add_argument("--why", type=Path, metavar="FILE", help="say whether FILE is in the index, and why not")
    parser.add_argument("--rebuild", action="store_true", help="forget what was kept, and read everything again")
    parser.add_argument("--json", action="store_true", help="print facts as JSON")
    parser.set_defaults(look_first=places.of_index)


def doctor(subparsers: Any) -> None:
    """Add the command `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this installation, and say what to do about each fault",
        description="Check this installation. Exit code 1 if something fails; warnings alone are 0.",
    )
    parser.add_argument("--json", action="store_true", help="everything that was found, for a bug report")
    parser.add_argument("--quick", action="store_true", help="start no engine, and complete nothing")
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="index this one (default: here)")
    add_engine_options(parser)
    parser.set_defaults(look_first=places.of_doctor)


def _line(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no line: lines count from 1")
    return int(text)


def _target(text: str) -> Target:
    try:
        return Target.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


#: By the command's name: called with what `ArgumentParser.add_subparsers` returns.
PARSERS: dict[str, Callable[[Any], None]] = {
    "complete": complete,
    "replay": replay,
    "repair": repair,
    "index": index,
    "doctor": doctor,
}
