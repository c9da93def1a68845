"""Nothing of an untrusted folder is started, and nobody gets the user's secrets."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from coderls.document import Document
from coderls.repair.checkers import find_checkers, not_found, only_trusted
from coderls.repair.checkers.cc import CCompiler
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repo_context.parse import parse_file
from tests.repair.checkers.conftest import FindTool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs of these tests are scripts")


def tool(folder: Path, name: str, body: str = "") -> Path:
    """An executable script that leaves a trace when it is run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\ntouch '{folder}/ran'\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def names(folder: Path | None, *, trusted: bool) -> dict[str, str]:
    return {one.name: one.version_of for one in find_checkers(folder, trusted=trusted, parse=parse_file)}


@pytest.mark.parametrize("bins", [".venv/bin", "node_modules/.bin", "tools"])
def test_programs_of_an_untrusted_folder_are_not_seen(
    bins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    tool(project / bins, "javac")
    (project / ".venv").mkdir(exist_ok=True)
    (project / ".venv" / "pyvenv.cfg").touch()
    monkeypatch.setenv("PATH", f"{project / bins}{os.pathsep}.{os.pathsep}")
    monkeypatch.chdir(project / bins)
    assert "javac" not in names(project, trusted=False)
    assert "of the project" in names(project, trusted=True)["javac"]


def test_a_link_into_the_untrusted_folder_is_followed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "bin"
    hostile = tool(project, "javac")
    elsewhere.mkdir()
    (elsewhere / "javac").symlink_to(hostile)
    linked = tmp_path / "linked"
    linked.symlink_to(project)
    for path in (elsewhere, linked):
        monkeypatch.setenv("PATH", str(path))
        assert "javac" not in names(project, trusted=False)


def test_an_untrusted_folder_reached_by_a_link_is_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    tool(project, "javac")
    linked = tmp_path / "linked"
    linked.symlink_to(project)
    monkeypatch.setenv("PATH", str(project))
    assert "javac" not in names(linked, trusted=False)


def test_what_runs_code_of_the_project_needs_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "bin"
    for name in ("cargo", "eslint", "ruff"):
        tool(outside, name)
    project = tmp_path / "project"
    project.mkdir()
    (project / "eslint.config.mjs").touch()
    monkeypatch.setenv("PATH", str(outside))
    assert {"cargo check", "eslint", "ruff"} <= names(project, trusted=True).keys()
    assert not {"cargo check", "eslint"} & names(project, trusted=False).keys()
    assert not {"cargo check", "eslint"} & names(None, trusted=True).keys()


def test_checkers_get_no_secrets_and_nothing_that_loads_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "NODE_OPTIONS", "PYTHONPATH", "LD_PRELOAD", "RUSTC_WRAPPER"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("GOROOT", str(project / "go"))
    for trusted in (False, True):
        environment = Surroundings.of(project, trusted=trusted).environment()
        assert "secret" not in environment.values()
        assert ("GOROOT" in environment) is trusted


async def test_pyright_runs_nothing_of_an_untrusted_folder(tmp_path: Path, need: FindTool) -> None:
    need("pyright")
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    project = tmp_path / "project"
    project.mkdir()
    for name in ("json.py", "os.py", "sys.py", "site.py", "sitecustomize.py", "encodings.py"):
        (project / name).write_text(trap, encoding="utf-8")
    tool(project / ".venv" / "bin", "python")
    (project / ".venv" / "pyvenv.cfg").touch()
    (project / "pyrightconfig.json").write_text('{"venvPath": ".", "venv": ".venv"}', encoding="utf-8")
    path = project / "a.py"
    path.write_text("x = y\n", encoding="utf-8")
    checker = next(one for one in find_checkers(project, trusted=False, parse=parse_file) if one.name == "pyright")
    report = await checker.check(Document(path.as_uri(), "python", 1, "x = y\n", path))
    await checker.aclose()
    assert report.failed is None
    assert [one.rule for one in report.diagnostics] == ["reportUndefinedVariable"]
    assert not (tmp_path / "ran").exists()
    assert not (project / ".venv" / "bin" / "ran").exists()


async def test_mypys_plugins_need_trust(tmp_path: Path, need: FindTool) -> None:
    need("mypy")
    project = tmp_path / "project"
    project.mkdir()
    (project / "mypy.ini").write_text("[mypy]\nplugins = ./plugin.py\n", encoding="utf-8")
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom mypy.plugin import Plugin\ndef plugin(version): return Plugin\n"
    (project / "plugin.py").write_text(trap, encoding="utf-8")
    path = project / "a.py"
    path.write_text("x: int = ''\n", encoding="utf-8")
    for trusted in (False, True):
        checker = next(one for one in find_checkers(project, trusted=trusted, parse=parse_file) if one.name == "mypy")
        report = await checker.check(Document(path.as_uri(), "python", 1, "x: int = ''\n", path))
        assert [one.rule for one in report.diagnostics] == ["assignment"], report.failed
        assert (tmp_path / "ran").exists() is trusted


def test_a_compile_command_gives_no_flag_that_loads_or_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.c"
    commands = (
        f'[{{"directory": "{tmp_path}", "file": "a.c", "command": '
        '"cc -Iinclude -DX=1 -std=c11 -fplugin=./evil.so -wrapper ./evil -o out -B. @args -include evil.h a.c"}]'
    )
    (tmp_path / "compile_commands.json").write_text(commands, encoding="utf-8")
    checker = CCompiler(Path(sys.executable), Surroundings(tmp_path, trusted=False))
    assert checker.flags(path) == ["-I", str(tmp_path / "include"), "-DX=1", "-std=c11"]


def test_what_lies_in_the_projects_own_environment_is_named_as_a_matter_of_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    tool(project / ".venv" / "bin", "mypy")
    (project / ".venv" / "pyvenv.cfg").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert only_trusted(project, "python") == ("mypy",)
    assert not_found(project, trusted=False, language_id="python") == ("ruff", "pyright")
    assert only_trusted(tmp_path / "elsewhere", "python") == ()
    assert "mypy" in not_found(tmp_path / "elsewhere", trusted=False, language_id="python")
    assert not (project / ".venv" / "bin" / "ran").exists()
