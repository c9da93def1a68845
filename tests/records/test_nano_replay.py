"""The promise of replay, with the embedded model: same engine, model and record give the same bytes."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coderls.completion import complete
from coderls.engine.client import Endpoint, EngineClient
from coderls.question import CompletionRequest, Tools, load_fim_model
from coderls.records.record import Record, identity_of, read_record
from coderls.records.recorder import Recorder, fingerprint_of, records_in
from coderls.records.replay import Replay, replay_live
from coderls.repo_context.parse import parse_file
from coderls.settings import CompletionSettings, Settings
from tests.engine.engines import answers, eventually, start_engine, stop, unix_http
from tests.marked_text import at_cursor

pytestmark = [pytest.mark.nano, pytest.mark.timeout(400)]  # two engines are started

SETTINGS = Settings(completion=CompletionSettings(max_tokens=12, prefix_tokens=150, suffix_tokens=40))

MARKED = '''import os


def size_of(path):
    """The size of a file in bytes."""
    return os.path.getsize(path)


def lines_of(path):
    """The lines of a file."""
    with open(path) as file:
        return file.read().splitlines()


def words_of(path):
    """The words of a file."""
    with open(path) as file:
        return $0


print(size_of("a"), lines_of("b"), words_of("c"))
'''


@asynccontextmanager
async def engine(model: Path, folder: Path) -> AsyncIterator[EngineClient]:
    with tempfile.TemporaryDirectory(prefix="cl-", dir="/tmp") as place:
        path = Path(place) / "e.sock"
        process = start_engine("--model", model, "--socket", path, "--threads", 2, log=folder / "engine.log")
        with unix_http(path) as http:
            eventually(lambda: answers(http), within_s=150)
        client = EngineClient(Endpoint(socket=str(path)))
        try:
            yield client
        finally:
            await client.aclose()
            stop(process)


async def again(record: Record, client: EngineClient) -> Replay:
    health = await client.health()
    identity = identity_of(health, fingerprint_of(health))
    return await replay_live(record, client, load_fim_model(health), identity, parse_file)


async def test_a_record_gives_the_same_bytes_in_a_used_engine_and_in_a_fresh_one(
    nano_dir: Path, tmp_path: Path
) -> None:
    """Draws of alternatives too, and to the last bit of the log-probabilities."""
    document, offset = at_cursor(MARKED)
    recorder = Recorder(tmp_path / "records")
    request = CompletionRequest(document, offset, invoked=True, alternatives=2, path="files.py")
    async with engine(nano_dir, tmp_path) as client:
        health = await client.health()
        tools = Tools(client, load_fim_model(health), parse_file, SETTINGS)
        for near in (offset - 30, offset):  # the engine has seen the place in other ways
            await complete(CompletionRequest(document, near, invoked=True, path="files.py"), tools)
        made = await recorder.complete(request, tools, health=health)
        [file] = records_in(recorder.folder)
        record = read_record(file)
        assert len(record.streams) == 2
        assert record.identity.fingerprint
        assert record.identity.numerics
        used = await again(record, client)
        await complete(CompletionRequest(document, offset - 20, invoked=True, path="files.py"), tools)
        twice = await again(record, client)
    async with engine(nano_dir, tmp_path) as client:
        fresh = await again(record, client)
    assert made
    for outcome in (used, twice, fresh):
        assert (outcome.verdict, outcome.faults, outcome.notes) == ("same", (), ())
        assert [change.text for change in outcome.shown] == [each.text for each in made]
