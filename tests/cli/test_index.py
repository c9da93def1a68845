from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from coderls.cli import index, main
from coderls.paths import cache_dir
from coderls.repo_context.databases import database_path
from tests.repo_context.repository import write


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    files = {"a.py": "def f(): ...\n", "pyproject.toml": "", "secrets.py": "KEY = 1\n", "sub/b.py": "x = 1\n"}
    write(root, files)
    return root


def test_it_says_what_is_in_the_index_and_what_is_not(repo: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["index", str(repo)]) == 0
    shown = capsys.readouterr()
    assert "2 files, 2 definitions" in shown.out
    assert "secrets.py" in shown.out
    assert "reading repo" in shown.err
    assert database_path(cache_dir() / "index", repo).is_file()


def test_a_name_that_a_terminal_would_obey_is_written_out(repo: Path, capsys: pytest.CaptureFixture[str]):
    (repo / "\x1b]0;owned\x07\nfine.py").write_text("x = 1\n", encoding="utf-8")
    assert main(["index", str(repo)]) == 0
    shown = capsys.readouterr().out
    assert r"\x1b]0;owned\x07\nfine.py" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_json_has_facts(repo: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["index", str(repo), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["files"], facts["definitions"], facts["folder"]) == (2, 2, str(repo))
    assert {entry["reason"]: entry["examples"] for entry in facts["excluded"]} == {
        "secret": ["secrets.py"],
        "language": ["pyproject.toml"],
    }
    assert facts["database_bytes"] > 0


def test_without_a_folder_it_is_the_project_around(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(repo / "sub")
    assert main(["index", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(repo)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("a.py", 0, "a.py is in the index: 1 definitions"),
        ("secrets.py", 1, "secrets.py is not in the index: its name"),
        ("gone.py", 1, "not there"),
    ],
)
def test_why(repo: Path, capsys: pytest.CaptureFixture[str], name: str, code: int, words: str):
    assert main(["index", "--why", str(repo / name)]) == code
    shown = capsys.readouterr()
    assert words in shown.out
    assert shown.err == "", "what is quick is not told"
    assert main(["index", "--json", "--why", str(repo / name)]) == code
    assert json.loads(capsys.readouterr().out)["indexed"] == (code == 0)


def test_why_of_a_file_in_no_project_reads_the_project_around_us_and_not_its_folder(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write(tmp_path / "elsewhere", {"other.py": "x = 1\n"})
    monkeypatch.chdir(repo)
    monkeypatch.setattr(index, "QUICK_S", 0.0)
    assert main(["index", "--why", str(tmp_path / "elsewhere" / "other.py")]) == 1
    shown = capsys.readouterr()
    assert "other.py is not in the index: outside of the workspace folders" in shown.out
    assert "reading repo" in shown.err
    assert not database_path(cache_dir() / "index", tmp_path / "elsewhere").exists()


def test_rebuild_forgets_what_was_kept(repo: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["index", str(repo)]) == 0
    database = database_path(cache_dir() / "index", repo)
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE marker (x)")
    connection.commit()
    connection.close()
    for options, tables in ((["--json"], 1), (["--rebuild"], 0)):
        assert main(["index", str(repo), *options]) == 0
        connection = sqlite3.connect(database)
        found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'marker'").fetchone()[0]
        connection.close()
        assert found == tables


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["index", str(tmp_path / "gone")]) == 2
    assert "is no folder" in capsys.readouterr().err
