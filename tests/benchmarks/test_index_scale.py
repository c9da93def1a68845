"""The benchmark of the index measures what it says, on a small repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import index_scale
from tests.repo_context.repository import write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    long = "".join(f"def f{n}(value):\n    return value\n\n\n" for n in range(300))
    write(
        root,
        {"django/db/a.py": long, "django/db/b.py": long * 5, "web/c.js": "export function g() {}\n", "README.rst": "x"},
    )
    return root


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_copied_files_are_all_different_and_only_sources(source: Path, tmp_path: Path):
    tree = index_scale._copied(source, tmp_path / "tree", 7)
    files = [path for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts]
    assert len(files) == len({path.read_bytes() for path in files}) == 7
    assert {path.suffix for path in files} == {".py", ".js"}
    assert index_scale._copied(source, tmp_path / "tree", 7) == tree


def test_every_measurement_gives_what_the_table_shows(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(index_scale, "EDITS", 2)
    monkeypatch.setattr(index_scale, "ASKED", 2)
    cache = tmp_path / "kept"
    results = {name: measure(source, cache) for name, measure in index_scale.MEASURES.items()}
    results["disk"] = {"bytes": 1_000_000}
    assert results["cold"]["files"] == 3
    assert all(0 < took < 30_000 for took in [*results["edit"]["open_760"], *results["edit"]["disk"]])
    assert len(results["ask"]["first"]) == 2
    assert not list(source.glob("zz*"))
    index_scale._show([("small", results)])
    table = capsys.readouterr().out.splitlines()
    assert len([line for line in table if line.startswith("| ")]) == len(index_scale.LINES) + 2
