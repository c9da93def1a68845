"""Neovim in a terminal: the colour of the ghost text, and the embedded model."""

from __future__ import annotations

import sys

import pytest

from coderls.paths import cache_dir
from tests.editors.home import Home, installed, until
from tests.editors.neovim import PLUGIN, Neovim, init_file

if sys.platform != "win32":
    from tests.editors.terminal import Terminal

pytestmark = pytest.mark.editors


@pytest.mark.parametrize("version", ["0.11", "0.12"])
def test_ghost_text_is_seen_in_its_colour(home: Home, version: str) -> None:
    program = installed(f"nvim-{version}", "nvim")
    init = init_file(
        home,
        f"terminal-{version}",
        extra="require('coderls').setup({ keys = { accept = '<Tab>' } })"
        "\nvim.o.statusline = \"%{v:lua.require'coderls'.statusline()}\"\nvim.o.laststatus = 2",
    )
    path = home.file(f"terminal{version}.py", "def add(a, b):\n    \n")
    environment = {**home.quiet, "CODERLS_PLUGIN": str(PLUGIN)}
    terminal = Terminal([program, "-u", init, "-i", "NONE", path], environment, home.work)
    try:
        terminal.shows("coderls: fake")
        terminal.keys("2GAreturn ")
        terminal.shows("return a + b")
        assert terminal.colour_of("a + b") == "808080"
        terminal.keys("\t")
        until(lambda: terminal.text() and terminal.colour_of("a + b") != "808080", "text that was taken")
        terminal.keys("\x1b:wq\r")
        terminal.ended()
        assert path.read_text() == "def add(a, b):\n    return a + b\n"
    finally:
        terminal.close()


@pytest.mark.nano
def test_the_embedded_model_completes(nano_dir: object, home: Home) -> None:
    settings = {**home.settings, "engine": {"model": "nano", "idle_exit_s": 30}}
    env = {**home.environment, "CODERLS_CACHE": str(cache_dir())}
    nvim = Neovim(home, "0.12", options={"keys": {"accept": "<Tab>"}}, settings=settings, env=env)
    try:
        nvim.open('def add(a, b):\n    """The sum of two numbers."""\n    ', wait=False)
        nvim.until(lambda: "nano" in nvim.status(), "a ready engine", 110)
        nvim.keys("Areturn ")
        said = nvim.until(nvim.ghost, "ghost text", 60)
        nvim.keys("<Tab>")
        nvim.typed(f"return {said}".splitlines()[-1])
    finally:
        nvim.close()
