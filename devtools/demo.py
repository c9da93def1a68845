"""`make demo`: a real completion in a real project, asked for as an editor would.

It opens httpx in `coderls --stdio`, deletes a line, asks for inline completion there, and shows the file around the
cursor with the ghost text, the line that was deleted, the time it took, and what was in the prompt.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from coderls.cli.progress import Progress
from devtools.lsp_client import LspClient, RpcError, ServerGone, StdioClient, span
from devtools.sdists import HTTPX, NotFetched, project

#: The line that is deleted: the file, its number (from 1) and its text.
FILE = "httpx/_models.py"
NUMBER = 493
LINE = "self.stream = ByteStream(self._content)"

#: Lines shown before and after the cursor.
AROUND = 6
#: How long an engine may take that has to be built, loaded and warmed up first (seconds).
READY_S = 600
ANSWER_S = 120
#: A busy machine may need more than one try.
TRIES = 3
#: The engine stays for what `next_steps` recommends, and leaves not long after.
STAYS_MINUTES = 5
#: What the demo completes is nothing that the user was shown: `coderls stats` does not count it.
OPTIONS = {"engine.idle_exit_s": STAYS_MINUTES * 60, "completion.debounce_ms": 0, "stats.enabled": False}


@dataclass(frozen=True)
class Answer:
    """Ghost text, what the server says of it, and times in seconds."""

    text: str
    made_from: Mapping[str, Any]
    initialize: float
    ready: float
    first: float
    again: float


class DemoFailed(Exception):
    """Something went wrong; the message is for the user."""


def main() -> int:
    """Run the demo; returns the exit code: 0 if a completion came."""
    parser = argparse.ArgumentParser(prog="python -m devtools.demo", description=__doc__)
    parser.add_argument("--plain", action="store_true", help="no colours, even on a terminal")
    args = parser.parse_args()
    try:
        folder = project(HTTPX, say=lambda line: print(f"{line} ...", file=sys.stderr, flush=True))
        text = (folder / FILE).read_text(encoding="utf-8")
        cursor = find_line(text)
        print(f"{HTTPX.name} {HTTPX.version}: {FILE}, line {cursor[0] + 1} is deleted and asked for again")
        sys.stdout.flush()
        with Progress() as progress:
            answer = ask(folder, text, cursor, progress)
        show(text.splitlines(), cursor, answer, out=sys.stdout, colours=sys.stdout.isatty() and not args.plain)
        print(next_steps(Path(sys.executable).parent, Path.cwd()))
    except (DemoFailed, NotFetched, ServerGone, RpcError, TimeoutError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def next_steps(scripts: Path, here: Path) -> str:
    """What to do after the demo; `scripts` is where the command is, which is on no PATH."""
    place = scripts.relative_to(here) if scripts.is_relative_to(here) else scripts
    return f"""
The command is {place / "coderls"} (it is not on your PATH). What next:
  {place / "coderls"} complete FILE:LINE:COLUMN --explain    a completion in a project of your own
  {place / "coderls"} doctor                                 is all well, and what to do if not
  (the engine stays for {STAYS_MINUTES} minutes: until then no command has to load the model again)
  README.md: "Editors" (how an editor starts it), "Install" (for good)"""


def find_line(text: str) -> tuple[int, int]:
    """Where LINE stands (line from 0, column of its first character). Raises DemoFailed if it does not."""
    row = text.splitlines()[NUMBER - 1]
    if row.strip() != LINE:
        raise DemoFailed(f"Line {NUMBER} of {FILE} is not `{LINE}`, which the demo expects.")
    return NUMBER - 1, len(row) - len(row.lstrip())


def ask(folder: Path, text: str, cursor: tuple[int, int], progress: Progress) -> Answer:
    """One session with the language server. Raises DemoFailed, ServerGone, RpcError or TimeoutError."""
    line, column = cursor
    began = time.perf_counter()
    with StdioClient([sys.executable, "-m", "coderls", "--stdio"], cwd=folder) as client:
        client.settings = OPTIONS
        client.initialize(folder, initializationOptions=OPTIONS)
        initialized = time.perf_counter() - began
        wait_until_ready(client, progress)
        ready = time.perf_counter() - began
        progress("completing", 1.0)
        uri = client.open(folder / FILE, text)
        end = len(text.splitlines()[line])
        client.change(uri, 2, [{"range": span((line, column), (line, end)), "text": ""}])
        first, ghost = timed(client, uri, cursor)
        made = client.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]}, ANSWER_S)
        again, _ = timed(client, uri, cursor)
    if not ghost:
        raise DemoFailed("No completion came. `.venv/bin/coderls doctor` may say why.")
    return Answer(ghost, made or {}, initialized, ready, first, again)


def wait_until_ready(client: LspClient, progress: Progress) -> None:
    """Show the server's progress until engine and index are there. Raises DemoFailed with what the server says."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        said = [note["message"] for note in client.notifications("window/logMessage")]
        if all(any(line.startswith(f"The {part} is ready") for line in said) for part in ("engine", "index")):
            return
        if failures := client.notifications("window/showMessage"):
            raise DemoFailed(failures[-1]["message"])
        progress(*running_step(client))
        with suppress(TimeoutError):  # nothing new: a long step
            client.wait_for(partial(_more_than, client, len(client.messages)), 0.5)
    raise DemoFailed(f"The engine was not ready after {READY_S} s.")


def _more_than(client: LspClient, seen: int) -> bool:
    return len(client.messages) > seen


def running_step(client: LspClient) -> tuple[str, float]:
    """What the server's progress bar shows, and how much of it is done (0..1)."""
    reports = [note["value"] for note in client.notifications("$/progress") if note["value"].get("message")]
    return (reports[-1]["message"], reports[-1].get("percentage", 0) / 100) if reports else ("starting", 0.0)


def timed(client: LspClient, uri: str, cursor: tuple[int, int]) -> tuple[float, str]:
    """Seconds until an answer was here, and its text ("" for none).

    A server gives an engine up that takes too long; what it had computed by then is kept, so it is asked again.
    """
    sent = time.perf_counter()
    for _ in range(TRIES):
        number = client.inline_request(uri, *cursor)
        result = client.wait(number, ANSWER_S)
        items = result["items"] if isinstance(result, dict) else result or []
        if items:
            return client.arrived[number] - sent, items[0]["insertText"]
    return time.perf_counter() - sent, ""


def show(rows: list[str], cursor: tuple[int, int], answer: Answer, *, out: TextIO, colours: bool) -> None:
    """Print the file around the cursor with the ghost text, and the facts."""
    line, column = cursor
    print(file=out)
    for number in range(max(0, line - AROUND), min(len(rows), line + AROUND + 1)):
        if number != line:
            print(f"{number + 1:>5}  {rows[number]}", file=out)
            continue
        for index, shown in enumerate(answer.text.splitlines()):
            label, before = (f"{number + 1:>5}", rows[line][:column]) if index == 0 else ("     ", "")
            marked = f"\x1b[2;3;36m{shown}\x1b[0m" if colours else f"«{shown}»"
            print(f"{label}  {before}{marked}", file=out)
    same = "the same" if answer.text.strip() == rows[line].strip() else "not the same"
    print(file=out)
    print(f"the deleted line  {rows[line].strip()}   ({same})", file=out)
    print(
        f"start             {answer.initialize * 1000:,.0f} ms from process start to the reply to initialize", file=out
    )
    print(f"engine and index  ready after {answer.ready:,.1f} s", file=out)
    print(f"first answer      {answer.first * 1000:,.0f} ms", file=out)
    print(f"asked again       {answer.again * 1000:,.0f} ms", file=out)
    print("in the prompt, in this order:", file=out)
    for part in answer.made_from.get("prompt", ()):
        where = f"{part['path']}, lines {part['first_line']} to {part['last_line']}"
        print(f"  {part['tokens']:>4} tokens  {part['kind']:<11} {where}", file=out)


if __name__ == "__main__":
    sys.exit(main())
