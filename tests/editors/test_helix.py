"""Helix: the completion menu, in a terminal."""

from __future__ import annotations

import json
import sys

import pytest

from tests.editors.home import EDITORS, SERVER, Home, installed, until

if sys.platform != "win32":
    from tests.editors.terminal import Terminal

pytestmark = pytest.mark.editors


def test_helix_completes_in_its_menu(home: Home) -> None:
    home.warm()
    path = home.file("helix_menu.py", "def add(a, b):\n    \n")
    folder = home.path / "home" / "config" / "helix"
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.dumps(json.dumps(home.settings))
    text = (EDITORS / "helix" / "languages.toml").read_text(encoding="utf-8")
    command = f'command = "{SERVER[0]}"\nargs = {json.dumps(SERVER[1:])}\nconfig = {toml(home.settings)}'
    text = text.replace('command = "coderls"\nargs = ["--stdio"]', command)
    text = text.replace('"pyright", "ruff", "coderls"', '"coderls"')
    assert SERVER[0] in text, settings
    (folder / "languages.toml").write_text(text, encoding="utf-8")
    (folder / "config.toml").write_text("[editor]\nidle-timeout = 50\ncompletion-timeout = 5\n", encoding="utf-8")
    terminal = Terminal([installed("helix", "hx"), path], home.quiet, home.work)
    try:
        terminal.shows("def add")
        terminal.shows("NOR")
        terminal.keys("2ggA")
        terminal.shows("INS")
        terminal.keys("return ")
        terminal.shows("return")
        for _ in range(20):
            terminal.keys("\x18")  # the menu: empty until the model is ready
            if "a + b" in terminal.settled("a + b", within_s=3):
                break
        terminal.shows("a + b")
        terminal.keys("\x0e\r")
        terminal.shows("return a + b")
        terminal.keys("\x1b")
        terminal.shows("NOR")
        terminal.keys(":w\r")
        until(
            lambda: terminal.text() and "    return a + b\n" in path.read_text(), "the saved text", said=terminal.text
        )
    finally:
        terminal.close()


def toml(value: object) -> str:
    """An inline value of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(value)
