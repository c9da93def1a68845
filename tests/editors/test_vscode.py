"""VS Code with the packed extension, in a real browser: what the user sees, types and clicks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from tests.editors.code_server import CodeServer, overheard, settings_for
from tests.editors.home import Home

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


def test_ghost_text_appears_and_is_taken_typed_through_or_dismissed(code: CodeServer) -> None:
    code.home.file("ghost.py", "import os\n\n\n")
    code.run("ghost_text", shared=True)


def test_the_status_bar_says_what_is_the_matter_and_its_menu_helps(code: CodeServer) -> None:
    code.home.file("status.py", "import os\n\n\n")
    code.home.file(".env", "KEY=\n")
    script = FakeScript(rules=(FakeRule("one = ", "first + second"),), load_ms=3000.0, token_ms=1000.0)
    slow = write_fake_model(code.home.path / "slow-model", script)
    code.run("status", shared=True, model=str(code.home.model), slow=str(slow))


def test_the_panel_shows_the_context_of_the_last_completion(code: CodeServer) -> None:
    code.home.file("shapes.py", "class Shape:\n    def area(self):\n        return 0\n")
    code.home.file("context.py", "from shapes import Shape\n\n\nshape = Shape()\n")
    code.run("context", shared=True)


def test_faults_are_said_and_got_over(code: CodeServer) -> None:
    code.home.file("faults.py", "import os\n\n\n")
    code.run("faults", shared=True, model=str(code.home.model), server=overheard(code.home))


def test_a_diagnostic_is_repaired(code: CodeServer) -> None:
    code.home.file("repair.py", "def f(a)\n    return a\n")
    code.run("repair", shared=True)


def test_what_a_model_wrote_is_shown_before_it_is_applied(code: CodeServer) -> None:
    code.home.file("preview.py", "def f(count):\n    return qqq\n")
    for name in ("rewrite.py", "late.py"):
        code.home.file(name, "def whole(values):\n    return values\n")
    code.run("preview", shared=True)


def test_the_next_edit_is_shown_gone_to_taken_and_dismissed(code: CodeServer) -> None:
    code.home.file("next_edit.py", "def f(count):\n    x = 1\n    y = count\n    return count * 2\n")
    code.run("next_edit", shared=True)


def test_servers_of_other_versions(code: CodeServer) -> None:
    code.home.file("versions.py", "import os\n\n\n")
    other = [sys.executable, str(Path(__file__).with_name("other_server.py"))]
    newer, older = (overheard(code.home, [*other, version, "--stdio"]) for version in ("9.8.7", "0.0.9"))
    code.run("versions", shared=True, newer=newer, older=older)


def test_tests_in_the_extensions_host_of_a_second_window_on_the_folder(code: CodeServer) -> None:
    code.home.file("two.py", "import os\n\n\n")
    before = {engine.socket for engine in code.home.engines()}
    code.run("host", shared=True)
    new = {engine.socket for engine in code.home.engines()} - before
    assert len(new) <= (0 if before else 1), "windows with the same settings share an engine"


@pytest.mark.nano
def test_the_embedded_model(code: CodeServer, nano_dir: Path) -> None:
    code.home.file("embedded.py", "def area(width, height):\n")
    code.run("embedded", shared=True, model=str(nano_dir))
    code.ended()
