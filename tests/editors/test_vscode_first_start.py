"""VS Code of somebody new, in a real browser: the server is found or installed, and folders are not trusted yet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.editors.code_server import WALKTHROUGH, CodeServer, python_extension, settings_for
from tests.editors.home import Home
from tests.editors.wheels import server_wheel, wheel_folder

#: A Python without coderls, as a user has it.
BASE_PYTHON = str(getattr(sys, "_base_executable", sys.executable))

pytestmark = [pytest.mark.editors, pytest.mark.timeout(450)]


@pytest.fixture(scope="module")
def bare() -> Iterator[CodeServer]:
    """VS Code of somebody new: folders are not trusted, and nothing is on PATH."""
    home = Home()
    checks = {
        "coderls.repair.diagnostics": "onSave",
        "coderls.repair.checkers": ["parse", "ruff"],
        "coderls.repair.when_idle": False,
    }
    made = CodeServer(home, {**settings_for(home), **checks}, bare=True, others=[python_extension(home.path)])
    made.bin.mkdir()
    yield made
    made.close()
    home.close()


def test_the_server_is_found_in_the_active_environment_or_installed(bare: CodeServer) -> None:
    empty = bare.home.path / "empty"
    empty.mkdir()
    wheels = wheel_folder(bare.home.path / "wheels", server_wheel())
    nothing = {"coderls.server.command": [], "python.defaultInterpreterPath": sys.executable}
    bare.run("install", nothing, active=sys.executable, python=BASE_PYTHON, empty=str(empty), wheels=str(wheels))


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
