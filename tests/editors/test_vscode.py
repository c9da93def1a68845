"""VS Code with the packed extension, in a real browser: what the user sees, types and clicks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from tests.editors.code_server import WALKTHROUGH, CodeServer, overheard, settings_for
from tests.editors.home import Home
from tests.editors.wheels import server_wheel, wheel_folder

#: A Python without coderls, as a user has it.
BASE_PYTHON = str(getattr(sys, "_base_executable", sys.executable))

pytestmark = [pytest.mark.editors, pytest.mark.timeout(450)]


@pytest.fixture(scope="module")
def code() -> Iterator[CodeServer]:
    """VS Code with the fake engine: one for all scenes, which have files of their own and close their windows."""
    home = Home()
    repairs = {
        "coderls.repair.diagnostics": "onSave",
        "coderls.repair.checkers": ["parse"],
        "coderls.repair.when_idle": False,
    }
    made = CodeServer(home, {**settings_for(home), **repairs})
    yield made
    made.close()
    home.close()


@pytest.fixture(scope="module")
def bare() -> Iterator[CodeServer]:
    """VS Code of somebody new: folders are not trusted, and nothing is on PATH."""
    home = Home()
    checks = {
        "coderls.repair.diagnostics": "onSave",
        "coderls.repair.checkers": ["parse", "ruff"],
        "coderls.repair.when_idle": False,
    }
    made = CodeServer(home, {**settings_for(home), **checks}, bare=True)
    made.bin.mkdir()
    yield made
    made.close()
    home.close()


def test_ghost_text_appears_and_is_taken_typed_through_or_dismissed(code: CodeServer) -> None:
    code.home.file("ghost.py", "import os\n\n\n")
    code.run("ghost_text", shared=True)


def test_the_status_bar_says_what_is_the_matter_and_its_menu_helps(code: CodeServer) -> None:
    code.home.file("status.py", "import os\n\n\n")
    code.home.file(".env", "KEY=\n")
    script = FakeScript(rules=(FakeRule("one = ", "first + second"),), load_ms=1500.0, token_ms=1000.0)
    slow = write_fake_model(code.home.path / "slow-model", script)
    code.run("status", shared=True, model=str(code.home.model), slow=str(slow))


def test_the_panel_shows_the_context_of_the_last_completion(code: CodeServer) -> None:
    code.home.file("shapes.py", "class Shape:\n    def area(self):\n        return 0\n")
    code.home.file("context.py", "from shapes import Shape\n\n\nshape = Shape()\n")
    code.run("context", shared=True)


def test_faults_are_said_and_got_over(code: CodeServer) -> None:
    code.home.file("faults.py", "import os\n\n\n")
    code.run("faults", shared=True, model=str(code.home.model), server=overheard(code.home))


def test_two_windows_untitled_files_and_no_folder(code: CodeServer) -> None:
    code.home.file("two.py", "import os\n\n\n")
    before = {engine.socket for engine in code.home.engines()}
    code.run("windows", shared=True)
    new = {engine.socket for engine in code.home.engines()} - before
    assert len(new) <= (0 if before else 1), "windows with the same settings share an engine"


def test_tests_in_the_extensions_host(code: CodeServer) -> None:
    code.run("host")


def test_a_diagnostic_is_repaired(code: CodeServer) -> None:
    code.home.file("repair.py", "def f(a)\n    return a\n")
    code.run("repair", shared=True)


def test_what_a_model_wrote_is_shown_before_it_is_applied(code: CodeServer) -> None:
    code.home.file("preview.py", "def f(count):\n    return qqq\n")
    code.home.file("rewrite.py", "def whole(values):\n    return values\n")
    code.run("preview", shared=True)


def test_servers_of_other_versions(code: CodeServer) -> None:
    code.home.file("versions.py", "import os\n\n\n")
    other = [sys.executable, str(Path(__file__).with_name("other_server.py"))]
    newer, older = (overheard(code.home, [*other, version, "--stdio"]) for version in ("9.8.7", "0.0.9"))
    code.run("versions", shared=True, newer=newer, older=older)


def test_the_server_is_installed(bare: CodeServer) -> None:
    empty = bare.home.path / "empty"
    empty.mkdir()
    wheels = wheel_folder(bare.home.path / "wheels", server_wheel())
    bare.home.file("install.py", "import os\n\n\n")
    nothing = {"coderls.server.command": []}
    bare.run("install", nothing, python=BASE_PYTHON, empty=str(empty), wheels=str(wheels))


def test_an_untrusted_folder_runs_nothing_of_its_own(bare: CodeServer) -> None:
    ran, poisoned = bare.home.path / "ran", bare.home.path / "poisoned"
    bare.home.file("restricted.py", "import os\n\n\n")
    bare.home.file(".venv/pyvenv.cfg", "home = /nowhere\n")
    bare.home.file(".venv/bin/ruff", f"#!/bin/sh\n: > {ran}\n").chmod(0o755)
    poison = bare.home.file("poison.sh", f"#!/bin/sh\n: > {poisoned}\n")
    poison.chmod(0o755)
    theirs = {"coderls.server.command": [str(poison), "--stdio"], "coderls.engine.url": "http://127.0.0.1:9"}
    bare.home.file(".vscode/settings.json", json.dumps(theirs))
    bare.run("restricted", {WALKTHROUGH: False}, ran=str(ran), poisoned=str(poisoned))


@pytest.mark.nano
def test_the_embedded_model(code: CodeServer, nano_dir: Path) -> None:
    code.home.file("embedded.py", "def area(width, height):\n")
    code.run("embedded", shared=True, model=str(nano_dir))
