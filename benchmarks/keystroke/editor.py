"""An editor at the other end of LSP, and the engine that it has started, both ours to end."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from coderls.cli.progress import Progress
from devtools.lsp_client import StdioClient, span

LOOK_S = 0.01  # looking without a pause takes a core from the model, whose threads then wait for each other
COMMAND = (sys.executable, "-m", "coderls", "--stdio")


@contextmanager
def own_folders() -> Iterator[Path]:
    """A runtime folder of our own, so that the engines are ours and can be ended."""
    base = "/tmp" if Path("/tmp").is_dir() else None
    scratch = Path(tempfile.mkdtemp(prefix="cl-", dir=base))
    os.environ["CODERLS_RUNTIME"] = str(scratch)
    try:
        yield scratch
    finally:
        for process in engines(scratch):
            process.terminate()
        shutil.rmtree(scratch, ignore_errors=True)


def engines(scratch: Path) -> list[psutil.Process]:
    """The engine processes with their sockets in this folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "engine" in words and any(str(scratch) in word for word in words):
            found.append(process)
    return found


@contextmanager
def editor_at(root: Path, model: str, progress: Progress, **options: Any) -> Iterator[Editor]:
    """A client whose engine and index are ready."""
    with StdioClient(COMMAND) as client:
        engine = {"model": model, "idle_exit_s": 120}
        client.initialize(root, initializationOptions={"engine": engine, **options})
        wanted = ["The engine is ready"]
        if options.get("context", {}).get("enabled", True):
            wanted.append("The index is ready")

        def ready() -> bool:
            said = [note["message"] for note in client.notifications("window/logMessage")]
            if client.notifications("window/showMessage"):
                raise RuntimeError(client.notifications("window/showMessage")[-1]["message"])
            reports = [note["value"] for note in client.notifications("$/progress")]
            if reports:
                progress(reports[-1].get("message") or "loading", reports[-1].get("percentage", 0) / 100)
            return all(any(line.startswith(start) for line in said) for start in wanted)

        client.wait_for(ready, 600, "a ready engine")
        yield Editor(client)


@dataclass(frozen=True)
class Answer:
    """Whether ghost text came, when, how it came without the model ("" if it did not), how long that took."""

    came: bool
    milliseconds: float
    reused: str = ""
    engine_ms: float = 0.0


class Editor:
    """Types and asks; keeps the text of each open document as an editor does."""

    def __init__(self, client: StdioClient) -> None:
        self.client = client
        self._versions: dict[str, int] = {}

    def open(self, path: Path) -> str:
        """Open the file if it is not yet; the document's URI."""
        uri = path.absolute().as_uri()
        if uri not in self._versions:
            self.client.open(path, path.read_text(encoding="utf-8"))
            self._versions[uri] = 1
        return uri

    def edit(self, uri: str, line: int, start: int, end: int, text: str) -> None:
        """Replace a part of a line."""
        self.change(uri, {"range": span((line, start), (line, end)), "text": text})

    def change(self, uri: str, change: Mapping[str, Any]) -> None:
        """Send one content change, under the next version."""
        self._versions[uri] += 1
        self.client.change(uri, self._versions[uri], [change])

    def rest(self, uri: str, line: int, column: int) -> None:
        """The cursor has come to somewhere: editors ask for code actions then."""
        where = {"textDocument": {"uri": uri}, "range": span((line, column), (line, column))}
        self.client.call("textDocument/codeAction", {**where, "context": {"diagnostics": []}})

    def ask(self, uri: str, line: int, column: int, began: float) -> Answer:
        """The answer to an automatic request, with milliseconds since `began`."""
        number = self.client.inline_request(uri, line, column, invoked=False)
        items = self.client.wait(number)["items"]
        taken = (self.client.arrived[number] - began) * 1000
        if not items:
            return Answer(False, taken)
        made = self.client.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [uri]})
        return Answer(True, taken, made["reused"], float(made["timings_ms"]["engine"]))


@contextmanager
def engine_client() -> Iterator[httpx.Client]:
    """A connection of our own to the engine in `own_folders`."""
    [socket] = Path(os.environ["CODERLS_RUNTIME"]).rglob("*.sock")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://localhost") as engine:
        yield engine


def counter(engine: httpx.Client, name: str) -> float:
    """One of the engine's own numbers, all of its labels together."""
    found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)", engine.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def cancelled(editor: Editor, engine: httpx.Client, request: int) -> tuple[float, float] | None:
    """Cancel a request that has come to the engine: milliseconds until its reply, and until the engine is idle.

    None where it was answered before.
    """
    client = editor.client
    while counter(engine, "coderls_queue") == 0 and request not in client.arrived:
        time.sleep(LOOK_S)
    began = time.perf_counter()
    client.cancel(request)
    while counter(engine, "coderls_queue") > 0:
        time.sleep(LOOK_S)
    idle = time.perf_counter()
    client.wait_for(lambda: request in client.arrived)
    if client.arrived[request] <= began:
        return None
    return (client.arrived[request] - began) * 1000, (idle - began) * 1000
