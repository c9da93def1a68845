"""Neovim: commands, status, help, keys and colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.home import Home
from tests.editors.neovim import PLUGIN, Neovim

pytestmark = pytest.mark.editors


@pytest.fixture(scope="module", params=["0.11", "0.12"])
def nvim(home: Home, request: pytest.FixtureRequest) -> Iterator[Neovim]:
    """Neovim with one line of configuration: `vim.lsp.enable('coderls')`."""
    made = Neovim(home, request.param)
    yield made
    made.close()


def test_commands_and_statusline(nvim: Neovim) -> None:
    assert nvim.status() == ""
    nvim.open("def add(a, b):\n    ")
    nvim.api.command("Coderls status")
    assert any("fake" in note for note in nvim.notes())
    nvim.api.command("Coderls explain")
    nvim.until(lambda: any("no completion" in note for note in nvim.notes()), "word that there was none")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("<Esc>")
    nvim.api.command("Coderls explain")
    nvim.until(lambda: "in the order of the prompt" in nvim.lines()[0], "the explanation")
    assert any(line.strip().startswith("prefix") for line in nvim.lines())
    nvim.api.command("close")
    nvim.api.command("Coderls pause")
    assert nvim.status() == "coderls: paused"
    nvim.keys("A")
    nvim.until(lambda: nvim.api.api.get_mode()["mode"] == "i", "insertion")
    nvim.lua("vim.wait(100)")
    assert nvim.ghost() == ""
    nvim.api.command("Coderls pause off")
    nvim.ghosted("a + b")
    nvim.keys("<Esc>")
    nvim.api.command("Coderls nonsense")
    assert "there is no :Coderls nonsense" in nvim.notes()[-1]
    assert nvim.lua("return vim.fn.getcompletion('Coderls re', 'cmdline')") == ["restart", "rewrite"]


def test_a_file_in_which_nothing_is_completed_says_so(nvim: Neovim) -> None:
    nvim.open("TOKEN = 1\n", ".env", wait=False)
    nvim.lua("vim.bo.filetype = 'sh'")
    nvim.until(lambda: nvim.status() == "coderls: excluded file", "the status of an excluded file")


def test_health_says_what_is_there(nvim: Neovim) -> None:
    nvim.open("x = 1\n")
    nvim.api.command("checkhealth coderls")
    text = nvim.until(lambda: "coderls 0." in (all_ := "\n".join(nvim.lines())) and all_, "the report")
    assert "ERROR" not in text
    assert "fake" in text


def test_help_has_a_page_and_tags(nvim: Neovim, tmp_path: Path) -> None:
    copy = tmp_path / "doc"
    copy.mkdir()
    text = (PLUGIN / "doc/coderls.txt").read_text(encoding="utf-8")
    (copy / "coderls.txt").write_text(text, encoding="utf-8")
    nvim.lua("vim.opt.runtimepath:append(...)", str(tmp_path))
    nvim.api.command(f"helptags {copy}")
    for tag in ("coderls", "coderls-options", "coderls-mappings", ":Coderls", "<Plug>(coderls-accept)"):
        nvim.api.command(f"help {tag}")
        assert nvim.lua("return vim.bo.filetype") == "help"
    commands = nvim.lua("return require('coderls.commands').names()")
    assert [name for name in commands if f":Coderls-{name}" not in text] == []
    options = nvim.lua("return vim.tbl_keys(require('coderls.config').options)")
    assert [name for name in options if f"coderls-option-{name}" not in text] == []
    actions = nvim.lua("return require('coderls.config').ACTIONS")
    assert [name for name in actions if f"<Plug>(coderls-{name})" not in text] == []


def test_no_key_is_taken_unasked(nvim: Neovim, home: Home) -> None:
    plain = Neovim(home, nvim.version, extra="vim.opt.runtimepath:remove(vim.env.CODERLS_PLUGIN)")
    mappings = "return vim.tbl_map(function(m) return m.lhs end, vim.api.nvim_get_keymap('i'))"
    try:
        new = set(nvim.lua(mappings)) - set(plain.lua(mappings))
    finally:
        plain.close()
    assert {lhs for lhs in new if not lhs.startswith("<Plug>")} == set()


def test_ghost_text_has_a_colour_in_a_terminal_of_256(nvim: Neovim) -> None:
    for name in ("CoderlsGhost", "ComplHint"):
        if nvim.lua("return vim.fn.hlexists(...)", name):
            assert nvim.lua("return vim.api.nvim_get_hl(0, { name = ..., link = false }).ctermfg", name)
    nvim.api.command("colorscheme habamax")
    assert nvim.lua("return vim.api.nvim_get_hl(0, { name = 'CoderlsGhost', link = false }).ctermfg")


def test_rewrite_hands_lines_and_words_to_the_server(nvim: Neovim) -> None:
    nvim.open("é = 1\nb = 2\n")
    nvim.lua(
        "rewritten = nil; local c = require('coderls').client();"
        " table.insert(c.server_capabilities.executeCommandProvider.commands, 'coderls.rewrite');"
        " local request = c.request; c.request = function(self, method, params, ...)"
        " if params.command == 'coderls.rewrite' then rewritten = params.arguments return true end"
        " return request(self, method, params, ...) end"
    )
    nvim.api.command("1,2Coderls rewrite use a constant")
    target, instruction = nvim.lua("return rewritten")
    assert instruction == "use a constant"
    assert target["uri"].endswith(".py")
    assert target["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 5}}
    nvim.lua("vim.ui.input = function(_, done) done('by a key') end")
    nvim.lua(
        "vim.lsp.get_clients({ name = 'coderls' })[1]:exec_cmd({ command = 'coderls.rewrite', title = '',"
        " arguments = { { uri = 'u', range = {} } } })"
    )
    assert nvim.lua("return rewritten[2]") == "by a key"
