"""What a newcomer's `make demo` says: where the command is, and that a network is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from coderls.settings import parse_settings
from devtools.demo import OPTIONS, next_steps

ROOT = Path(__file__).parents[2]


def test_the_demo_says_where_the_command_is() -> None:
    said = next_steps(Path("/clone/.venv/bin"), Path("/clone"))
    assert f"{Path('.venv/bin/coderls')} complete FILE:LINE:COLUMN --explain" in said
    assert str(Path("/other/bin/coderls")) in next_steps(Path("/other/bin"), Path("/clone"))


needs_make = pytest.mark.skipif(os.name == "nt" or shutil.which("make") is None, reason="make runs on Unix")


@needs_make
def test_the_index_of_torch_stands_beside_the_usual_one() -> None:
    """Not in its place: the exact versions of everything else, and a mirror that the user has, are there."""
    command = ["make", "-n", "-W", "pyproject.toml", ".venv/.installed"]
    plain, cpu = (
        subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for more in ((), ("TORCH_INDEX=https://torch.test/cpu",))
    )
    assert "index-url" not in plain
    assert "--extra-index-url https://torch.test/cpu -e '.[dev]'" in cpu
    assert "--index-url" not in cpu


@needs_make
@pytest.mark.parametrize(
    ("stamps", "target", "installs"),
    [
        ((), "demo", ["."]),
        ((), "test", [".[dev]"]),
        ((".runtime",), "demo", []),
        ((".runtime",), "test", [".[dev]"]),
        ((".installed",), "demo", []),
        ((".installed",), "test", []),
    ],
)
def test_what_is_installed_for_what(tmp_path: Path, stamps: tuple[str, ...], target: str, installs: list[str]) -> None:
    """The demo needs no tools of developers, and nothing is installed twice."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for stamp in stamps:
        (tmp_path / ".venv").mkdir(exist_ok=True)
        (tmp_path / ".venv" / stamp).touch()
    said = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.findall(r" -e '([^']+)'", said) == installs


def test_the_demo_is_not_counted_into_the_users_statistics() -> None:
    settings, problems = parse_settings(OPTIONS)
    assert (settings.stats.enabled, problems) == (False, [])


@needs_make
def test_an_install_that_fails_asks_for_a_network(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho ResolutionImpossible >&2\nexit 1\n")
    python.chmod(0o755)
    made = subprocess.run(["make", "demo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert "is there a network, or a package index that pip may ask?" in made.stderr
    assert made.stderr.count("ResolutionImpossible") == 1, "it ends at the first one"
