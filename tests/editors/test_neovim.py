"""Neovim: ghost text as a user meets it, by Neovim's own drawing and by the plugin's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.editors.home import Home
from tests.editors.neovim import KEYS, Neovim

pytestmark = pytest.mark.editors


@pytest.fixture(scope="module", params=["0.11", "0.12", "0.12 own"])
def nvim(home: Home, request: pytest.FixtureRequest) -> Iterator[Neovim]:
    """Neovim with the keys of the README; on 0.12 its own ghost text, and the plugin's."""
    version, _, drawn = request.param.partition(" ")
    made = Neovim(home, version, options={"keys": KEYS, "ghost_text": drawn or "auto"})
    yield made
    made.close()


def test_the_versions_are_those_that_are_promised(nvim: Neovim, request: pytest.FixtureRequest) -> None:
    version = nvim.lua("return tostring(vim.version())")
    assert version.startswith(request.node.callspec.params["nvim"].split()[0])


def test_ghost_text_appears_and_tab_takes_it(nvim: Neovim) -> None:
    nvim.open("def add(a, b):\n    ")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("<Tab>")
    nvim.typed("return a + b")
    nvim.until(lambda: tuple(nvim.api.current.window.cursor) == (2, len("    return a + b")), "the cursor behind it")
    nvim.keys("<Esc>u")
    nvim.typed("    return ")  # what was typed is undone by itself


def test_a_word_and_a_line_can_be_taken(nvim: Neovim) -> None:
    nvim.open("if block:\n    ")
    nvim.keys("A")
    nvim.ghosted("first = 1\n    second = 2")
    nvim.keys("<C-Right>")
    nvim.typed("    first")
    nvim.ghosted(" = 1\n    second = 2")
    nvim.keys("<C-Down>")
    nvim.typed("    first = 1")
    nvim.ghosted("\n    second = 2")
    nvim.keys("<Tab>")
    nvim.typed("    second = 2")
    assert nvim.lines() == ["if block:", "    first = 1", "    second = 2"]


def test_typing_through_keeps_the_rest(nvim: Neovim) -> None:
    nvim.open("def add(a, b):\n    ")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("a")
    nvim.ghosted(" + b")
    nvim.keys(" ")
    nvim.ghosted("+ b")
    nvim.keys("<Tab>")
    nvim.typed("return a + b")


def test_another_letter_takes_it_away(nvim: Neovim) -> None:
    nvim.open("def add(a, b):\n    ")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("z")
    nvim.until(lambda: nvim.ghost() != "a + b", "another ghost text or none")
    nvim.keys("<Esc>")
    nvim.gone()


def test_what_is_dismissed_stays_away(nvim: Neovim) -> None:
    nvim.open("def add(a, b):\n    ")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("<C-]>")
    nvim.gone()
    nvim.typed("    return ")  # the key itself typed nothing
    asked = nvim.lua("return asked")
    nvim.keys("<Esc>A")
    nvim.until(lambda: nvim.lua("return asked") > asked, "another question")
    nvim.until(lambda: not nvim.lua("return next(require('coderls').client().requests)"), "its answer")
    assert nvim.ghost() == ""


def test_tab_is_a_tab_where_there_is_no_ghost_text(nvim: Neovim) -> None:
    nvim.open("")
    nvim.lua("vim.bo.expandtab = true; vim.bo.shiftwidth = 4; vim.bo.softtabstop = 4")
    nvim.keys("i<Tab>x")
    nvim.typed("    x")


def test_what_a_key_did_before_it_does_again_without_ghost_text(nvim: Neovim) -> None:
    assert nvim.lua("return vim.fn.maparg('<Tab>', 'i', false, true).desc") == "coderls: accept"
    nvim.open("")
    # Neovim's own mapping of Tab jumps in snippets.
    nvim.keys("i")
    nvim.lua("vim.snippet.expand('f(${1:a}, ${2:b})')")
    nvim.keys("<Tab>")
    nvim.until(lambda: nvim.api.current.window.cursor[1] >= 5, "a jump to the second place")
    nvim.keys("<Esc>")
    nvim.lua("vim.snippet.stop()")


def test_what_it_replaces_after_the_cursor_goes(nvim: Neovim) -> None:
    nvim.open("x = total()\n")
    nvim.api.command("normal! gg$h")
    nvim.keys("a")
    nvim.until(nvim.ghost, "ghost text")
    nvim.keys("<Tab>")
    nvim.until(lambda: nvim.lines()[0] == "x = total(left, right)", "one bracket")


def test_files_with_crlf_get_no_stray_characters(nvim: Neovim) -> None:
    path = nvim.open("if block:\r\n    \r\n")
    assert nvim.lua("return vim.bo.fileformat") == "dos"
    nvim.api.command("2")
    nvim.keys("A")
    nvim.until(nvim.ghost, "ghost text")
    nvim.keys("<Tab>")
    nvim.typed("second = 2")
    nvim.keys("<Esc>:w<CR>")
    nvim.until(lambda: path.read_bytes().startswith(b"if block:\r\n    first = 1\r\n    second = 2\r\n"), "the file")


def test_characters_of_several_bytes_are_counted_right(nvim: Neovim) -> None:
    nvim.open("é = '🙂'; def add(a, b):\n    return 'ü🙂'\ndef add(a, b):\n    ")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("<Tab>")
    nvim.typed("return a + b")


def test_alternatives_are_walked_through(nvim: Neovim) -> None:
    nvim.open("")
    nvim.keys("ione = ")
    nvim.ghosted("'first'")
    seen = set()
    for _ in range(3):
        before = nvim.ghost()
        nvim.keys("<M-]>")
        seen.add(nvim.until(lambda before=before: (now := nvim.ghost()) != before and now, "another alternative"))
    assert len(seen) == 3
    nvim.keys("<M-[>")
    nvim.until(lambda: nvim.ghost() in seen, "the one before")
    nvim.keys("<Tab>")
    nvim.until(lambda: "one = '" in nvim.lines()[0], "a taken alternative")
