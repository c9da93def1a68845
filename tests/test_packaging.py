"""The wheel and the source distribution: what is in them, and that the wheel runs without the clone."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import coderls

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--sdist",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    [path] = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_every_module_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "coderls").rglob("*.py")}
    assert sources <= set(wheel.namelist())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"coderls", f"coderls-{coderls.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or name.endswith(".pyc")]


def test_the_embedded_models_files_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    folder = ROOT / "coderls" / "models" / "nano"
    files = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"coderls/models/nano/source.json", "coderls/models/nano/tokenizer.json"} <= files
    assert files <= set(wheel.namelist())
    assert "coderls/py.typed" in wheel.namelist()
    assert sum(item.file_size for item in wheel.infolist()) < 30_000_000


def test_licences(wheel: zipfile.ZipFile) -> None:
    info = f"coderls-{coderls.__version__}.dist-info"
    licence = wheel.read(f"{info}/licenses/LICENSE").decode()
    notice = wheel.read(f"{info}/licenses/NOTICE").decode()
    assert "Apache License" in licence
    assert "SmolLM2" in notice, "the embedded model's authors are named"


def test_metadata(wheel: zipfile.ZipFile) -> None:
    metadata = email.message_from_bytes(wheel.read(f"coderls-{coderls.__version__}.dist-info/METADATA"))
    assert metadata["Version"] == coderls.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.15,>=3.10"
    assert "torch>=2.11" in metadata.get_all("Requires-Dist", [])
    assert {"flash", "dev"} <= set(metadata.get_all("Provides-Extra", []))
    assert "# coderls" in str(metadata.get_payload())
    scripts = wheel.read(f"coderls-{coderls.__version__}.dist-info/entry_points.txt").decode()
    assert "coderls = coderls.cli:main" in scripts


def test_the_wheel_runs_outside_of_the_clone(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    where = "import coderls.cli, coderls.models.recipe as r; print(coderls.__file__); r.nano_recipe()"
    found = subprocess.run(
        [sys.executable, "-c", where], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    )
    assert Path(found.stdout.strip()).is_relative_to(tmp_path)
    for arguments in (["--version"], ["models", "list"], ["complete", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "coderls", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr


def test_the_source_distribution_can_be_tested_and_built(built: Path) -> None:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = {
        *("pyproject.toml", "constraints.txt", "Makefile", "README.md", "LICENSE", "NOTICE", ".ci/run"),
        *("tests/test_packaging.py", "devtools/demo.py", "coderls/models/nano/source.json"),
    }
    assert wanted <= names
    assert not [name for name in names if name.startswith((".venv", ".demo", ".git/"))]
