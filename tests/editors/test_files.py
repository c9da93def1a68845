"""What stands in editors/ can be read by those it is for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.editors.home import EDITORS, Home, installed

LUA = sorted(path.relative_to(EDITORS).as_posix() for path in (EDITORS / "nvim").rglob("*.lua"))


@pytest.mark.editors
@pytest.mark.parametrize("version", ["0.11", "0.12"])
def test_the_plugin_parses(home: Home, version: str) -> None:
    script = home.path / "parse.lua"
    script.write_text("for _, name in ipairs(arg) do assert(loadfile(name)) end")
    command = [installed(f"nvim-{version}", "nvim"), "-u", "NONE", "-l", script, *(EDITORS / name for name in LUA)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**home.quiet})
    assert done.returncode == 0, done.stderr


@pytest.mark.editors
def test_luacheck_has_nothing_to_say() -> None:
    done = subprocess.run(
        [installed("lua", "luacheck"), "--no-color", "."],
        cwd=EDITORS / "nvim",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.editors
def test_stylua_would_write_the_same() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("StyLua runs in Node, which is not there")
    script = Path(__file__).with_name("stylua.mjs")
    command = [
        node,
        script,
        installed("lua", "stylua"),
        EDITORS / "nvim/.stylua.toml",
        *(EDITORS / name for name in LUA),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("name", LUA)
def test_lua_files_are_short(name: str) -> None:
    assert len((EDITORS / name).read_text(encoding="utf-8").splitlines()) <= 400


def test_json_files_are_json() -> None:
    for name in ("kate/settings.json", "jupyter/coderls.json"):
        assert json.loads((EDITORS / name).read_text(encoding="utf-8"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_helix_gets_toml() -> None:
    import tomllib

    read = tomllib.loads(Path(EDITORS / "helix/languages.toml").read_text(encoding="utf-8"))
    assert read["language-server"]["coderls"]["command"] == "coderls"
