"""What a record holds, and that nothing but a record is taken for one."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderls.document import Document
from coderls.engine.api import Chunk
from coderls.errors import RecordBroken
from coderls.fim.model import FimModel
from coderls.question import CompletionRequest, Tools
from coderls.records.record import NOTICE, Record, read_record, written
from coderls.records.recorder import Recorder, records_in
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings
from tests.marked_text import at_cursor

from .conftest import HEALTH, SNIPPET, Make, Script

MARKED = "import os\n\ndef area(w, h):\n    return $0\n\nprint(area(1, 2))\n"


async def test_everything_that_the_completion_was_made_from_is_in_it(make: Make, recorder: Recorder) -> None:
    record = await make(MARKED, "w * h\n\nmore", "h * w\n")
    assert record.place.text == MARKED.replace("$0", "")
    assert (record.place.path, record.place.repo_name, record.place.invoked) == ("pkg/here.py", "sample", True)
    assert record.snippets == (SNIPPET,)
    assert record.prompt.token_ids
    assert [part.path for part in record.prompt.parts] == ["pkg/other.py", "pkg/here.py", "pkg/here.py"]
    assert [(stream.asked.sampling.seed, stream.asked.exact) for stream in record.streams] == [(None, True), (1, True)]
    read = "".join(chunk.text for chunk in record.streams[0].chunks)
    assert read.startswith("w * h\n")
    assert "more" not in read, "what came after the stop was not read"
    assert sorted(change.text for change in record.shown) == ["h * w", "w * h"]
    assert (record.identity.model, record.identity.weights, record.identity.numerics) == ("scripted", "int8", "by hand")
    assert record.completion == Settings().completion
    [file] = records_in(recorder.folder)
    head = file.read_text("utf-8")[:400]
    assert NOTICE in head, "whoever opens it reads first what is in it"


class Objects:
    """A parser that finds a fault in whatever is new."""

    async def faults(self, document: Document, text: str) -> int | None:
        return 0 if text == document.text else 1

    def more(self, document: Document, before: int | None, after: int | None) -> bool:
        return (after or 0) > (before or 0)


async def test_what_is_shown_is_what_a_replay_can_show(recorder: Recorder, fim: FimModel) -> None:
    document, offset = at_cursor(MARKED, "python")
    request = CompletionRequest(document, offset, invoked=True, path="pkg/here.py", repo_name="sample")
    tools = Tools(Script(("w * h\n",), ""), fim, parse_file, Settings(), own=Objects())
    [made] = await recorder.complete(request, tools, health=HEALTH)
    assert made.text == "w * h"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
async def test_only_its_owner_can_read_it(make: Make, recorder: Recorder) -> None:
    before = os.umask(0)
    try:
        await make(MARKED, "w * h\n")
    finally:
        os.umask(before)
    [file] = records_in(recorder.folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (recorder.folder / ".gitignore").read_text() == "*\n"


async def test_no_path_of_the_machine_and_no_secret_of_the_settings_is_in_it(recorder: Recorder, fim: FimModel) -> None:
    document, offset = at_cursor("x = $0\n")
    document = replace(document, uri="file:///srv/someone/project/a.py", path=Path("/srv/someone/project/a.py"))
    settings = replace(Settings(), engine=replace(Settings().engine, token="hush", url="http://inside.example:8000"))
    tools = Tools(Script(("1\n",)), fim, parse_file, settings)
    await recorder.complete(CompletionRequest(document, offset, path="a.py"), tools, health=HEALTH)
    text = records_in(recorder.folder)[-1].read_text("utf-8")
    assert not [word for word in ("someone", "hush", "inside.example") if word in text]


@pytest.mark.parametrize("name", [".env", "id_rsa", "credentials.json"])
async def test_files_that_may_hold_secrets_are_never_recorded(recorder: Recorder, fim: FimModel, name: str) -> None:
    document, offset = at_cursor("TOKEN=$0\n", "plaintext")
    document = replace(document, uri=f"file:///project/{name}", path=Path(f"/project/{name}"))
    engine = Script(("1\n",))
    request = CompletionRequest(document, offset, invoked=True, path=name)
    assert await recorder.complete(request, Tools(engine, fim, parse_file, Settings()), health=HEALTH) == []
    assert (records_in(recorder.folder), engine.asked) == ([], [])


async def test_excluded_files_are_never_recorded(recorder: Recorder, fim: FimModel) -> None:
    document, offset = at_cursor("x = $0\n")
    settings = replace(Settings(), completion=replace(Settings().completion, exclude=("*.py",)))
    tools = Tools(Script(("1\n",)), fim, parse_file, settings)
    await recorder.complete(CompletionRequest(document, offset, invoked=True, path="a.py"), tools, health=HEALTH)
    assert records_in(recorder.folder) == []


async def test_an_engine_that_fails_leaves_a_record_of_what_it_said(make: Make) -> None:
    record = await make(MARKED, "w * h", fails="gone")
    assert "gone" in record.streams[0].error
    assert "".join(chunk.text for chunk in record.streams[0].chunks) == "w * h"
    assert record.shown == ()


async def test_the_newest_stay(tmp_path: Path, fim: FimModel) -> None:
    recorder = Recorder(tmp_path / "few", most=2)
    for name in "abc":
        document, offset = at_cursor(f"{name} = $0\n")
        request = CompletionRequest(document, offset, path=f"{name}.py")
        await recorder.complete(request, Tools(Script(("1\n",)), fim, parse_file, Settings()), health=HEALTH)
    assert [read_record(file).place.path for file in records_in(recorder.folder)] == ["b.py", "c.py"]


async def test_of_a_very_long_document_what_is_around_the_cursor(recorder: Recorder, fim: FimModel) -> None:
    line = "x = 1  # 😀\n"
    document, offset = at_cursor(line * 50_000 + "y = $0\n" + line * 50_000)
    tools = Tools(Script(("2\n",)), fim, parse_file, Settings())
    await recorder.complete(CompletionRequest(document, offset, path="a.py"), tools, health=HEALTH)
    record = read_record(records_in(recorder.folder)[-1])
    assert not record.place.whole
    assert len(record.place.text) < 500_000
    assert record.place.text[: record.place.offset].endswith("\ny = ")
    assert record.place.text.startswith(line)
    lines = record.place.text[: record.place.offset].count("\n")
    assert record.place.first_line + lines == 50_000
    assert record.shown[0].start == record.place.offset


async def test_half_a_character_can_be_recorded(make: Make) -> None:
    assert (await make("x = '\ud800' + $0\n", "'a'\n")).place.text.startswith("x = '\ud800'")


async def test_a_folder_that_cannot_be_written_to_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordBroken, match="Name another folder"):
        Recorder(tmp_path / "file" / "records")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.pop("kind"), "no record"),
        (lambda raw: raw.update(format=99), "reads format 1"),
        (lambda raw: raw.pop("place"), "has no place"),
        (lambda raw: raw["place"].update(offset="3"), r"place\.offset must be int"),
        (lambda raw: raw["place"].update(offset=10_000), "cursor is not in the text"),
        (lambda raw: raw["streams"][0].update(chunks=3), r"streams\[0\]\.chunks must be a list"),
        (lambda raw: raw["template"].update(stop=[1]), r"template\.stop\[0\] must be str"),
        (lambda raw: raw["prompt"].update(segments=[{"nothing": 1}]), "has no"),
    ],
)
async def test_a_damaged_record_is_named(
    make: Make, recorder: Recorder, tmp_path: Path, change: object, said: str
) -> None:
    await make(MARKED, "w * h\n")
    raw = json.loads(records_in(recorder.folder)[-1].read_text("utf-8"))
    change(raw)  # type: ignore[operator]
    file = tmp_path / "damaged.json"
    file.write_text(json.dumps(raw))
    with pytest.raises(RecordBroken, match=said):
        read_record(file)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(RecordBroken):
        read_record(file)
    with pytest.raises(RecordBroken):
        read_record(tmp_path / "missing.json")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any value in the place of any other."""
    raw = json.loads(CASE.read_text("utf-8"))
    node, key = raw, data.draw(st.sampled_from(sorted(raw)))
    while isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    node[key] = data.draw(st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}))
    file = tmp_path_factory.mktemp("damaged") / "x.json"
    file.write_text(json.dumps(raw), encoding="utf-8")
    try:
        record = read_record(file)
    except RecordBroken:
        return
    assert isinstance(record, Record)


async def test_what_is_written_is_read_again(make: Make, tmp_path: Path) -> None:
    record = await make(MARKED, "w * h\n", "h\n")
    file = tmp_path / "again.json"
    file.write_text(written(record), encoding="utf-8")
    assert asdict(read_record(file)) == asdict(record)
    assert isinstance(record.streams[0].chunks[0], Chunk)


CASE = Path(__file__).parent / "cases" / "brackets_of_the_editor.json"
