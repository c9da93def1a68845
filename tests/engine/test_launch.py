"""Finding or starting the engine, with real processes: one engine results, and whatever goes wrong has a sentence."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from coderls import paths
from coderls.engine import launch
from coderls.engine.api import GenerationRequest, Health
from coderls.engine.client import EngineClient
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from coderls.errors import (
    EngineMismatch,
    EngineSilent,
    EngineStartFailed,
    EngineUnreachable,
    ModelNotFound,
    RequestRefused,
)
from coderls.settings import EngineSettings
from tests.engine.engines import TOKEN, eventually

PROMPT = "def add(a, b):\n    "


def engines_here() -> list[psutil.Process]:
    """Engine processes whose sockets are in this test's runtime folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if "engine" in command and any(os.environ["CODERLS_RUNTIME"] in part for part in command):
            found.append(process)
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(autouse=True)
def no_engine_survives() -> Iterator[None]:
    yield
    for process in engines_here():
        process.kill()
        process.wait(10)


@pytest.fixture(params=["unix", "loopback"])
def loopback(request: pytest.FixtureRequest) -> bool:
    return request.param == "loopback"


@pytest.fixture
def settings(fake_dir: Path) -> EngineSettings:
    return EngineSettings(model=str(fake_dir), idle_exit_s=60)


async def answer(client: EngineClient) -> str:
    return "".join([chunk.text async for chunk in client.stream(GenerationRequest(PROMPT))])


async def test_starts_an_engine_finds_it_again_and_it_outlives_the_front(
    settings: EngineSettings, loopback: bool
) -> None:
    said: list[tuple[str, float]] = []
    first = await launch.connect_or_start(settings, lambda *step: said.append(step), loopback=loopback)
    assert await answer(first) == "return a + b"
    assert said[0] == ("starting the engine", 0.0)
    await first.aclose()
    second = await launch.connect_or_start(settings, lambda *step: said.append(step), loopback=loopback)
    assert [step for step, _ in said].count("starting the engine") == 1
    assert [process.pid for process in engines_here()] == [(await second.health()).pid]
    assert os.getsid((await second.health()).pid) != os.getsid(0), "a Ctrl+C in the editor's terminal is not for it"
    await second.aclose()


FRONT = """
import asyncio, sys
from coderls.engine.launch import connect_or_start
from coderls.settings import EngineSettings
async def main():
    client = await connect_or_start(EngineSettings(model=sys.argv[1]), loopback=sys.argv[2] == "True")
    print((await client.health()).pid)
    await client.aclose()
asyncio.run(main())
"""


def test_fronts_that_come_at_once_get_one_engine(settings: EngineSettings, loopback: bool) -> None:
    fronts = [
        subprocess.Popen(
            [sys.executable, "-c", FRONT, settings.model, str(loopback)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    pids = {front.communicate(timeout=60)[0].strip() for front in fronts}
    assert [front.returncode for front in fronts] == [0] * 4
    assert len(pids) == 1
    assert [str(process.pid) for process in engines_here()] == list(pids)


async def test_an_engine_that_was_killed_is_replaced(settings: EngineSettings, loopback: bool) -> None:
    client = await launch.connect_or_start(settings, loopback=loopback)
    dead = (await client.health()).pid
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: not engines_here())
    left = [file.suffix for file in paths.runtime_dir().iterdir()]
    assert (".json" if loopback else ".sock") in left, "it had no time to clean up"
    with pytest.raises(EngineUnreachable):
        await answer(client)
    await client.aclose()
    again = await launch.connect_or_start(settings, loopback=loopback)
    assert (await again.health()).pid != dead
    assert await answer(again) == "return a + b"
    await again.aclose()


@pytest.fixture
def ended() -> subprocess.Popen[bytes]:
    """A process that found its address taken, and left."""
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    process.wait(30)
    return process


async def test_a_front_whose_own_engine_came_second_takes_the_first(
    settings: EngineSettings, ended: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await launch.connect_or_start(settings)
    seen = []
    connect = launch._connect

    async def late(endpoint):
        seen.append(endpoint)  # as after a front that died between its start and the answer: nobody is there yet
        return None if len(seen) <= 2 else await connect(endpoint)

    monkeypatch.setattr(launch, "_connect", late)
    monkeypatch.setattr(launch, "_start", lambda *_: launch._Started(ended, Path("log")))
    second = await launch.connect_or_start(settings)
    assert (await second.health()).pid == (await first.health()).pid
    await first.aclose()
    await second.aclose()


def write_port_file(settings: EngineSettings, text: str) -> None:
    Path(launch.endpoint_for(settings, loopback=True).port_file).write_text(text)


async def test_a_port_that_is_somebody_elses_by_now(settings: EngineSettings) -> None:
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    write_port_file(settings, json.dumps({"host": "127.0.0.1", "port": port, "token": "x", "pid": 1}))
    client = await launch.connect_or_start(settings, loopback=True)
    assert await answer(client) == "return a + b"
    await client.aclose()
    other.close()


async def test_a_torn_port_file_is_no_engine(settings: EngineSettings) -> None:
    write_port_file(settings, '{"host": "127')
    client = await launch.connect_or_start(settings, loopback=True)
    assert await answer(client) == "return a + b"
    await client.aclose()


async def test_progress_tells_how_far_the_model_is(tmp_path: Path) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript(load_ms=300))
    said: list[tuple[str, float]] = []
    client = await launch.connect_or_start(EngineSettings(model=str(model)), lambda *step: said.append(step))
    await client.aclose()
    assert ("loading m", 0.0) in said
    assert all(0 <= fraction <= 1 for _, fraction in said)


async def test_a_model_that_cannot_be_loaded_fails_with_its_reason(tmp_path: Path, loopback: bool) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript(load_error="The weights are torn."))
    with pytest.raises(EngineStartFailed, match=r"The weights are torn\.") as failed:
        await launch.connect_or_start(EngineSettings(model=str(model)), loopback=loopback)
    assert "Its log is" in failed.value.todo
    assert "Listening on" not in failed.value.todo, "what is no complaint helps nobody"
    assert "The weights are torn." not in failed.value.todo, "that is said already"


async def test_a_process_that_dies_while_it_starts_fails_with_its_last_words(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys; print('no such instruction: avx512', file=sys.stderr); sys.exit(7)"
    monkeypatch.setattr(launch, "_command", lambda *_: [sys.executable, "-c", script])
    with pytest.raises(EngineStartFailed, match="left with code 7") as failed:
        await launch.connect_or_start(settings)
    assert "no such instruction: avx512" in failed.value.todo


async def test_a_program_that_cannot_be_run(settings: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_command", lambda *_: ["/no/such/python"])
    with pytest.raises(EngineStartFailed, match="could not be started"):
        await launch.connect_or_start(settings)


async def test_an_engine_that_dies_while_it_loads(tmp_path: Path) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript(load_ms=20_000))

    def kill(detail: str, _: float) -> None:
        if detail.startswith("loading"):
            for process in engines_here():
                process.kill()

    with pytest.raises(EngineStartFailed, match="left while it loaded"):
        await launch.connect_or_start(EngineSettings(model=str(model)), kill)


async def test_an_engine_that_is_too_busy_to_answer_while_it_loads_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_fake_model(tmp_path / "m", FakeScript(load_ms=300))
    ask, silences = EngineClient.health, [0]

    async def busy(self: EngineClient) -> Health:
        if silences[0]:
            silences[0] -= 1
            raise EngineSilent("It says nothing.")
        return await ask(self)

    def loading(detail: str, _: float) -> None:
        if detail.startswith("loading") and EngineClient.health is ask:
            silences[0] = 2
            monkeypatch.setattr(EngineClient, "health", busy)

    client = await launch.connect_or_start(EngineSettings(model=str(model)), loading)
    assert (await client.health()).state == "ready"
    assert EngineClient.health is busy
    assert silences == [0]
    await client.aclose()


async def test_an_engine_that_died_of_a_request_is_found_dead_and_started_again(tmp_path: Path) -> None:
    rules = (FakeRule("deadly", "x", fail="die"), FakeRule("fine", "ok"))
    settings = EngineSettings(model=str(write_fake_model(tmp_path / "m", FakeScript(rules))))
    client = await launch.connect_or_start(settings)
    with pytest.raises(EngineUnreachable):
        async for _ in client.stream(GenerationRequest("deadly")):
            pass
    await client.aclose()
    again = await launch.connect_or_start(settings)
    assert "".join([chunk.text async for chunk in again.stream(GenerationRequest("fine"))]) == "ok"
    await again.aclose()


async def test_a_live_program_at_our_socket_that_is_no_engine(settings: EngineSettings) -> None:
    async def mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(mail, launch.endpoint_for(settings).socket)
    with pytest.raises(EngineMismatch, match="does not speak HTTP"):
        await launch.connect_or_start(settings)
    server.close()
    await server.wait_closed()


async def test_an_engine_that_hangs_is_not_started_twice(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coderls.engine.client.HEALTH_S", 0.3)
    client = await launch.connect_or_start(settings)
    hung = (await client.health()).pid
    await client.aclose()
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(EngineStartFailed, match="left with code 1") as failed:
        await launch.connect_or_start(settings)
    os.kill(hung, signal.SIGCONT)
    assert "is taken" in failed.value.todo


def test_each_model_and_setting_has_a_socket_of_its_own(
    settings: EngineSettings, fake_dir: Path, tmp_path: Path
) -> None:
    base = launch.endpoint_for(settings)
    others = [
        replace(settings, device="cpu"),
        replace(settings, dtype="float32"),
        replace(settings, threads=2),
        replace(settings, context_length=4096),
        replace(settings, memory_gb=2.0),
        replace(settings, gpu_memory_gb=2.0),
        replace(settings, speculation="off"),
        replace(settings, draft_model="nano"),
        replace(settings, model="nano"),
        replace(settings, model=str(write_fake_model(tmp_path / "other"))),
    ]
    names = {launch.endpoint_for(one).socket for one in others}
    assert len(names) == len(others)
    assert base.socket not in names
    linked = tmp_path / "link"
    linked.symlink_to(fake_dir)
    assert launch.endpoint_for(replace(settings, model=str(linked))) == base
    assert launch.endpoint_for(replace(settings, idle_exit_s=1)) == base, "that alone is no reason for a second engine"
    (fake_dir / "model.safetensors").write_bytes(b"other weights")
    assert launch.endpoint_for(settings) != base, "a model that was replaced is another model"


def test_another_version_has_another_socket(settings: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    base = launch.endpoint_for(settings)
    monkeypatch.setattr(launch, "PROTOCOL_VERSION", 2)
    assert launch.endpoint_for(settings) != base


def test_a_long_runtime_folder_is_not_used_for_sockets(
    settings: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODERLS_RUNTIME", str(tmp_path / ("long" * 20)))
    path = Path(launch.endpoint_for(settings).socket)
    assert len(os.fsencode(path)) <= 103
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        launch.endpoint_for(EngineSettings(model=str(tmp_path / "no")))


def test_the_log_of_the_last_run_is_kept_beside(settings: EngineSettings) -> None:
    log = launch.log_file(settings)
    log.parent.mkdir(parents=True)
    log.write_text("before")
    place = launch.endpoint_for(settings)
    started = launch._start(settings, place)
    eventually(lambda: "Listening" in log.read_text())
    started.process.terminate()
    eventually(lambda: started.process.poll() is not None)
    assert log.with_suffix(".old.log").read_text() == "before"
    assert log.is_relative_to(paths.logs_dir())


async def test_a_foreign_engine_is_only_talked_to(unix_engine, loopback_engine) -> None:
    for url, token in ((f"unix:{unix_engine.socket}", ""), (loopback_engine.url + "/v1", TOKEN)):
        client = await launch.connect_or_start(EngineSettings(url=url, token=token, model="nano"))
        health = await client.health()
        assert (health.model, health.features) == ("fake", ())
        assert await answer(client) == "return a + b"
        await client.aclose()
    assert engines_here() == []
    with pytest.raises(RequestRefused, match="token"):
        await launch.connect_or_start(EngineSettings(url=loopback_engine.url, token="wrong"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(EngineUnreachable):
            await launch.connect_or_start(EngineSettings(url=f"http://127.0.0.1:{free.getsockname()[1]}"))


async def test_nothing_is_imported_from_the_folder_that_the_editor_is_in(
    settings: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "uvicorn.py").write_text("raise SystemExit('the project ran')")
    monkeypatch.chdir(project)
    client = await launch.connect_or_start(settings)
    assert await answer(client) == "return a + b"
    await client.aclose()


async def test_a_cache_folder_named_by_a_relative_path_is_the_same_for_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODERLS_CACHE", "here")
    write_fake_model(paths.models_dir() / "a-model", FakeScript(default="found"))
    client = await launch.connect_or_start(EngineSettings(model="a-model", idle_exit_s=60))
    assert await answer(client) == "found"
    assert (await client.health()).model_path == str(tmp_path / "here" / "models" / "a-model")
    await client.aclose()


async def test_a_log_folder_that_cannot_be_made_is_said(settings: EngineSettings) -> None:
    paths.cache_dir().mkdir(parents=True)
    paths.logs_dir().write_text("a file")
    with pytest.raises(EngineStartFailed, match="could not be started"):
        await launch.connect_or_start(settings)


async def test_a_runtime_folder_without_room_is_said(settings: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(launch.LockFile, "acquire", full)
    with pytest.raises(EngineStartFailed, match="No space left"):
        await launch.connect_or_start(settings)
