"""The benchmark of repairs: which items it takes, and where it says that a complaint is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from benchmarks.repair import load as load_items
from benchmarks.repair import of_all, spread
from benchmarks.repair_lists import lsp_range
from coderls.document import Document
from coderls.repair.diagnostic import Diagnostic


@pytest.fixture
def file(tmp_path: Path) -> Path:
    items = [{"id": f"i{number}", "buggy": "x = y\n", "oracle": "x = 1"} for number in range(20)]
    path = tmp_path / "items.json.gz"
    with gzip.open(path, "wt", encoding="utf-8") as out:
        json.dump({"preamble": "import os\n", "pyright": {"strict": []}, "items": items}, out)
    return path


def test_items_are_drawn_the_same_way_again(file: Path) -> None:
    names = [[item.name for item in load_items(file, sample=5, seed=seed)[0]] for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 5
    items, settings = load_items(file, every=7)
    assert [item.name for item in items] == ["i0", "i7", "i14"]
    assert items[0].buggy == "import os\nx = y\n"
    assert items[0].buggy[items[0].start :] == "x = y\n"
    assert json.loads(settings) == {"strict": []}


def test_places_count_utf_16() -> None:
    document = Document("file:///a.py", "python", 1, 'a = 1\nb = "😀" + c\n')
    at = document.text.index(" + c") + 3
    place = lsp_range(document, Diagnostic(at, at + 1, "?"))
    assert place == {"start": {"line": 1, "character": 11}, "end": {"line": 1, "character": 12}}


def test_shares_and_spread() -> None:
    assert of_all(1, [1, 2, 3, 4]) == "1 (25%)"
    assert spread([0.001, 0.002, 0.003]) == {"p50": 2.0, "p95": 3.0}
    assert spread([]) == {}
