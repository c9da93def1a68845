"""A model hub on loopback: as much of its HTTP interface as a download needs, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "1234567890abcdef1234567890abcdef12345678"


@dataclass
class Hub:
    """`files` of the one repository `name`. Large ones are kept as LFS, and their downloads are redirected.

    `cut_after[file]`: how many bytes to send of it before the connection breaks, one number for each request.
    """

    name: str = "Qwen/Qwen2.5-Coder-0.5B"
    commit: str = COMMIT
    files: dict[str, bytes] = field(default_factory=dict)
    wrong_content: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    knows_ranges: bool = True
    refuse: tuple[int, str] | None = None  # status and error code of the answer to everything
    requests: list[tuple[str, str]] = field(default_factory=list)  # path, Range header
    tokens: dict[str, str | None] = field(default_factory=dict)  # path -> Authorization header
    url: str = ""
    cdn: str = ""  # where redirects lead; itself if empty

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def asked_for(self, name: str) -> list[str]:
        """The Range headers of the downloads of a file."""
        return [ranges for path, ranges in self.requests if path.startswith("/cdn/") and path.endswith(f"/{name}")]

    def description(self) -> dict[str, object]:
        siblings = []
        for name, content in self.files.items():
            blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
            if name.endswith(".safetensors"):
                checksum = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": checksum, "size": len(content), "pointerSize": 130}
                entry["blobId"] = "0" * 40
            siblings.append(entry)
        return {"id": self.name, "modelId": self.name, "sha": self.commit, "siblings": siblings, "tags": []}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.requests.append((path, self.headers.get("Range", "")))
        hub.tokens[path] = self.headers.get("Authorization")
        if hub.refuse:
            self._say(hub.refuse[0], b"{}", {"X-Error-Code": hub.refuse[1]})
        elif path == f"/api/models/{hub.name}" or path.startswith(f"/api/models/{hub.name}/revision/"):
            revision = path.rpartition("/revision/")[2]
            if "/revision/" in path and revision not in ("main", "v1", hub.commit):
                self._say(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                self._say(200, json.dumps(hub.description()).encode(), {"Content-Type": "application/json"})
        elif path.startswith(f"/{hub.name}/resolve/{hub.commit}/"):
            self._say(302, b"", {"Location": f"{hub.cdn or hub.url}/cdn/{path.rpartition('/')[2]}"})
        elif path.startswith("/cdn/") and path.rpartition("/")[2] in hub.files:
            self._send(path.rpartition("/")[2])
        else:
            self._say(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send(self, name: str) -> None:
        hub = self.hub
        content = hub.wrong_content.get(name, hub.files[name])
        start = 0
        if hub.knows_ranges and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        body = content[start:]
        cuts = hub.cut_after.get(name, [])
        sent = body[: cuts.pop(0)] if cuts else body
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(sent)
        if len(sent) < len(body):
            self.wfile.flush()
            self.connection.close()

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
