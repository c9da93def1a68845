"""Neovim: the edit that follows from the last ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.editors.home import Home
from tests.editors.neovim import Neovim

pytestmark = pytest.mark.editors

TEXT = "def f(count):\n    x = '😀'\n    return '😀', count\n\n\ndef g(low):\n    return low\n"
SHOWN = """
local ns = vim.api.nvim_get_namespaces()['coderls.next_edit']
return vim.tbl_map(function(mark)
  local text = (mark[4].virt_text or {})[1]
  local to = mark[4].end_col
  local part = to and vim.api.nvim_buf_get_text(0, mark[2], mark[3], mark[4].end_row, to, {})[1]
  return { mark[2], part or false, text and text[1] or false }
end, vim.api.nvim_buf_get_extmarks(0, ns, 0, -1, { details = true }))
"""


@pytest.fixture(scope="module", params=["0.11", "0.12"])
def nvim(home: Home, request: pytest.FixtureRequest) -> Iterator[Neovim]:
    """Neovim with the defaults, and a key as the help says."""
    extra = "vim.lsp.enable('coderls')\nvim.keymap.set({ 'n', 'i' }, '<M-n>', '<Plug>(coderls-next-edit)')"
    made = Neovim(home, request.param, extra=extra)
    yield made
    made.close()


def drawn(nvim: Neovim) -> list[tuple[object, ...]]:
    """Row, struck out text and virtual text of each mark."""
    return [tuple(mark) for mark in nvim.lua(SHOWN)]


def shown(nvim: Neovim, *marks: tuple[object, ...]) -> None:
    """Wait until exactly this is to be seen."""
    nvim.until(lambda: sorted(drawn(nvim), key=str) == sorted(marks, key=str), f"{marks}")


def renamed(nvim: Neovim, text: str = TEXT) -> None:
    """Open the text and rename the first parameter as one does."""
    nvim.open(text)
    nvim.keys("gg0fc")
    nvim.keys("cwtotal")
    nvim.typed("total):")


def test_it_is_shown_when_the_word_is_left_and_gone_to_and_taken(nvim: Neovim) -> None:
    renamed(nvim)
    nvim.lua("vim.wait(400)")
    assert drawn(nvim) == []  # the cursor is still in the word
    nvim.keys("<Esc>")
    shown(nvim, (2, "count", False), (2, False, "total"))
    nvim.keys("<M-n>")
    line = "    return '😀', "
    nvim.until(lambda: tuple(nvim.api.current.window.cursor) == (3, len(line.encode())), "the cursor at it")
    nvim.keys("<M-n>")
    nvim.until(lambda: nvim.lines()[2] == line + "total", "the taken edit")
    shown(nvim)
    assert nvim.lines()[5:7] == ["def g(low):", "    return low"]
    nvim.keys("u")
    nvim.until(lambda: nvim.lines()[2] == line + "count", "the undone edit")


def test_it_is_gone_with_a_change_and_after_a_dismissal(nvim: Neovim) -> None:
    renamed(nvim)
    nvim.keys("<Esc>")
    shown(nvim, (2, "count", False), (2, False, "total"))
    nvim.keys("jA  # more")
    shown(nvim)
    nvim.keys("<Esc>k")
    shown(nvim, (2, "count", False), (2, False, "total"))
    nvim.api.command("Coderls next dismiss")
    shown(nvim)
    nvim.keys("jk")
    nvim.lua("vim.wait(600)")
    assert drawn(nvim) == []
    nvim.api.command("Coderls next")
    assert "no next edit" in nvim.notes()[-1]


def test_what_is_out_of_sight_is_told_at_the_cursor(nvim: Neovim) -> None:
    renamed(nvim, "def f(count):\n" + "    x = 1\n" * 200 + "    return count\n")
    nvim.keys("<Esc>")
    words = "  ↓ line 202: `count` became `total`"
    shown(nvim, (201, "count", False), (201, False, "total"), (0, False, words))
    nvim.api.command("Coderls next")
    shown(nvim, (201, "count", False), (201, False, "total"))


def test_health_and_the_option(nvim: Neovim) -> None:
    nvim.open("x = 1\n")
    nvim.api.command("checkhealth coderls")
    nvim.until(lambda: "<M-n>" in "\n".join(nvim.lines()), "the report with the key")
    nvim.api.command("close")
    nvim.lua("require('coderls.config').options.next_edit = false")
    try:
        renamed(nvim)
        nvim.keys("<Esc>")
        nvim.lua("vim.wait(600)")
        assert drawn(nvim) == []
    finally:
        nvim.lua("require('coderls.config').options.next_edit = true")
