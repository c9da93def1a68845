"""`coderls --stdio --record DIR`, as an editor starts it."""

from __future__ import annotations

import json
import sys
from typing import Any

from .conftest import SCRIPT, text_of

COMMAND = (sys.executable, "-m", "coderls", "--stdio")


def initialized(home: Any, front: Any, **options: Any) -> Any:
    engine = {"model": str(home.model(SCRIPT)), "idle_exit_s": 60}
    front.initialize(home.path / "work", initializationOptions={"engine": engine, **options})
    return front.ready()


def test_records_are_written_where_the_user_asked_for_them_and_that_is_said(home: Any) -> None:
    folder = home.path / "records"
    front = initialized(home, home.front((*COMMAND, "--record", str(folder))))
    assert any("Recording: the code around" in line and str(folder) in line for line in front.shown())
    asked = front.inline_request(*front.put("def add(a, b):\n    return $0\n"))
    assert text_of(front.wait(asked)) == "a + b"
    secret = front.inline_request(*front.put("marker = $0\n", ".env", "plaintext"))
    assert text_of(front.wait(secret)) is None
    [file] = folder.glob("*.coderls.json")
    record = json.loads(file.read_text("utf-8"))
    assert record["place"]["path"] == "a.py"
    assert record["shown"][0]["text"] == "a + b"
    assert all(stream["asked"]["exact"] for stream in record["streams"])
    assert "marker" not in file.read_text("utf-8")


def test_no_option_and_no_project_can_switch_it_on(home: Any) -> None:
    folder = home.path / "stolen"
    front = initialized(home, home.front(), record=str(folder), records={"enabled": True, "folder": str(folder)})
    assert front.ghost("marker = $0\n") == "found"
    assert not folder.exists()


def test_a_folder_that_cannot_be_used_is_said_at_the_start(home: Any) -> None:
    (home.path / "file").write_text("")
    front = home.front((*COMMAND, "--record", str(home.path / "file" / "records")))
    assert front.close() == 1
    assert "Name another folder" in home.log()
