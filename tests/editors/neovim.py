"""A real Neovim, driven over its own API as a user types."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pynvim
import pytest

from tests.editors.home import EDITORS, SERVER, Home, installed, until

PLUGIN = EDITORS / "nvim"

INIT = """
vim.opt.runtimepath:prepend(vim.env.CODERLS_PLUGIN)
vim.opt.swapfile, vim.opt.shada = false, ''
vim.g.loaded_python3_provider = 0
notes, cancelled, asked = {{}}, 0, 0
vim.notify = function(text) table.insert(notes, text) end
vim.api.nvim_create_autocmd('LspRequest', {{ callback = function(args)
  local request = args.data.request
  if request.method == 'textDocument/inlineCompletion' then
    if request.type == 'cancel' then cancelled = cancelled + 1 end
    if request.type == 'pending' then asked = asked + 1 end
  end
end }})
vim.lsp.config('coderls', {{ cmd_env = vim.json.decode([==[{env}]==]), cmd = vim.json.decode([==[{cmd}]==]),
  settings = {{ coderls = vim.json.decode([==[{settings}]==]) }} }})
{extra}
"""
SETUP = "require('coderls').setup(vim.json.decode([==[{options}]==]))"
KEYS = {
    "accept": "<Tab>",
    "accept-word": "<C-Right>",
    "accept-line": "<C-Down>",
    "next": "<M-]>",
    "previous": "<M-[>",
    "dismiss": "<C-]>",
    "ask": "<M-Space>",
}

GHOST = """
local out = {}
for _, name in ipairs({ 'coderls', 'nvim.lsp.inline_completion' }) do
  local ns = vim.api.nvim_get_namespaces()[name]
  for _, mark in ipairs(ns and vim.api.nvim_buf_get_extmarks(0, ns, 0, -1, { details = true }) or {}) do
    local rows = vim.list_extend({ mark[4].virt_text or {} }, mark[4].virt_lines or {})
    if mark[4].virt_text then
      for i, row in ipairs(rows) do
        local words = {}
        for _, chunk in ipairs(row) do table.insert(words, chunk[1]) end
        rows[i] = table.concat(words)
      end
      table.insert(out, table.concat(rows, '\\n'))
    end
  end
end
return table.concat(out, '|')
"""


def init_file(home: Home, name: str, *, extra: str, **changes: Any) -> Path:
    """An init.lua that uses the plugin with a server of this home."""
    values = {"cmd": SERVER, "settings": home.settings, "env": home.environment, **changes}
    path = home.path / f"{name}.lua"
    text = {key: json.dumps(value) for key, value in values.items()}
    path.write_text(INIT.format(**text, extra=extra), encoding="utf-8")
    return path


class Neovim:
    """One Neovim process. `version` is "0.11" or "0.12"; `options` go to the plugin's setup (None: not called)."""

    def __init__(
        self,
        home: Home,
        version: str,
        *,
        options: Mapping[str, Any] | None = None,
        extra: str = "vim.lsp.enable('coderls')",
        args: tuple[str, ...] = (),
        **changes: Any,
    ) -> None:
        program = installed(f"nvim-{version}", "nvim")
        self.home, self.version = home, version
        if options is not None:
            extra = SETUP.format(options=json.dumps(options))
        init = init_file(home, f"init-{version}", extra=extra, **changes)
        environment = {**home.quiet, "CODERLS_PLUGIN": str(PLUGIN), "NVIM_APPNAME": "nvim"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.chdir(home.work)
            argv = [str(program), "--embed", "--headless", "-u", str(init), "-i", "NONE", *args]
            self.api = pynvim.attach("child", argv=argv)
        self.count, self.closed = 0, False

    def lua(self, code: str, *args: Any) -> Any:
        return self.api.exec_lua(code, *args)

    def keys(self, typed: str) -> None:
        """Type; every key is taken in before the next one, as from a person."""
        self.api.input(typed)

    def until(self, condition: Any, what: str, within_s: float = 20.0) -> Any:
        return until(condition, what, within_s, lambda: (self.notes(), self.ghost(), self.lines(), self.log()))

    def lines(self) -> list[str]:
        return list(self.api.current.buffer[:])

    def notes(self) -> list[str]:
        """What the user was told."""
        return list(self.lua("return notes"))

    def told(self) -> str:
        """All that the user was told, by notifications and messages."""
        return "\n".join([*self.notes(), self.api.command_output("messages")])

    def log(self) -> str:
        path = Path(
            self.lua("return vim.lsp.log.get_filename and vim.lsp.log.get_filename() or vim.lsp.get_log_path()")
        )
        return path.read_text(encoding="utf-8")[-1500:] if path.exists() else ""

    def ghost(self) -> str:
        """The ghost text that is to be seen."""
        return str(self.lua(GHOST))

    def ghosted(self, text: str) -> str:
        """Wait until exactly this is to be seen."""
        return str(self.until(lambda: self.ghost() == text and text, f"the ghost text {text!r}"))

    def gone(self) -> None:
        """Wait until no ghost text is to be seen."""
        self.until(lambda: not self.ghost(), "the end of the ghost text")

    def open(self, text: str, name: str = "", *, wait: bool = True) -> Path:
        """Edit a new file with this text, the cursor at its end."""
        self.count += 1
        path = self.home.file(name or f"file{os.getpid()}_{id(self)}_{self.count}.py", text)
        self.api.command("stopinsert")
        self.keys("<Esc>")
        self.until(lambda: self.api.api.get_mode()["mode"] == "n", "normal mode")
        self.api.command(f"edit {path}")
        self.api.command("normal! G$")
        if wait:
            self.ready()
        return path

    def ready(self) -> None:
        """Wait until the server can answer."""
        attached = "return require('coderls').client() ~= nil and require('coderls').client().initialized == true"
        self.until(lambda: self.lua(attached), "an attached server")
        self.until(lambda: "fake" in self.status(), "a ready engine")

    def status(self) -> str:
        return str(self.lua("return require('coderls').statusline()"))

    def typed(self, what: str) -> None:
        """Wait until the line of the cursor ends with this."""
        self.until(lambda: self.api.current.line.endswith(what), f"the typed {what!r}")

    def close(self) -> None:
        """End it as `:qa!` does; once more does nothing."""
        if self.closed:
            return
        self.closed = True
        with suppress(OSError, EOFError):  # it is gone before it can answer
            self.api.command("qa!")
        self.api.close()
