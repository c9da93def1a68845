"""`coderls replay`, and `complete --record`, with a real engine process and a scripted model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from coderls.engine.fake import FakeRule, FakeScript, write_fake_model

from .conftest import Shown

Run = Callable[..., Shown]


@pytest.fixture
def record(coderls: Run, model: Path, project: Path, tmp_path: Path) -> Path:
    """A record of one completion."""
    shown = coderls("complete", f"{project / 'app.py'}:3:9", "--model", model, "--record", tmp_path / "records")
    assert shown.out == "add(1, 2)\n"
    [file] = (tmp_path / "records").glob("*.coderls.json")
    return file


def test_a_record_is_replayed_without_an_engine(coderls: Run, record: Path) -> None:
    shown = coderls("replay", record)
    assert shown.code == 0
    assert "app.py, line 3, scripted" in shown.out
    assert "said 'add(1, 2)\\n'" in shown.out
    assert "the same came of it" in shown.out


@pytest.mark.parametrize(
    ("data", "says"),
    [(None, "There is no file"), (b"", "is no record of"), (b"{", "is no record of"), (b"\xff\xfe", "is no record of")],
)
def test_a_wrong_file_is_said_in_words(coderls: Run, tmp_path: Path, data: bytes | None, says: str) -> None:
    if data is not None:
        (tmp_path / "a.json").write_bytes(data)
    shown = coderls("replay", tmp_path / "a.json")
    assert shown.code == (1 if data is not None else 2)
    assert says in shown.err
    assert not any(raw in shown.err for raw in ("Expecting", "codec", "Errno"))


def test_a_record_without_a_date_has_no_comma_for_it(coderls: Run, record: Path, tmp_path: Path) -> None:
    facts = json.loads(record.read_text())
    facts["at"], facts["identity"]["model"] = "", ""
    (tmp_path / "case.json").write_text(json.dumps(facts))
    assert "case.json: app.py, line 3, no model named\n" in coderls("replay", tmp_path / "case.json").out


def test_a_folder_of_records_too_and_as_json(coderls: Run, record: Path) -> None:
    shown = coderls("replay", record.parent, "--json")
    [outcome] = shown.json
    assert (outcome["verdict"], outcome["shown"][0]["text"]) == ("same", "add(1, 2)")


def test_a_record_is_replayed_with_a_live_engine(coderls: Run, record: Path, model: Path, tmp_path: Path) -> None:
    shown = coderls("replay", record, "--live", "--model", model)
    assert (shown.code, "the same came of it" in shown.out) == (0, True)
    other = write_fake_model(tmp_path / "other", FakeScript(rules=(FakeRule("total = ", "sum([1, 2])\n"),)))
    shown = coderls("replay", record, "--live", "--model", other)
    assert shown.code == 3
    assert "completion 1: 'add(1, 2)' then, 'sum([1, 2])' now" in shown.out
    assert "not as then: model: scripted then, other now" in shown.out
    assert "no verdict" in shown.out


def test_something_else_is_exit_code_1(coderls: Run, record: Path) -> None:
    raw = json.loads(record.read_text("utf-8"))
    raw["shown"][0]["text"] = "add(2, 1)"
    record.write_text(json.dumps(raw), "utf-8")
    shown = coderls("replay", record)
    assert shown.code == 1
    assert "completion 1: 'add(2, 1)' then, 'add(1, 2)' now" in shown.out


def test_a_test_is_written(coderls: Run, record: Path, tmp_path: Path) -> None:
    target = tmp_path / "case.json"
    shown = coderls("replay", record, "--as-test", target)
    assert shown.code == 0
    assert "tests/records/cases" in shown.out
    assert coderls("replay", target).code == 0
    assert "a: int, b: int" in record.read_text("utf-8")
    assert "a: int, b: int" not in target.read_text("utf-8"), "nothing of other files"
    again = coderls("replay", record, "--as-test", target)
    assert (again.code, "Name a new file" in again.err) == (1, True), "nothing is overwritten"


def test_what_is_no_record_is_said(coderls: Run, project: Path) -> None:
    shown = coderls("replay", project / "app.py")
    assert (shown.code, "is no record" in shown.err) == (1, True)
    empty = coderls("replay", project)
    assert (empty.code, "no records" in empty.err) == (1, True)
