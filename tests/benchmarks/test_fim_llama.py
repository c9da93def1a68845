"""Asking llama.cpp's `/infill`: what is sent and what counts, against a server that answers as llama-server does."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from benchmarks import fim_llama

SERVER = """#!{python}
import http.server, json, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.answer(200, {{"status": "ok"}})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open({log!r}, "a") as log:
            log.write(json.dumps([self.path, asked]) + "\\n")
        code = {code}
        self.answer(code, {{"content": "return a + b" if "add" in asked["input_prefix"] else "pass"}})
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def server(tmp_path: Path, code: int = 200) -> Path:
    path = tmp_path / f"server-{code}"
    path.write_text(SERVER.format(python=sys.executable, log=str(tmp_path / "log"), code=code))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tasks = [
        {"task_id": name, "prompt": f"def {name}(a, b):\n", "canonical_solution": f"    {line}\n", "suffix": "# end\n",
         "test": "", "entry_point": name}
        for name, line in (("add", "return a + b"), ("sub", "return a - b"))
    ]  # fmt: skip
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks), encoding="utf-8")
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="the server of this test is a script with #!")
def test_lines_are_asked_and_counted(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(data), str(tmp_path / "x.gguf"), "--server", str(server(tmp_path))]
    assert fim_llama.main([*command, "--spm"]) == 0
    assert "x.gguf, suffix first: exact 1/2" in capsys.readouterr().out
    path, asked = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert path == "/infill"
    assert asked["input_prefix"] == "def add(a, b):\n    "
    assert asked["input_suffix"] == "\n# end\n"
    assert asked["stop"] == ["\n"]


@pytest.mark.skipif(sys.platform == "win32", reason="the server of this test is a script with #!")
def test_a_server_that_refuses_is_reported(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(data), str(tmp_path / "x.gguf"), "--server"]
    assert fim_llama.main([*command, str(server(tmp_path, 501))]) == 1
    assert "/infill answered 501" in capsys.readouterr().err
    assert fim_llama.main([*command, str(tmp_path / "nowhere")]) == 1


def test_without_a_server(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fim_llama.main([str(data), str(tmp_path / "x.gguf")]) == 1
