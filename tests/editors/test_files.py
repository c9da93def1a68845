"""What stands in editors/ can be read by those it is for."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("name", LUA)
def test_lua_has_one_style(name: str) -> None:
    lines = (EDITORS / name).read_text(encoding="utf-8").splitlines()
    assert [
        number for number, line in enumerate(lines, 1) if len(line) > 140 or "\t" in line or line != line.rstrip()
    ] == []
    assert len(lines) <= 400


def test_json_files_are_json() -> None:
    for name in ("kate/settings.json", "jupyter/coderls.json"):
        assert json.loads((EDITORS / name).read_text(encoding="utf-8"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_helix_gets_toml() -> None:
    import tomllib

    read = tomllib.loads(Path(EDITORS / "helix/languages.toml").read_text(encoding="utf-8"))
    assert read["language-server"]["coderls"]["command"] == "coderls"
