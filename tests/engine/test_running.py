"""Engines that run: found, shown and ended, with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from coderls import paths
from coderls.cli import main
from coderls.engine import running
from coderls.engine.api import PROTOCOL_HEADER, STOP_HEADER
from coderls.engine.resident import resident_bytes
from coderls.engine.running import SILENT
from tests.engine.engines import TOKEN, answers, eventually, start_engine, stop, unix_http


@contextmanager
def engine(name: str, model: Path, *, loopback: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """An engine where those are that editors start."""
    file = paths.runtime_dir() / f"{name}{'.json' if loopback else '.sock'}"
    where = ("--listen", "127.0.0.1:0", "--port-file", file) if loopback else ("--socket", file)
    process = start_engine("--model", model, *where, "--idle-exit", "60")
    try:
        eventually(lambda: any(one.file == file and one.state == "ready" for one in running.running()))
        yield process
    finally:
        stop(process)


def test_none_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "--list"]) == 0
    assert main(["engine", "--stop"]) == 0
    assert capsys.readouterr().out == "No engine runs.\n" * 2


@pytest.mark.parametrize("loopback", [False, True])
def test_they_are_listed_and_ended_by_name(fake_dir: Path, loopback: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        engine("e-aaaa1111bbbb2222", fake_dir, loopback=loopback) as first,
        engine("e-cccc3333dddd4444", fake_dir, loopback=loopback) as second,
    ):
        assert main(["engine", "--list"]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[1].split()[:4] == ["aaaa1111", "fake", "ready", "cpu"]
        assert shown[2].split()[-1] == str(second.pid)
        assert main(["engine", "--list", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts[0]["health"]["pid"] == first.pid
        assert facts[0]["health"]["resident_bytes"] > 10_000_000
        assert main(["engine", "--stop", "aaaa"]) == 0
        assert first.wait(20) == 0
        assert second.poll() is None
        assert "aaaa1111 (fake) has left" in capsys.readouterr().out
        assert main(["engine", "--stop", "all"]) == 0
        assert second.wait(20) == 0
    assert not [file for file in paths.runtime_dir().iterdir() if file.suffix != ".start"]


@pytest.mark.parametrize("port_file", [False, True])
def test_an_engine_that_serves_other_programs_is_listed_too(fake_dir: Path, tmp_path: Path, port_file: bool) -> None:
    more = ("--port-file", tmp_path / "port.json") if port_file else ()
    process = start_engine("--model", fake_dir, "--listen", "127.0.0.1:0", *more)
    try:
        eventually(lambda: [(one.pid, one.state) for one in running.running()] == [(process.pid, "ready")])
        assert main(["engine", "--stop", running.running()[0].name]) == 0
        assert process.wait(20) == 0
    finally:
        stop(process)
    assert not list(paths.runtime_dir().glob("e-*.json"))
    assert not (tmp_path / "port.json").exists()


def test_a_model_or_a_process_names_them_too(fake_dir: Path) -> None:
    with engine("e-aaaa1111bbbb2222", fake_dir) as process:
        (one,) = running.running()
        for name in ("fake", str(process.pid), "all", "aaaa1111"):
            assert running.chosen([one], name) == [one]
        assert running.chosen([one], "other") == []
        assert main(["engine", "--stop", "fake"]) == 0
        assert process.wait(20) == 0


def test_a_name_that_none_has(fake_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with engine("e-aaaa1111bbbb2222", fake_dir) as process:
        assert main(["engine", "--stop", "zzz"]) == 2
        assert "aaaa1111 (fake)" in capsys.readouterr().err
        assert process.poll() is None


@pytest.mark.parametrize("loopback", [False, True])
def test_a_killed_engine_is_swept_away(fake_dir: Path, loopback: bool) -> None:
    with engine("e-aaaa1111bbbb2222", fake_dir, loopback=loopback) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        assert list(paths.runtime_dir().iterdir()), "it left its files"
        assert running.running() == []
        assert not list(paths.runtime_dir().iterdir())


def test_somebody_who_says_nothing_is_shown_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "ANSWER_S", 0.2)
    path = paths.runtime_dir() / "e-aaaa1111bbbb2222.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        (found,) = running.running()
        assert found.state == SILENT
        assert main(["engine", "--stop"]) == 1
        assert "does not answer" in capsys.readouterr().err
        assert path.exists()


def test_a_port_that_is_another_programs_by_now(loopback_engine) -> None:
    """The port file of a killed engine may name a port that somebody else has: nothing is asked of that one."""
    file = paths.runtime_dir() / "e-aaaa1111bbbb2222.json"
    port = int(loopback_engine.url.rpartition(":")[2])
    file.write_text(json.dumps({"host": "127.0.0.1", "port": port, "token": "x" * 20, "stop_token": "y"}))
    assert running.running() == []
    assert not file.exists()
    assert answers(loopback_engine.http)


def test_only_its_own_user_ends_an_engine(fake_dir: Path, tmp_path: Path) -> None:
    """The token that other programs have is not enough; on a unix socket nobody else gets that far."""
    file = tmp_path / "port.json"
    process = start_engine("--model", fake_dir, "--listen", "127.0.0.1:0", "--port-file", file)
    eventually(file.exists)
    facts = json.loads(file.read_text())
    assert facts["token"] != facts["stop_token"]
    bearer = {"authorization": f"Bearer {facts['token']}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{facts['port']}", timeout=20) as http:
        assert http.post("/shutdown").status_code == 401
        assert http.post("/shutdown", headers=bearer).status_code == 403
        assert http.post("/shutdown", headers=bearer | {STOP_HEADER: "wrong"}).status_code == 403
        assert http.get("/shutdown", headers=bearer | {STOP_HEADER: facts["stop_token"]}).status_code == 405
        assert process.poll() is None
        assert http.post("/shutdown", headers=bearer | {STOP_HEADER: facts["stop_token"]}).status_code == 202
    assert process.wait(20) == 0
    assert not file.exists()
    process.stdout.close()


def test_an_engine_that_serves_other_programs_is_not_ended_by_them(loopback_engine) -> None:
    """They have its token, and not the one in the port file."""
    answer = loopback_engine.http.post("/shutdown", headers={STOP_HEADER: TOKEN})
    assert answer.status_code == 403
    assert "Only the user" in answer.json()["error"]["message"]


def test_an_engine_of_another_version_is_ended_too(fake_dir: Path) -> None:
    with engine("e-aaaa1111bbbb2222", fake_dir) as process:
        file = paths.runtime_dir() / "e-aaaa1111bbbb2222.sock"
        with unix_http(file) as http:
            assert http.get("/health", headers={PROTOCOL_HEADER: "99"}).status_code == 426
        running.end(running.running()[0])
        assert process.wait(20) == 0


def test_resident_memory_is_this_process_own() -> None:
    assert resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)


def test_the_other_place_of_a_long_runtime_folder_is_looked_at(
    tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.launch, "short_folder_path", lambda: runtime_folder)
    path = runtime_folder / "e-aaaa1111bbbb2222.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert running.running() == []
    assert path.exists(), "it is another's: sockets are in the usual place"
    monkeypatch.setenv("CODERLS_RUNTIME", str(tmp_path / ("x" * 80)))
    assert running.running() == []
    assert not path.exists()


def test_listing_needs_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "--json"]) == 2
    assert "--list" in capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, "-m", "coderls", "engine", "--list"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CODERLS_RUNTIME": str(paths.runtime_dir())},
    )
    assert done.stdout == "No engine runs.\n"
