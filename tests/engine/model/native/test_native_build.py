"""Compiling: once, kept, never half, never from where others can write, and never needed."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coderls.engine.model.native import build
from coderls.paths import cache_dir

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is compiled on Windows")

#: Stands for a compiler: notes its calls, answers for macros, and copies a text to where the library goes.
FAKE = """#!/bin/sh
case "$*" in
  *-dM*) echo '#define __VERSION__ "{version}"'; exit 0;;
esac
echo call >> "{log}"
for last; do :; done
{body}
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")
    return folder


def install(tools: Path, body: str = 'echo library > "$last"', version: str = "1") -> Path:
    """Put the fake there as the first compiler that is looked for; returns its log."""
    log = tools / "calls"
    compiler = tools / "c++"
    compiler.write_text(FAKE.format(log=log, body=body, version=version), encoding="utf-8")
    compiler.chmod(0o755)
    return log


def calls(log: Path) -> int:
    return log.read_text(encoding="utf-8").count("call") if log.exists() else 0


def test_compiled_once(tools: Path) -> None:
    log = install(tools)
    said: list[str] = []
    assert build.why_not() == ""
    assert not calls(log), "only the engine compiles"
    first = build.build(lambda detail, _fraction: said.append(detail))
    assert first is not None
    assert first.read_text(encoding="utf-8") == "library\n"
    assert first.parent == cache_dir() / "native"
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    assert said == ["compiling the native step (once)"]
    assert build.build(lambda detail, _fraction: said.append(detail)) == first
    assert (calls(log), len(said)) == (1, 1)
    assert not [path for path in first.parent.iterdir() if path.is_dir()]


def test_another_compiler_or_processor_is_another_library(tools: Path) -> None:
    install(tools)
    first = build.build()
    install(tools, version="2")
    second = build.build()
    assert build.build(flags=["-DOTHER"]) not in {first, second}
    assert first != second


def test_a_failure_is_remembered(tools: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = install(tools, 'echo "step.cpp:1: error: what is this" >&2; exit 1')
    caplog.set_level(logging.INFO)
    assert build.build() is None
    assert build.build() is None
    assert calls(log) == 1
    (note,) = (cache_dir() / "native").glob("*.failed")
    assert "what is this" in note.read_text(encoding="utf-8")
    assert str(note) in caplog.text
    assert str(note) in build.why_not()
    assert not list((cache_dir() / "native").glob("*.so"))


def test_a_compiler_that_does_not_start(tools: Path) -> None:
    (tools / "c++").write_bytes(b"\x7fELF no program")
    (tools / "c++").chmod(0o755)
    assert build.build() is None
    assert "cannot be used" in build.why_not()


def test_no_compiler(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tools))
    assert build.find_compiler() is None
    assert build.build() is None


@pytest.mark.parametrize(
    ("system", "said"), [("win32", "never tried"), ("darwin", "xcode-select --install"), ("linux", "install g++")]
)
def test_without_a_compiler_each_system_is_told_what_to_do(
    tools: Path, monkeypatch: pytest.MonkeyPatch, system: str, said: str
) -> None:
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(build.sys, "platform", system)
    told: list[str] = []
    assert build.build(say=told.append) is None
    assert [said in reason for reason in told] == [True]
    assert build.why_not() == told[0]


def test_a_compiler_of_the_working_folder_is_not_used(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tools)
    monkeypatch.chdir(tools)
    monkeypatch.setenv("PATH", ".")
    assert build.find_compiler() is None


def test_a_folder_that_others_can_write_to_is_not_used(tools: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(tools)
    folder = cache_dir() / "native"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert build.build() is None
    assert str(folder) in caplog.text


def test_a_cache_that_cannot_be_made(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tools)
    (tmp_path / "file").touch()
    monkeypatch.setenv("CODERLS_CACHE", str(tmp_path / "file"))
    assert build.build() is None


def test_several_engines_at_once_compile_once(tools: Path) -> None:
    log = install(tools, 'sleep 0.2; echo library > "$last"')
    found: list[Path | None] = []
    threads = [threading.Thread(target=lambda: found.append(build.build())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert found[0] is not None
    assert calls(log) == 1


def test_the_sources_are_those_that_are_included() -> None:
    folder = Path(build.__file__).parent
    assert sorted(build._SOURCES) == sorted(path.name for path in folder.iterdir() if path.suffix in {".cpp", ".hpp"})


@pytest.mark.usefixtures("shared_cache")
def test_it_compiles_without_warnings() -> None:
    compiler = build.find_compiler()
    if compiler is None:
        pytest.skip("there is no C++ compiler here")
    source = Path(build.__file__).parent / "step.cpp"
    command = [compiler, *build._FLAGS, *build.native_flags(), "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
