"""Fixtures: a fake model, and running engines that tests share."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from coderls.engine.fake import write_fake_model
from tests.engine.engines import SCRIPT, TOKEN, Engine, answers, eventually, start_engine, stop, unix_http


@pytest.fixture
def fake_dir(tmp_path: Path) -> Path:
    """A fake model of this test's own."""
    return write_fake_model(tmp_path / "fake", SCRIPT)


@pytest.fixture(scope="session")
def shared_fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_model(tmp_path_factory.mktemp("model") / "fake", SCRIPT)


@pytest.fixture(scope="session")
def unix_engine(shared_fake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine on a unix socket for all tests that do it no harm."""
    with tempfile.TemporaryDirectory(prefix="cl-", dir="/tmp") as folder:
        path = Path(folder) / "e.sock"
        log = tmp_path_factory.mktemp("log") / "engine.log"
        process = start_engine("--model", shared_fake, "--socket", path, log=log)
        with unix_http(path) as http:
            eventually(lambda: answers(http))
            yield Engine(process, http, socket=str(path))
        stop(process)


@pytest.fixture(scope="session")
def loopback_engine(shared_fake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine on loopback with a token."""
    folder = tmp_path_factory.mktemp("loopback")
    (folder / "token").write_text(TOKEN + "\n")
    port_file = folder / "port.json"
    listen = ("--listen", "127.0.0.1:0", "--token-file", folder / "token", "--port-file", port_file)
    process = start_engine("--model", shared_fake, *listen, log=folder / "engine.log")
    eventually(port_file.exists)
    url = f"http://127.0.0.1:{json.loads(port_file.read_text())['port']}"
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        eventually(lambda: answers(http))
        yield Engine(process, http, url=url)
    stop(process)
