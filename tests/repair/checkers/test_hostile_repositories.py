"""Real checkers in a folder that nobody trusts: they run nothing of it, and take no more of the machine than others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coderls.document import Document
from coderls.own_parsers import OwnParsers, Processes
from coderls.repair.checkers import find_checkers, of_language
from coderls.repair.checkers.cc import CCompiler
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repo_context.parse import parse_file
from tests.repair.checkers.conftest import FindTool

MAIN = 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Printf("%d", "text")\n}\n'


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=folder, check=True)


def precompile(header: Path, flags: tuple[str, ...]) -> None:
    subprocess.run(["gcc", *flags, "-x", "c-header", header, "-o", f"{header}.gch"], check=True)


@pytest.mark.skipif(shutil.which("git") is None or sys.platform == "win32", reason="needs git and a shell")
async def test_what_a_repository_has_git_run_is_not_run_by_go(tmp_path: Path, need: FindTool) -> None:
    need("go vet")
    folder, ran = tmp_path / "work", tmp_path / "ran"
    folder.mkdir()
    (folder / "go.mod").write_text("module ex\n\ngo 1.21\n", encoding="utf-8")
    path = folder / "main.go"
    path.write_text(MAIN, encoding="utf-8")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")
    program = tmp_path / "program.sh"
    program.write_text(f'#!/bin/sh\ntouch "{ran}"\n', encoding="utf-8")
    program.chmod(0o755)
    git(folder, "config", "core.fsmonitor", str(program))

    checkers = of_language(find_checkers(folder, trusted=False, parse=parse_file), "go")
    reports = [await one.check(Document(path.as_uri(), "go", 1, MAIN, path)) for one in checkers]
    assert [one.message for report in reports for one in report.diagnostics if "Printf" in one.message]
    assert not ran.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
async def test_a_header_without_end_takes_no_more_memory_than_a_compiler_needs(tmp_path: Path, need: FindTool) -> None:
    need("cc")
    path = tmp_path / "a.c"
    text = '#include "/dev/zero"\nint x;\n'
    [_, checker] = of_language(find_checkers(tmp_path, trusted=False, parse=parse_file), "c")
    report = await checker.check(Document(path.as_uri(), "c", 1, text, path))
    assert "memory" in report.failed
    assert not report.diagnostics


@pytest.mark.skipif(shutil.which("gcc") is None, reason="only gcc has such headers")
@pytest.mark.parametrize("flags", [("-Wall",), ("-w",)])
async def test_no_precompiled_header_stands_for_a_header(tmp_path: Path, flags: tuple[str, ...]) -> None:
    header, path = tmp_path / "a.h", tmp_path / "a.c"
    header.write_text("int other;\n", encoding="utf-8")
    precompile(header, flags)
    header.write_text("#define END ;\nint there;\n", encoding="utf-8")
    document = Document(path.as_uri(), "c", 1, '#include "a.h"\nint x END\nint f(void) { return there; }\n', path)

    checker = CCompiler(Path(str(shutil.which("gcc"))), Surroundings.of(tmp_path, trusted=False))
    assert (await checker.check(document)).diagnostics == ()

    processes = Processes()
    own = OwnParsers(tmp_path, processes, limit_s=30.0)
    assert await own.faults(document, document.text) == 0
    await processes.aclose()
