from __future__ import annotations

import gzip
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fim_quality
from benchmarks.fim_quality import main, read_tasks
from benchmarks.sandbox import passes
from benchmarks.shares import Share
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from coderls.errors import CoderlsError

TASKS = [
    {
        "task_id": "0",
        "prompt": "def add(a, b):\n    c = a + b\n",
        "canonical_solution": "    return c\n",
        "suffix": "",
        "test": "def check(f):\n    assert f(1, 2) == 3\n",
        "entry_point": "add",
    },
    {
        "task_id": "1",
        "prompt": "def double(x):\n",
        "canonical_solution": "    y = x * 2\n",
        "suffix": "    return y\n",
        "test": "def check(f):\n    assert f(4) == 8\n",
        "entry_point": "double",
    },
    {
        "task_id": "2",
        "prompt": "def zero():\n    z = 0\n",
        "canonical_solution": "    return z\n",
        "suffix": "",
        "test": "def check(f):\n    assert f() == 0\n",
        "entry_point": "zero",
    },
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(task) + "\n" for task in TASKS)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rules = (
        FakeRule(after="c = a + b\n    ", say="return c\n"),  # exact
        FakeRule(after="def double(x):\n    ", say="y = x + x\n"),  # other text, same result
        FakeRule(after="z = 0\n    ", say="return 1\n"),  # wrong
    )
    return write_fake_model(tmp_path / "fake", FakeScript(rules=rules))


def test_lines_are_completed_compared_and_run(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    assert main([str(data), "--model", str(model), "--json", str(results)]) == 0
    facts = json.loads(results.read_text(encoding="utf-8"))
    for before in ("", "raw_"):
        rows = [(row[f"{before}exact"], row[f"{before}passed"]) for row in facts["rows"]]
        assert rows == [(True, True), (False, True), (False, False)]
    assert facts["rows"][1]["text"] == "    y = x + x"
    assert (facts["shares"]["exact"]["count"], facts["shares"]["passed"]["count"]) == (1, 2)
    assert "passed     2/3" in capsys.readouterr().out


def test_an_interrupted_run_goes_on(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    command = [str(data), "--model", str(model), "--json", str(results)]
    assert main([*command, "--limit", "1"]) == 0
    kept = json.loads(results.read_text(encoding="utf-8"))
    kept["rows"][0]["text"] = "was kept"
    results.write_text(json.dumps(kept), encoding="utf-8")
    assert main(command) == 0
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
    assert [row["task"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["text"] == "was kept"
    assert main([*command, "--at-line-start"]) == 1
    assert "another variant" in capsys.readouterr().err


def test_each_task_is_generated_once_and_judged_as_offered_and_raw(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model repeats the line below, which is cut; opens a bracket too many, which is withheld; and says a word."""
    rules = (
        FakeRule(after="c = a + b\n    ", say="return (c\n"),
        FakeRule(after="def double(x):\n    ", say="y = x * 2\n    return y\n"),
        FakeRule(after="z = 0\n    ", say="return z  \n"),
    )
    model = write_fake_model(tmp_path / "fake", FakeScript(rules=rules))
    results = tmp_path / "results.json"
    assert main([str(data), "--model", str(model), "--json", str(results)]) == 0
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
    assert [row["raw"] for row in rows] == ["    return (c", "    y = x * 2", "    return z  "]
    assert [row["raw_passed"] for row in rows] == [False, True, True]
    assert [row["passed"] for row in rows[1:]] == [True, True]
    assert rows[0]["text"] != rows[0]["raw"], "a bracket that nobody closes is not offered"
    assert "exact: only as offered" in capsys.readouterr().out


def test_what_holds_no_tasks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (("a.jsonl", b'{"x": 1}'), ("b.jsonl", b"\xff"), ("c.jsonl.gz", gzip.compress(b"no"))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CoderlsError, match="holds no infilling tasks"):
            read_tasks(tmp_path / name)
    assert main([str(tmp_path / "none.jsonl")]) == 1
    assert "fim_quality: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (290, 1033, 0.2542, 0.3089)],
)
def test_intervals_are_wilsons(count: int, total: int, low: float, high: float) -> None:
    assert Share(count, total).interval == pytest.approx((low, high), abs=1e-4)


def test_code_passes_or_fails() -> None:
    assert passes("from typing import List\nimport math\nassert math.sqrt(4) == 2\nx: List[int] = []\n")
    assert not passes("assert False")
    assert not passes("def f(:")
    assert not passes("raise SystemExit(3)")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of memory and processor time are those of unix")
def test_runaway_code_is_stopped() -> None:
    assert not passes("bytearray(1 << 33)")
    assert not passes("while True: pass", cpu_s=1)
    assert not passes("open('big', 'wb').write(bytes(1 << 22))")
    assert not passes("import time\ntime.sleep(60)", wall_s=1.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a process leave the network")
def test_there_is_no_network() -> None:
    tool = shutil.which("unshare")
    if tool is None or subprocess.run([tool, "-Un", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody make a namespace")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=5)"
        assert not passes(code)


def test_the_hidden_lines_figures_do_not_depend_on_blank_ends() -> None:
    assert fim_quality._plain("a  \n\n\tb\n") == fim_quality._plain("a\n\tb")
    assert fim_quality._plain("a\n b") != fim_quality._plain("a\nb")
