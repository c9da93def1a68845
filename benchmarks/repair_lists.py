"""How soon is the list of actions there? Asked of a real server over stdio, as an editor asks."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from coderls.document import Document
from coderls.repair.diagnostic import Diagnostic
from devtools.lsp_client import CAPABILITIES, StdioClient, position

COMMAND = (sys.executable, "-m", "coderls", "--stdio")
#: No engine is started or found: a list needs none.
OPTIONS = {"engine": {"url": "http://127.0.0.1:9"}, "repair": {"when_idle": False}}
_ABLE = {
    **CAPABILITIES,
    "textDocument": {
        **CAPABILITIES["textDocument"],
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "source.fixAll"]}},
            "resolveSupport": {"properties": ["edit"]},
            "dataSupport": True,
        },
    },
}


def list_times(complaints: Sequence[tuple[Document, Diagnostic]], folder: Path) -> tuple[float, list[float]]:
    """Seconds from a request for code actions to its answer: of the first one after the start of a server, and of
    each other one, for a document that was opened right before. Raises RuntimeError for a list that offers nothing.
    """
    times: list[float] = []
    with StdioClient(COMMAND) as client:
        client.initialize(folder, initializationOptions=OPTIONS, capabilities=_ABLE)
        for number, (document, complaint) in enumerate(complaints):
            uri = client.open(folder / f"list-{number}.py", document.text)
            given = {"range": lsp_range(document, complaint), "message": complaint.message, "code": complaint.rule}
            asked = {"textDocument": {"uri": uri}, "range": given["range"], "context": {"diagnostics": [given]}}
            began = time.perf_counter()
            actions = client.call("textDocument/codeAction", asked)
            times.append(time.perf_counter() - began)
            if not any("verified fix" in action["title"] for action in actions):
                raise RuntimeError(f"No fix was offered for {complaint}: {actions}")
            client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    return times[0], times[1:]


def lsp_range(document: Document, complaint: Diagnostic) -> dict[str, dict[str, int]]:
    """Where a complaint is, in UTF-16 units."""
    places = {}
    for edge, offset in (("start", complaint.start), ("end", complaint.end)):
        line = document.line_of(offset)
        before = document.text[document.line_starts[line] : offset]
        places[edge] = position(line, len(before.encode("utf-16-le")) // 2)
    return places
