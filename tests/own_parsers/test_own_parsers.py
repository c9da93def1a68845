from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from coderls import own_parsers
from coderls.document import Document
from coderls.own_parsers import OwnParsers, Processes
from devtools.checker_tools import bins, home

#: TypeScript is a package; its program is put on PATH.
TYPESCRIPT = home() / "typescript-5" / "node_modules" / ".bin"
FIRST = {
    "rust": ("rustc", "fn f(a: i32) -> i32 { a }\n", "fn f(self, _ref) {}\n"),
    "go": ("gofmt", "package a\n\nfunc f() {}\n", "package a\n\nfunc f( {}\n"),
    "c": ("gcc", "#include <stddef.h>\nsize_t f(void) { return 0; }\n", "int f(void) { return ; } }\nint g(int {\n"),
    "javascript": ("node", "import a from 'b';\nexport const c = a;\n", "const a = ;\n"),
    "typescript": ("tsc", "const a = <T,>(b: T): T => b;\n", "const a: = 1;\n"),
    "typescriptreact": ("tsc", "const a = <b>{c as D}</b>;\n", "const a = <b>{c as}</b>;\n"),
    "javascriptreact": ("tsc", "const a = <b>{c}</b>;\n", "const a = <b>{c</b>;\n"),
    "java": ("javac", 'class A { void f() { g(1 + 2, "é😀"); } }\n', "class A { void f() { 1 + 2; } }\n"),
    "ruby": ("ruby", "def f\n  1\nend\n", "def f(\n"),
    "php": ("php", "<?php\nfunction f() { return 1; }\n", "<?php\nfunction f( {\n"),
}


def document(language: str, path: Path | None = None) -> Document:
    return Document("file:///a", language, 1, "", path)


@pytest_asyncio.fixture
async def processes() -> AsyncIterator[Processes]:
    made = Processes(patience_s=60.0)
    yield made
    await made.aclose()


@pytest.mark.parametrize("language", list(FIRST))
async def test_each_parser_tells_right_from_wrong(
    language: str, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(TYPESCRIPT), *map(str, bins()), os.environ.get("PATH", "")]))
    program, right, wrong = FIRST[language]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    own = OwnParsers(None, processes, limit_s=30.0)
    assert await own.faults(document(language), right) == 0
    assert await own.faults(document(language), wrong)
    assert await own.faults(document(language), f"{right}\n" * 2_000) is not None, "many pieces of a pipe"
    assert await own.faults(document(language), "") is not None
    assert own.name_of(language)


async def test_nothing_of_a_script_is_run(processes: Processes, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    own, trace = OwnParsers(None, processes, limit_s=30.0), tmp_path / "trace"
    write = f"require('fs').writeFileSync({str(trace)!r}, '')"
    for text in (f"{write};\n", f"import a from 'a';\nimport fs from 'fs';\n{write};\n", f"(() => {write})();\n"):
        assert await own.faults(document("javascript"), text) == 0
    assert not trace.exists()


async def test_a_text_that_is_nested_too_deep_costs_no_answer_to_the_next(processes: Processes) -> None:
    if shutil.which("javac") is None:
        pytest.skip("javac is not installed")
    own = OwnParsers(None, processes, limit_s=60.0)
    deep = "class A { int a = " + "(" * 100_000 + "1" + ")" * 100_000 + "; }\n"
    assert await own.faults(document("java"), deep) in (None, 0)
    assert await own.faults(document("java"), "class A { int a = (1; }\n")


@pytest.mark.parametrize("trusted", [False, True])
async def test_the_projects_own_typescript_is_used_where_it_is_trusted(
    trusted: bool, tmp_path: Path, processes: Processes
) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    package = tmp_path / "node_modules" / "typescript"
    (package / "lib").mkdir(parents=True)
    (package / "bin").mkdir()
    (package / "lib" / "typescript.js").write_text(
        "exports.ScriptKind = {}; exports.ScriptTarget = {};\n"
        "exports.createSourceFile = (name, text) => ({ parseDiagnostics: [...text.matchAll(/!/g)] });\n"
    )
    program = package / "bin" / "tsc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "node_modules" / ".bin").mkdir()
    (tmp_path / "node_modules" / ".bin" / "tsc").symlink_to(program)
    own = OwnParsers(tmp_path, processes, limit_s=30.0, trusted=trusted)
    found = await own.faults(document("typescript", tmp_path / "a.ts"), "!!")
    assert found == 2 if trusted else found != 2


async def test_names_and_types_are_not_its_matter() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    own = OwnParsers(None, limit_s=30.0)
    assert await own.faults(document("c"), "int f(void) { return unknown_name + other(); }\n") == 0


async def test_tokens_that_a_macro_cannot_paste_are_a_matter_of_syntax() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    own, use = OwnParsers(None, limit_s=30.0), "int A(f)(void) { return 0; }\n"
    assert await own.faults(document("c"), f"#define A(X) X ## _b\n{use}") == 0
    assert await own.faults(document("c"), f"#define A(X) (X) ## _b\n{use}")


async def test_without_its_headers_nothing_is_said_of_a_file(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "far.h").write_text("typedef int far_t;\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "near.h").write_text("typedef int near_t;\n")
    own = OwnParsers(tmp_path, limit_s=30.0)
    here = document("c", tmp_path / "src" / "a.c")
    assert await own.faults(here, '#include <far.h>\n#include "near.h"\nfar_t f(near_t a) { return (far_t)a; }\n') == 0
    assert await own.faults(here, '#include "gone.h"\nint f( {\n') is None


async def test_languages_without_one(tmp_path: Path) -> None:
    own = OwnParsers(tmp_path)
    assert await own.faults(document("plaintext"), "x") is None
    assert own.name_of("plaintext") == ""


@pytest.fixture
def fake_gofmt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called gofmt, on the PATH, outside of any workspace; it notes each start."""
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gofmt"
    program.write_text(f"#!/bin/sh\necho started >> {tmp_path}/starts\ncat > /dev/null\n. {tmp_path}/does\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    (tmp_path / "does").write_text("exit 0\n")
    return tmp_path


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text().split()) if (folder / "starts").exists() else 0


def until_written(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists() or not file.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_what_was_asked_before_is_known(fake_gofmt: Path) -> None:
    own = OwnParsers(None, limit_s=30.0)
    assert [await own.faults(document("go"), text) for text in ("a", "a", "b", "a")] == [0, 0, 0, 0]
    assert starts(fake_gofmt) == 2


async def test_a_program_of_the_workspace_is_never_started(fake_gofmt: Path) -> None:
    own = OwnParsers(fake_gofmt)
    assert await own.faults(document("go"), "a") is None
    assert starts(fake_gofmt) == 0


async def test_many_texts_that_were_asked_about_are_not_kept(fake_gofmt: Path) -> None:
    own, here, text = OwnParsers(None, limit_s=30.0), document("go"), "a" * 300_000
    assert await own.faults(here, text) == 0
    assert all(text not in key for key in own._said)


async def test_a_folder_that_is_gone_costs_no_completion(fake_gofmt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = fake_gofmt / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert await OwnParsers(None, limit_s=30.0).faults(document("go"), "a") == 0


@pytest.mark.parametrize("mark", ["", "\ufeff"])
async def test_no_option_of_a_ruby_script_reaches_ruby(fake_gofmt: Path, mark: str) -> None:
    (fake_gofmt / "bin" / "gofmt").rename(fake_gofmt / "bin" / "ruby")
    program = fake_gofmt / "bin" / "ruby"
    program.write_text(f"#!/bin/sh\ncat > {fake_gofmt}/heard\n")
    text = f"{mark}#!/usr/bin/env ruby -r~/evil\n# frozen_string_literal: true\nputs 1 #!\n"
    assert await OwnParsers(None, limit_s=30.0).faults(document("ruby"), text) == 0
    heard = (fake_gofmt / "heard").read_text(encoding="utf-8")
    assert heard == "# /usr/bin/env ruby -r~/evil\n# frozen_string_literal: true\nputs 1 #!\n"


async def test_no_answer_is_no_word_and_who_is_late_again_and_again_rests(fake_gofmt: Path) -> None:
    (fake_gofmt / "does").write_text("sleep 60\n")
    own = OwnParsers(None, limit_s=0.05)
    for text in ("a", "b", "c", "d", "e"):
        assert await own.faults(document("go"), text) is None
    assert starts(fake_gofmt) <= own_parsers._LATE
    (fake_gofmt / "does").write_text("exit 77\n")
    assert await OwnParsers(None, limit_s=30.0).faults(document("go"), "a") is None, "it failed and said nothing"


async def test_one_text_is_asked_about_once_at_a_time(fake_gofmt: Path) -> None:
    (fake_gofmt / "does").write_text(f"until [ -e {fake_gofmt}/go ]; do sleep 0.01; done\n")
    own = OwnParsers(None, limit_s=30.0)
    asked = [asyncio.ensure_future(own.faults(document("go"), "a")) for _ in range(5)]
    await asyncio.to_thread(until_written, fake_gofmt / "starts")
    asked[0].cancel()
    (fake_gofmt / "go").touch()
    assert await asyncio.gather(*asked[1:]) == [0, 0, 0, 0], "who was cancelled takes nobody along"
    assert starts(fake_gofmt) == 1


async def test_few_programs_run_side_by_side(fake_gofmt: Path) -> None:
    (fake_gofmt / "does").write_text(
        f"echo x >> {fake_gofmt}/in\nuntil [ -e {fake_gofmt}/go ]; do sleep 0.01; done\n"
        f"[ $(wc -l < {fake_gofmt}/in) -le 2 ] || echo '<standard input>:1:1: many' >&2\n"
    )
    own = OwnParsers(None, limit_s=30.0)
    asked = [asyncio.ensure_future(own.faults(document("go"), str(number))) for number in range(6)]
    await asyncio.to_thread(until_written, fake_gofmt / "in")
    for _ in range(20):  # whoever may begin has begun
        await asyncio.sleep(0.01)
    assert starts(fake_gofmt) <= 2
    (fake_gofmt / "go").touch()
    await asyncio.gather(*asked)
    assert starts(fake_gofmt) == 6


async def test_asked_again_at_once_after_being_cancelled(fake_gofmt: Path) -> None:
    (fake_gofmt / "does").write_text(f"[ $(wc -l < {fake_gofmt}/starts) -gt 1 ] || sleep 60\n")
    own = OwnParsers(None, limit_s=30.0)
    first = asyncio.ensure_future(own.faults(document("go"), "a"))
    await asyncio.to_thread(until_written, fake_gofmt / "starts")
    first.cancel()
    await asyncio.sleep(0)  # it hears of that, and its program is being ended
    assert await own.faults(document("go"), "a") == 0
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()


async def test_cancelling_ends_the_program(fake_gofmt: Path) -> None:
    (fake_gofmt / "does").write_text(f"echo $$ > {fake_gofmt}/pid\nsleep 60\n")
    task = asyncio.ensure_future(OwnParsers(None, limit_s=30.0).faults(document("go"), "a"))
    await asyncio.to_thread(until_written, fake_gofmt / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake_gofmt / "pid").read_text()), 0)


def test_one_that_stops_at_its_first_error_says_nothing_of_a_broken_file() -> None:
    own = OwnParsers(None)
    assert own.more(document("rust"), 1, 2)
    assert own.more(document("javascript"), 0, 1)
    assert not own.more(document("javascript"), 1, 1)
    assert not own.more(document("rust"), None, 1)
    assert not own.more(document("rust"), 1, None)
