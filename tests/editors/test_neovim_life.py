"""Neovim: the life of a server, and what goes wrong around it."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from coderls.engine.fake import FakeRule, FakeScript
from tests.editors.home import SERVER, Home
from tests.editors.neovim import Neovim

pytestmark = pytest.mark.editors

Start = Callable[..., Neovim]
both = pytest.mark.parametrize("start", ["0.11", "0.12"], indirect=True)


@pytest.fixture
def start(home: Home, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start Neovim 0.12 (tests marked `both`: also 0.11), in this home or another, and end it after the test."""
    running: list[Neovim] = []

    def begin(where: Home = home, **options: Any) -> Neovim:
        running.append(Neovim(where, getattr(request, "param", "0.12"), **options))
        return running[-1]

    yield begin
    for nvim in running:
        nvim.close()


@pytest.fixture
def slow_home() -> Iterator[Home]:
    """A home whose model takes long to load, and longer for each token."""
    script = FakeScript(
        rules=(FakeRule("return ", "a + b"),), default="a, b, c, d, e, f, g, h", load_ms=1500, token_ms=150
    )
    made = Home(script)
    yield made
    made.close()


@pytest.fixture
def thinking_home() -> Iterator[Home]:
    """A home whose model answers nothing while a test runs."""
    made = Home(FakeScript(default="a, b, c, d, e, f, g, h", token_ms=5_000))
    yield made
    made.close()


def server_pids(home: Home) -> list[int]:
    """The language servers of a home that run now."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "--stdio" in line and process.status() != "zombie":
            try:
                if process.environ().get("CODERLS_RUNTIME") == home.environment["CODERLS_RUNTIME"]:
                    found.append(process.pid)
            except psutil.Error:
                continue
    return found


@both
def test_status_goes_from_loading_to_ready_and_then_ghost_text_comes_by_itself(slow_home: Home, start: Start) -> None:
    nvim = start(slow_home)
    nvim.lua(
        "seen = {}; vim.api.nvim_create_autocmd('User', { pattern = 'CoderlsStatus', callback = function()"
        " seen[require('coderls').statusline()] = true end })"
    )
    nvim.open("def add(a, b):\n    ", wait=False)
    nvim.keys("Areturn ")  # long before anything is ready
    nvim.ghosted("a + b")
    seen = nvim.lua("return vim.tbl_keys(seen)")
    assert any("load" in text for text in seen)
    assert "fake" in nvim.status()


def test_doctor_and_log_open_in_a_window(home: Home, start: Start, tmp_path: Path) -> None:
    program = tmp_path / "coderls"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = doctor ]; then echo all is well; else exec {" ".join(SERVER[:3])} "$@"; fi\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    nvim = start(home, cmd=[str(program), "--stdio"])
    nvim.open("x = 1\n")
    nvim.api.command("Coderls doctor")
    nvim.until(lambda: nvim.lines() == ["all is well"], "what doctor says")
    nvim.api.command("close")
    nvim.api.command("Coderls log")
    nvim.until(lambda: nvim.api.current.buffer.name.endswith(".log"), "a log")
    assert nvim.lua("return vim.bo.readonly")


def test_health_without_coderls_says_what_to_do(home: Home, start: Start) -> None:
    nvim = start(home, cmd=["coderls-is-not-here", "--stdio"])
    nvim.api.command("checkhealth coderls")
    text = nvim.until(lambda: "no command coderls-is-not-here" in (all_ := "\n".join(nvim.lines())) and all_, "it")
    assert "Install coderls" in text


@both
def test_a_request_that_a_newer_one_supersedes_is_cancelled(thinking_home: Home, start: Start) -> None:
    nvim = start(thinking_home, options={"ghost_text": "own"})  # Neovim's own waits until the server has given up
    nvim.open("def add(a, b):\n    ")
    nvim.keys("Areturn")
    for round_ in range(4):  # each key while the one before is being answered
        asked = nvim.lua("return asked")
        nvim.keys(f"{round_}")
        nvim.until(lambda asked=asked: nvim.lua("return asked") > asked, "a request")
    nvim.until(lambda: nvim.lua("return cancelled") >= 3, "three cancelled requests")


@both
def test_without_ghost_text_answers_are_in_the_completion_list(home: Home, start: Start) -> None:
    nvim = start(home, options={"ghost_text": "off"})
    nvim.open("def add(a, b):\n    return ")
    nvim.keys("A<C-x><C-o>")
    whole = nvim.lua("return vim.fn.has('nvim-0.12') == 1")
    nvim.typed("return a + b" if whole else "return a")  # 0.11 takes the first word of an item: hence the plugin


@both
def test_without_coderls_one_message_helps(home: Home, start: Start) -> None:
    nvim = start(home, cmd=["coderls-is-not-here", "--stdio"])
    for _ in range(5):
        nvim.open("x = 1\n", wait=False)
    nvim.keys("Ax")
    nvim.typed("x")
    [note] = nvim.notes()
    assert "no command coderls-is-not-here" in note
    assert ":checkhealth coderls" in note
    nvim.api.command("Coderls status")
    assert "not attached" in nvim.notes()[-1]


@both
def test_a_server_that_dies_while_typing_comes_back(start: Start) -> None:
    home = Home()
    try:
        nvim = start(home)
        nvim.open("def add(a, b):\n    ")
        nvim.keys("Areturn ")
        nvim.ghosted("a + b")
        [pid] = server_pids(home)
        os.kill(pid, signal.SIGKILL)
        nvim.keys("<Esc>ccretu")
        nvim.until(lambda: server_pids(home) not in ([], [pid]), "another server")
        nvim.keys("rn ")
        nvim.ghosted("a + b")
        assert nvim.lines() == ["def add(a, b):", "    return "]
        nvim.close()
    finally:
        home.close()


def test_a_server_that_always_dies_is_given_up_with_a_message(home: Home, start: Start) -> None:
    nvim = start(home, cmd=["sh", "-c", "exit 3"])
    nvim.open("x = 1\n", wait=False)
    nvim.until(lambda: any("again and again" in note for note in nvim.notes()), "the end of trying")
    assert len(nvim.notes()) <= 9  # four starts, and what Neovim itself says to each end
    nvim.keys("Ay")
    nvim.typed("y")


def test_a_broken_setting_is_named_and_the_rest_works(home: Home, start: Start) -> None:
    settings = {**home.settings, "completion": {"debounce_ms": 0, "max_tokens": "many"}, "colour": "red"}
    nvim = start(home, settings=settings)
    nvim.open("def add(a, b):\n    ")
    nvim.until(lambda: "completion.max_tokens" in nvim.told(), "a message about the wrong setting")
    assert "'colour'" in nvim.told()
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")


def test_a_broken_option_of_the_plugin_is_named(home: Home, start: Start) -> None:
    nvim = start(home, options={"ghost_text": "pink", "kys": {}, "keys": {"accept": 7}})
    [note] = nvim.notes()
    assert "ghost_text must be one of" in note
    assert "no option kys" in note
    assert "keys must be" in note
    nvim.open("def add(a, b):\n    ")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")


@both
def test_a_file_in_no_folder_and_buffers_without_a_name(home: Home, start: Start) -> None:
    nvim = start(home)
    lonely = home.path / "lonely"
    lonely.mkdir(exist_ok=True)
    (lonely / "a.py").write_text("def add(a, b):\n    ")
    nvim.api.command(f"edit {lonely}/a.py")
    nvim.ready()
    nvim.api.command("normal! G$")
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("<Esc>")
    nvim.api.command("write | enew | setfiletype python")
    nvim.keys("iprint(1)<CR>")
    nvim.until(lambda: nvim.lines() == ["print(1)", ""], "typed text")
    assert nvim.status() == ""
    nvim.api.command("stopinsert")
    nvim.api.command("Coderls status")
    assert "no file name" in nvim.notes()[-1]
    nvim.api.command(f"write! {lonely}/b.py")
    nvim.until(lambda: "fake" in nvim.status(), "an attached server, now that it has a name")


def test_two_windows_on_one_folder_share_one_engine(home: Home, start: Start) -> None:
    first, second = start(home), start(home)
    for nvim in (first, second):
        nvim.open("def add(a, b):\n    ")
        nvim.keys("Areturn ")
    for nvim in (first, second):
        nvim.ghosted("a + b")
    assert len(home.engines()) == 1


def test_a_thousand_open_files(home: Home, start: Start) -> None:
    nvim = start(home)
    for number in range(1000):
        home.file(f"many/m{number}.py", f"def function_{number}(value):\n    return value + {number}\n")
    nvim.lua(
        "for n = 0, 999 do local b = vim.fn.bufadd('many/m' .. n .. '.py'); vim.fn.bufload(b);"
        " vim.bo[b].filetype = 'python' end"
    )
    nvim.open("def add(a, b):\n    ")
    nvim.until(lambda: nvim.lua("return vim.tbl_count(require('coderls').client().attached_buffers)") > 1000, "all")
    assert nvim.lua("return #vim.lsp.get_clients()") == 1
    nvim.keys("Areturn ")
    nvim.ghosted("a + b")
    nvim.keys("<Tab>")
