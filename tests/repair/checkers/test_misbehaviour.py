"""A checker that hangs, crashes, prints garbage, never stops printing or is missing proves nothing, and says so."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import psutil
import pytest

from coderls.document import Document
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import process
from coderls.repair.checkers.cargo import Cargo
from coderls.repair.checkers.cc import CCompiler
from coderls.repair.checkers.checker import Report
from coderls.repair.checkers.command import CommandChecker
from coderls.repair.checkers.eslint import Eslint
from coderls.repair.checkers.go_vet import GoVet
from coderls.repair.checkers.javac import Javac
from coderls.repair.checkers.mypy import Mypy
from coderls.repair.checkers.pyright import Pyright
from coderls.repair.checkers.ruff import Ruff
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.checkers.typescript import Tsc
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.verify import Baseline, verify

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs of these tests are scripts")

FILES = {
    Ruff: "a.py", Mypy: "a.py", Pyright: "a.py", Eslint: "a.js", Tsc: "a.ts", GoVet: "a.go", Cargo: "src/a.rs",
    CCompiler: "a.c", Javac: "A.java",
}  # fmt: skip
LANGUAGES = {
    "a.py": "python", "a.js": "javascript", "a.ts": "typescript", "a.go": "go", "src/a.rs": "rust", "a.c": "c",
    "A.java": "java",
}  # fmt: skip
GARBAGE = ("{[}", '{"a": 1}', "\\x00\\xff\\xfe", "[[1, null]]", "Content-Length: 5\\r\\n\\r\\nhello")


def program(folder: Path, body: str) -> Path:
    """An executable that runs `body` in Python."""
    path = folder / "tool"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def hanging(note: Path) -> str:
    """The body of a program that has a child, writes both process ids into `note`, and hangs."""
    return f"""
child = os.fork()
if child == 0:
    time.sleep(600)
open({str(note)!r}, "w").write(f"{{os.getpid()}} {{child}}")
time.sleep(600)
"""


def stand_still_until_written(note: Path) -> None:
    """Keep asyncio from doing anything until both process ids are in `note`."""
    until = time.monotonic() + 60
    while not note.exists() or len(note.read_text().split()) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)


async def gone(pids: list[int]) -> None:
    """Wait until none of these processes runs."""
    began = time.monotonic()
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 60


def document(folder: Path, kind: type[CommandChecker]) -> Document:
    name = FILES[kind]
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x", encoding="utf-8")
    (folder / "Cargo.toml").touch()
    return Document(path.as_uri(), LANGUAGES[name], 1, "x = y\n", path)


async def report(tmp_path: Path, kind: type[CommandChecker], body: str, limit_s: float = 20.0) -> Report:
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    checker = kind(program(tmp_path, body), Surroundings.of(folder, trusted=True))
    try:
        return await checker.check(document(folder, kind), limit_s=limit_s)
    finally:
        await checker.aclose()


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.name)
async def test_a_crash_is_no_clean_bill(kind: type[CommandChecker], tmp_path: Path) -> None:
    found = await report(tmp_path, kind, "sys.stderr.write('panic: out of luck'); sys.exit(70)")
    assert found.failed is not None
    assert found.diagnostics == ()


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "garbage", ["{[}", '{"a": 1}', "\\x00\\xff\\xfe", "[[1, null]]", "Content-Length: 5\\r\\n\\r\\nhello"]
)
async def test_garbage_is_no_report(kind: type[CommandChecker], garbage: str, tmp_path: Path) -> None:
    body = f"sys.stdout.buffer.write(b'{garbage}'); sys.stderr.buffer.write(b'{garbage}'); sys.exit(1)"
    found = await report(tmp_path, kind, body)
    assert found.failed is not None
    assert found.diagnostics == ()


@pytest.mark.parametrize("kind", [Ruff, Pyright], ids=lambda kind: kind.name)
async def test_one_that_hangs_is_stopped_with_its_children(kind: type[CommandChecker], tmp_path: Path) -> None:
    note = tmp_path / "pids"
    began = time.monotonic()
    folder = tmp_path / "project"
    folder.mkdir()
    checker = kind(program(tmp_path, hanging(note)), Surroundings.of(folder, trusted=True))
    asked = asyncio.ensure_future(checker.check(document(folder, kind), limit_s=600))
    while not note.exists() or len(note.read_text().split()) < 2:
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 60
    pids = [int(pid) for pid in note.read_text().split()]
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await checker.aclose()
    await gone(pids)


async def test_one_that_is_cancelled_while_it_starts_is_stopped_with_its_children(tmp_path: Path) -> None:
    """On busy cores a program can be well under way before asyncio has opened the pipes to it."""
    note = tmp_path / "pids"
    command = [str(program(tmp_path, hanging(note)))]
    before = set(psutil.Process().children())
    asked = asyncio.ensure_future(process.run(command, folder=tmp_path, environment=os.environ, limit_s=600))
    while before.issuperset(psutil.Process().children()):  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0)
    stand_still_until_written(note)
    pids = [int(pid) for pid in note.read_text().split()]
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await gone(pids)


async def test_one_that_hangs_is_given_up(tmp_path: Path) -> None:
    found = await report(tmp_path, Ruff, "time.sleep(600)", limit_s=0.5)
    assert "did not answer" in (found.failed or "")


async def test_one_that_never_stops_printing_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OUTPUT", 1_000_000)
    found = await report(tmp_path, Ruff, "while True: sys.stdout.write('[' * 10000)")
    assert "printed more than" in (found.failed or "")


async def test_one_that_is_gone_says_so(tmp_path: Path) -> None:
    checker = Ruff(tmp_path / "nowhere", Surroundings.of(tmp_path, trusted=False))
    found = await checker.check(document(tmp_path, Ruff))
    assert "could not be started" in (found.failed or "")


async def test_a_language_server_that_died_is_started_again(tmp_path: Path) -> None:
    """It dies at every second start: the checker fails once, and not for good."""
    count = tmp_path / "count"
    body = f"open({str(count)!r}, 'a').write('x'); sys.exit(3)"
    folder = tmp_path / "project"
    folder.mkdir()
    checker = Pyright(program(tmp_path, body), Surroundings.of(folder, trusted=True))
    for _ in range(2):
        assert (await checker.check(document(folder, Pyright))).failed
    await checker.aclose()
    assert count.read_text() == "xx"


async def test_nothing_is_proved_by_a_checker_that_fails(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    broken = Ruff(program(tmp_path, "sys.exit(70)"), Surroundings.of(folder, trusted=True))
    text = document(folder, Ruff)
    candidate = Candidate.of_text(text.text, "x = 1\n", "chat", "t")
    verdict = await verify(Baseline(text), Diagnostic(4, 5, "Undefined name `y`", rule="F821"), candidate, [broken])
    assert not verdict.accepted
    assert "ruff was left out" in verdict.evidence[0]


@pytest.mark.parametrize("body", ["sys.exit(70)", *(f"sys.stdout.buffer.write(b'{said}')" for said in GARBAGE)])
async def test_an_old_typescript_that_misbehaves(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lib" / "typescript"
    for name in ("bin/tsc", "lib/tsserver.js"):
        (package / name).parent.mkdir(parents=True)
        (package / name).touch()
    (package / "package.json").write_text('{"name": "typescript", "version": "5.9.3"}', encoding="utf-8")
    node = program(tmp_path, body).rename(tmp_path / "node")
    monkeypatch.setenv("PATH", str(node.parent))
    checker = Tsc(package / "bin" / "tsc", Surroundings.of(None, trusted=False))
    try:
        found = await checker.check(document(tmp_path, Tsc))
    finally:
        await checker.aclose()
    assert re.match("tsserver (has )?ended", found.failed or "")  # before it could be asked, or after


async def test_an_old_typescript_without_node_says_so(tmp_path: Path) -> None:
    package = tmp_path / "typescript"
    for name in ("bin/tsc", "lib/tsserver.js"):
        (package / name).parent.mkdir(parents=True)
        (package / name).touch()
    (package / "package.json").write_text('{"name": "typescript", "version": "5.9.3"}', encoding="utf-8")
    checker = Tsc(package / "bin" / "tsc", Surroundings(tmp_path, trusted=True, path=(package / "bin",)))
    try:
        found = await checker.check(document(tmp_path, Tsc))
    finally:
        await checker.aclose()
    assert "runs in Node" in (found.failed or "")


async def test_a_path_that_no_disk_can_have_is_a_checker_that_could_not_be_asked(tmp_path: Path) -> None:
    checker = Mypy(program(tmp_path, ""), Surroundings.of(None, trusted=False))
    path = Path("/", "d" * 5000 + ".py")
    report = await checker.check(Document(path.as_uri(), "python", 1, "x = 1\n", path))
    assert report.failed.startswith("mypy could not be asked: ")
