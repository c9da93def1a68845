"""Vim 9 with ALE: the completion list, in a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.editors.home import EDITORS, SERVER, Home, installed, until

if sys.platform != "win32":
    from tests.editors.terminal import Terminal

pytestmark = pytest.mark.editors


def saved(terminal: Terminal, path: Path, text: str) -> None:
    """Wait until the file has this text."""
    until(lambda: terminal.text() and path.read_text() == text, f"the saved {text!r}", said=terminal.text)


def test_vim_with_ale_completes_in_its_list(home: Home) -> None:
    home.warm()
    path = home.file("vim_list.py", "def add(a, b):\n    \n")
    vimrc = home.path / "vimrc"
    vimrc.write_text(
        f"""set nocompatible nomodeline noswapfile viminfo= encoding=utf-8 laststatus=2
set runtimepath^={installed("vim", "ale").resolve()}
let g:ale_linters_explicit = 1
let g:ale_linters = {{'python': ['coderls']}}
let g:ale_set_signs = 0
let g:coderls_command = {json.dumps(" ".join(SERVER[:-1]))}
let g:coderls_options = {json.dumps(home.settings).replace("false", "v:false").replace("true", "v:true")}
source {EDITORS / "vim" / "ale.vim"}
filetype plugin on
set omnifunc=ale#completion#OmniFunc
""",
        encoding="utf-8",
    )
    terminal = Terminal([installed("vim", "vim"), "-u", vimrc, path], home.quiet, home.work)
    try:
        terminal.shows("def add")
        terminal.keys("2GAreturn ")
        terminal.shows("-- INSERT --")
        for _ in range(20):  # the list is empty until the model is ready
            terminal.keys("\x18\x0f")
            if "return a + b" in terminal.settled("return a + b", within_s=3):
                break
            terminal.keys("\x05")
        terminal.shows("return a + b")
        terminal.keys("\x19\x1b:w\r")
        saved(terminal, path, "def add(a, b):\n    return a + b\n")
    finally:
        terminal.close()
