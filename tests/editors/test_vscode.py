"""VS Code with the packed extension, in a real browser: what the user sees, types and clicks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.code_server import CodeServer, settings_for
from tests.editors.home import SERVER, Home

# Some scenes still fail now and then for reasons of their timing: until they do not, they run when they are asked for.
pytestmark = [
    pytest.mark.editors,
    pytest.mark.timeout(450),
    pytest.mark.skipif(
        not os.environ.get("CODERLS_TEST_VSCODE"), reason="scenes in the real VS Code run with CODERLS_TEST_VSCODE=1"
    ),
]


@pytest.fixture(scope="module")
def code(home: Home) -> Iterator[CodeServer]:
    """VS Code with the fake engine."""
    repairs = {
        "coderls.repair.diagnostics": "onSave",
        "coderls.repair.checkers": ["parse"],
        "coderls.repair.when_idle": False,
    }
    made = CodeServer(home, {**settings_for(home), **repairs})
    yield made
    made.close()


def test_ghost_text_appears_and_is_taken_typed_through_or_dismissed(code: CodeServer) -> None:
    code.home.file("ghost.py", "import os\n\n\n")
    code.run("ghost_text")


def test_the_status_bar_says_what_is_the_matter_and_its_menu_helps(code: CodeServer) -> None:
    code.home.file("status.py", "import os\n\n\n")
    code.home.file(".env", "KEY=\n")
    code.run("status")


def test_the_panel_shows_the_context_of_the_last_completion(code: CodeServer) -> None:
    code.home.file("shapes.py", "class Shape:\n    def area(self):\n        return 0\n")
    code.home.file("context.py", "from shapes import Shape\n\n\nshape = Shape()\n")
    code.run("context")


def test_faults_are_said_and_got_over(code: CodeServer) -> None:
    code.home.file("faults.py", "import os\n\n\n")
    code.run("faults", model=str(code.home.model), server=SERVER)


def test_two_windows_untitled_files_and_no_folder(code: CodeServer) -> None:
    code.home.file("two.py", "import os\n\n\n")
    code.run("windows")
    assert len(code.home.engines()) == 1


def test_tests_in_the_extensions_host(code: CodeServer) -> None:
    code.run("host", tests=str(Path(code.folder)))


def test_a_diagnostic_is_repaired(code: CodeServer) -> None:
    code.home.file("repair.py", "def f(a)\n    return a\n")
    code.run("repair")


@pytest.mark.nano
def test_the_embedded_model(nano_dir: Path) -> None:
    home = Home()
    try:
        settings = {**settings_for(home), "coderls.engine.model": "nano"}
        code = CodeServer(home, settings, cache=nano_dir.parents[1])
        try:
            home.file("embedded.py", "def area(width, height):\n")
            code.run("embedded")
        finally:
            code.close()
    finally:
        home.close()
