"""The engine process: addresses that cannot be had, leaving, and what it leaves behind (nothing)."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from coderls.engine import serve
from coderls.engine.api import LEAVING
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from coderls.engine.metrics import Metrics
from coderls.engine.serve import listen_loopback, listen_unix
from coderls.engine.worker import Loaded, Report, Worker
from coderls.errors import EngineStartFailed
from tests.engine.engines import answers, eventually, start_engine, stop, unix_http


def run_engine(*arguments: object) -> tuple[int, str]:
    """Run `coderls engine` to its end: exit code and what it said."""
    command = [sys.executable, "-m", "coderls", "engine", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_a_taken_port_is_said(fake_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = run_engine("--model", fake_dir, "--listen", address)
    assert code == 1
    assert f"{address} is taken" in said
    assert "Traceback" not in said


def test_a_socket_of_a_live_engine_is_not_taken_from_it(fake_dir: Path, runtime_folder: Path) -> None:
    path = runtime_folder / "e.sock"
    first = start_engine("--model", fake_dir, "--socket", path)
    with unix_http(path) as http:
        eventually(lambda: answers(http))
        code, said = run_engine("--model", fake_dir, "--socket", path)
        assert (code, "is taken" in said, "Traceback" in said) == (1, True, False)
        assert http.get("/health").json()["pid"] == first.pid
    stop(first)


def test_a_socket_of_another_program_is_not_taken_from_it(runtime_folder: Path) -> None:
    path = runtime_folder / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(EngineStartFailed, match="is taken"):
            listen_unix(path)
    assert path.exists()


def test_an_engine_that_leaves_is_waited_for(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = runtime_folder / "e.sock"
    leaving = listen_unix(path)
    leaving.socket.close()  # it answers no more, and is not gone yet
    waits: list[float] = []
    monkeypatch.setattr(serve.time, "sleep", lambda seconds: waits.append(seconds) or leaving.close())
    next_one = listen_unix(path)
    assert len(waits) == 1
    assert path.exists(), "the one that left did not take the socket of its successor along"
    next_one.socket.close()
    next_one.close()


def test_an_engine_that_does_not_leave_is_not_waited_for_for_ever(
    runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runtime_folder / "e.sock"
    stuck = listen_unix(path)
    stuck.socket.close()
    monkeypatch.setattr(serve, "LEAVING_S", 0.0)
    with pytest.raises(EngineStartFailed, match="is taken"):
        listen_unix(path)
    stuck.close()


def test_a_stale_socket_is_replaced_and_the_mode_is_0600_from_the_start(
    runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runtime_folder / "e.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    modes = []
    monkeypatch.setattr(os, "umask", lambda mask, real=os.umask: modes.append(mask) or real(mask))
    listener = listen_unix(path)
    assert modes[0] == 0o177, "set before the bind, so that there is no moment with a wider mode"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listener.socket.close()
    listener.close()
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone(runtime_folder: Path) -> None:
    path = runtime_folder / "notes.txt"
    path.write_text("mine")
    with pytest.raises(EngineStartFailed, match="no socket"):
        listen_unix(path)
    assert path.read_text() == "mine"


def test_a_socket_path_that_is_too_long_or_nowhere(tmp_path: Path, runtime_folder: Path) -> None:
    with pytest.raises(EngineStartFailed, match="longer than 103 bytes"):
        listen_unix(tmp_path / ("x" * 100))
    with pytest.raises(EngineStartFailed, match=r"folder of .* is not there"):
        listen_unix(runtime_folder / "no" / "e.sock")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(runtime_folder: Path) -> None:
    (runtime_folder / "closed").mkdir(mode=0o500)
    with pytest.raises(EngineStartFailed, match="no permission"):
        listen_unix(runtime_folder / "closed" / "e.sock")


def test_no_permission_is_said_for_what_it_is(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(EngineStartFailed, match="no permission"):
        listen_unix(runtime_folder / "e.sock")
    with pytest.raises(EngineStartFailed, match="no permission"):
        listen_loopback("127.0.0.1", 80)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.168.1.1:80", "[::]:0"])
def test_only_loopback_is_listened_on(fake_dir: Path, address: str) -> None:
    code, said = run_engine("--model", fake_dir, "--listen", address)
    assert code == 2
    assert "does not listen on" in said


def test_the_port_file_is_private_and_goes_away(tmp_path: Path) -> None:
    file = tmp_path / "port.json"
    listener = listen_loopback("127.0.0.1", 0, port_file=file)
    written = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (written["pid"], written["token"]) == (os.getpid(), listener.token)
    assert len(written["token"]) >= 32
    assert listener.name == f"http://127.0.0.1:{written['port']}"
    listener.socket.close()
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_leaves_late_keeps_its_successors_port_file(tmp_path: Path) -> None:
    file = tmp_path / "port.json"
    old, new = (listen_loopback("127.0.0.1", 0, port_file=file) for _ in range(2))
    for listener in (old, new):
        listener.socket.close()
    old.close()
    assert json.loads(file.read_text())["token"] == new.token
    new.close()
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs an address"),
        (["--socket", "x", "--token-file", "y"], "go with --listen only"),
        (["--listen", "127.0.0.1:0", "--token-file", "/nowhere/token"], "cannot be read"),
        (["--listen", "nonsense"], "no HOST:PORT"),
        (["--model", "no-such-model", "--socket", "x"], "no-such-model"),
        (["--model", "./no/such/dir", "--socket", "x"], "no directory"),
    ],
)
def test_wrong_arguments_end_with_a_sentence(fake_dir: Path, arguments: list[str], message: str) -> None:
    given = arguments if "--model" in arguments else ["--model", str(fake_dir), *arguments]
    got, said = run_engine(*given)
    assert (got, message in said, "Traceback" in said) == (2, True, False), said


def test_a_short_token_is_not_accepted(fake_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short")
    code, said = run_engine("--model", fake_dir, "--listen", "127.0.0.1:0", "--token-file", tmp_path / "token")
    assert (code, "16 or more" in said) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_while_it_generates(
    tmp_path: Path, runtime_folder: Path, number: signal.Signals
) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript((FakeRule("long", "x" * 5000),), token_ms=5))
    path = runtime_folder / "e.sock"
    process = start_engine("--model", model, "--socket", path)
    ended: list[str] = []
    with unix_http(path) as http:
        eventually(lambda: answers(http))

        def ask() -> None:
            with unix_http(path) as other:
                body = {"prompt": "long", "max_tokens": 5000, "stream": True}
                ended.append(other.post("/v1/completions", json=body).text)

        asking = threading.Thread(target=ask)
        asking.start()
        eventually(lambda: "coderls_queue 1.0" in http.get("/metrics").text)
        process.send_signal(number)
        assert process.wait(15) == 128 + number
        asking.join()
    assert "leaving" in ended[0], "who waited was told"
    assert not path.exists()
    said = process.stdout.read().decode()
    process.stdout.close()
    assert "Traceback" not in said


def test_a_stalled_model_does_not_keep_it_from_leaving(tmp_path: Path, runtime_folder: Path) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript((FakeRule("hang", "x", fail="stall"),)))
    path = runtime_folder / "e.sock"
    process = start_engine("--model", model, "--socket", path)
    with unix_http(path) as http:
        eventually(lambda: answers(http))
        with pytest.raises(httpx.ReadTimeout):
            http.post("/v1/completions", json={"prompt": "hang"}, timeout=0.3)
        assert http.get("/health").json()["state"] == "ready", "it still answers"
    process.terminate()
    assert process.wait(20) == 143
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_while_it_loads(tmp_path: Path, runtime_folder: Path, number: signal.Signals) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript(load_ms=60_000))  # a load that nothing interrupts
    path = runtime_folder / "e.sock"
    process = start_engine("--model", model, "--socket", path)
    with unix_http(path) as http:
        eventually(lambda: answers(http, "loading"))
    process.send_signal(number)
    assert process.wait(15) == 128 + number
    assert not list(runtime_folder.iterdir()), "neither socket nor lock is left"
    said = process.stdout.read().decode()
    process.stdout.close()
    assert "Traceback" not in said
    assert "terminate" not in said


def test_a_load_that_nobody_waits_for_ends_at_its_next_report() -> None:
    reported, stopped = threading.Event(), threading.Event()
    reached: list[str] = []

    def load(report: Report) -> Loaded:
        report("loading", "weights", 0.1)
        reported.set()
        assert stopped.wait(20)
        report("loading", "more", 0.2)
        reached.append("the end")
        raise AssertionError

    worker = Worker(load, model="m", metrics=Metrics())
    worker.start()
    assert reported.wait(20)
    assert not worker.stop(timeout_s=0.0), "it is still inside of the load"
    stopped.set()
    assert worker.stop(timeout_s=20.0)
    assert not reached
    assert worker.health.state == LEAVING


def test_it_leaves_when_nobody_asks_and_takes_its_socket_along(fake_dir: Path, runtime_folder: Path) -> None:
    path = runtime_folder / "e.sock"
    process = start_engine("--model", fake_dir, "--socket", path, "--idle-exit", "0.5")
    assert process.wait(20) == 0
    assert not path.exists()
    assert b"nobody asked" in process.stdout.read()
    process.stdout.close()


def test_loading_is_no_idle_time(tmp_path: Path, runtime_folder: Path) -> None:
    """It becomes ready between two looks at the clock."""
    model = write_fake_model(tmp_path / "m", FakeScript(load_ms=700))
    process = start_engine("--model", model, "--socket", runtime_folder / "e.sock", "--idle-exit", "1.2")
    assert process.wait(30) == 0
    lines = process.stdout.read().decode().splitlines()
    process.stdout.close()
    ready, left = (
        next(datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f") for line in lines if said in line)
        for said in ("Ready: m", "Leaving: nobody asked")
    )
    assert left - ready >= timedelta(seconds=1.1)


def test_a_request_that_runs_is_no_idle_time() -> None:
    clock = serve._UseClock()
    with clock.in_use():
        with clock.in_use():
            pass
        assert clock.idle_s() == 0.0
    assert clock.idle_s() > 0.0


def test_it_answers_while_it_loads_and_refuses_work_until_it_is_ready(tmp_path: Path, runtime_folder: Path) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript(load_ms=3000))
    path = runtime_folder / "e.sock"
    process = start_engine("--model", model, "--socket", path, "--idle-exit", "2.5")  # less than it loads
    with unix_http(path) as http:
        eventually(lambda: answers(http, "loading"))
        health = http.get("/health").json()
        assert "loading m" in health["detail"]
        answer = http.post("/v1/completions", json={"prompt": "x"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "loading" in answer.json()["error"]["message"]
        assert http.get("/v1/models").status_code == 200
        eventually(lambda: answers(http))
    stop(process)


def test_a_model_that_cannot_be_loaded_is_said_and_the_process_leaves(tmp_path: Path, runtime_folder: Path) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript(load_error="The weights are torn."))
    path = runtime_folder / "e.sock"
    process = start_engine("--model", model, "--socket", path)
    with unix_http(path) as http:
        eventually(lambda: answers(http, "failed"))
        assert "The weights are torn." in http.get("/health").json()["detail"]
        assert http.post("/v1/completions", json={"prompt": "x"}).status_code == 503
    assert process.wait(30) == 1
    assert not path.exists()
    process.stdout.close()


def test_an_engine_that_failed_leaves_when_all_have_read_why(
    tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "FAILED_LINGER_S", 600.0)
    path = runtime_folder / "e.sock"
    asked = threading.Event()

    def load(_: Report) -> Loaded:
        asked.wait(20)
        raise EngineStartFailed("The weights are torn.")

    running = threading.Thread(target=serve.serve, args=(listen_unix(path), load), kwargs={"model": "m"}, daemon=True)
    running.start()
    with unix_http(path) as first, unix_http(path) as second:
        for http in (first, second):
            eventually(lambda http=http: answers(http, "loading"))
        asked.set()
        eventually(lambda: answers(first, "failed"))
        first.close()
        assert second.get("/health").json()["detail"] == "The weights are torn."
    running.join(30)
    assert not running.is_alive()


def test_an_idle_engine_sleeps(unix_engine) -> None:
    """No polling: context switches are wake-ups, and there are next to none in a second without requests."""
    process = psutil.Process(unix_engine.process.pid)
    unix_engine.idle()
    before = process.num_ctx_switches().voluntary
    with pytest.raises(subprocess.TimeoutExpired):
        unix_engine.process.wait(1.0)
    assert process.num_ctx_switches().voluntary - before < 8
