"""`coderls doctor` as a whole, with a scripted model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coderls.cli import doctor
from coderls.cli.torch_probe import TorchFacts
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model

from .conftest import SCRIPT, Shown

Run = Callable[..., Shown]
PARTS = (
    *(
        "python",
        "coderls",
        "torch",
        "device",
        "attention",
        "steps",
        "model",
        "cache",
        "socket",
        "grammars",
        "index",
        "checkers",
    ),
    *("engine", "completion"),
)


@pytest.fixture(autouse=True)
def quick_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted model needs no PyTorch, and importing it takes seconds."""
    monkeypatch.setattr(doctor, "probe_torch", lambda: TorchFacts(version="2.13.0", threads=2, cpu="AVX2"))


def test_all_is_well(coderls: Run, model: Path, project: Path) -> None:
    shown = coderls("doctor", "--model", model, "--folder", project)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == list(PARTS)
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == "nothing to mend"
    assert "`return width * height` in" in shown.out
    assert "2 files, 2 definitions" in shown.out


def test_json(coderls: Run, model: Path, project: Path) -> None:
    facts = coderls("doctor", "--model", model, "--folder", project, "--json").json
    assert facts["status"] == "ok"
    assert facts["settings"]["engine.model"] == str(model)
    assert [finding["name"] for finding in facts["findings"]] == list(PARTS)
    by_name = {finding["name"]: finding for finding in facts["findings"]}
    assert by_name["completion"]["facts"]["text"] == "width * height"
    assert by_name["index"]["facts"]["files"] == 2


def test_quick_starts_no_engine(coderls: Run, model: Path, project: Path, runtime_folder: Path) -> None:
    shown = coderls("doctor", "--model", model, "--folder", project, "--quick")
    assert shown.code == 0
    assert "not running; it starts with the first completion" in shown.out
    assert "completion  `" not in shown.out
    assert not list((runtime_folder / "coderls").glob("*.sock"))


def test_an_engine_that_runs_already_is_described(coderls: Run, model: Path, project: Path) -> None:
    coderls("doctor", "--model", model, "--folder", project)
    shown = coderls("doctor", "--model", model, "--folder", project, "--quick")
    assert "scripted, ready on cpu" in shown.out
    assert "mode 0600" in shown.out


def test_a_fault_is_exit_1_and_says_what_to_do(coderls: Run, model: Path, project: Path) -> None:
    (model / "tokenizer.json").unlink()
    shown = coderls("doctor", "--model", model, "--folder", project)
    assert shown.code == 1
    assert "FAIL  model" in shown.out
    assert "not tried" in shown.out
    assert "Mend this first: model" in shown.out
    assert shown.out.splitlines()[-1] == "2 to mend: model, completion"


def test_an_engine_that_cannot_start(coderls: Run, model: Path, project: Path) -> None:
    write_fake_model(model, FakeScript(load_error="The weights are torn."))
    shown = coderls("doctor", "--model", model, "--folder", project)
    assert shown.code == 1
    assert "FAIL  completion  The engine could not load its model: The weights are torn." in shown.out


def test_a_model_with_nothing_to_say_is_a_warning(coderls: Run, model: Path, project: Path) -> None:
    write_fake_model(model, FakeScript(rules=(FakeRule("int:\n    return ", ""), *SCRIPT.rules), default=""))
    shown = coderls("doctor", "--model", model, "--folder", project)
    assert shown.code == 0
    assert "warn  completion  the model scripted had nothing to say" in shown.out


def test_an_engine_elsewhere_that_is_not_there(coderls: Run, project: Path) -> None:
    shown = coderls("doctor", "--engine-url", "http://127.0.0.1:1", "--folder", project, "--quick")
    assert shown.code == 1
    assert "FAIL  engine" in shown.out


def test_the_token_is_not_in_the_report(coderls: Run, project: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-very-secret-token")
    options = ("--engine-url", "http://127.0.0.1:1", "--engine-token-file", tmp_path / "token")
    shown = coderls("doctor", *options, "--folder", project, "--quick", "--json")
    assert "a-very-secret-token" not in shown.out + shown.err


def test_a_repository_that_takes_too_long(project: Path) -> None:
    finding = doctor.check_index(project, limit_s=-1.0)
    assert finding.status == "warn"
    assert "not read to its end" in finding.detail


def test_colours_on_a_terminal_only(model: Path) -> None:
    finding = doctor.check_index(model)
    assert "\x1b[32mok  \x1b[0m" in doctor.render([finding], colours=True)
    assert "\x1b" not in doctor.render([finding])


@pytest.mark.skipif(os.name == "nt", reason="programs are found by other names there")
def test_checkers_of_the_projects_own_environment_are_a_matter_of_trust(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = project / ".venv" / "bin"
    programs.mkdir(parents=True)
    (project / ".venv" / "pyvenv.cfg").touch()
    (programs / "mypy").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (programs / "mypy").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    found = doctor.check_checkers(project)
    assert "in a trusted folder also: mypy" in found.detail
    assert "mypy" not in found.detail.partition("not found: ")[2]
    assert found.facts["untrusted"] == ["mypy"]
    assert (found.status, "coderls repair --trust" in found.todo) == ("warn", True)
    (programs / "mypy").unlink()
    assert "Install the checkers" in doctor.check_checkers(project).todo
