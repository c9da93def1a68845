"""Held-out lines and blocks: what is hidden, what is measured of an answer, and how two runs are compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import fim_compare, fim_quality, held_out
from benchmarks.shares import sign_test
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from coderls.errors import CoderlsError

MODULE = '''"""Text of several lines
that counts = nothing(here)."""

import os
from os import path


def first_function(value):
    """Docstring."""
    total = compute(value, 1)
    if total > value:
        result = total - value
        return result
    return combine(total, value)


def second_function(values):
    for item in values:

        print(item)

        print(values)
    return [first_function(item) for item in values]


LAST = second_function([1, 2])
ALSO = LAST
END = ALSO
'''


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = []
    for project, path, split in (
        ("one", "one/core.py", "held-out"),
        ("one", "tests/test_core.py", "held-out"),
        ("two", "two.py", "train"),
    ):
        (tmp_path / "projects" / project / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "projects" / project / path).write_text(MODULE, encoding="utf-8")
        rows.append(json.dumps({"project": project, "path": path, "split": split, "language": "python"}) + "\n")
    (tmp_path / "manifest.jsonl").write_text("".join(rows), encoding="utf-8")
    return tmp_path


def test_lines_and_blocks_of_held_out_projects(corpus: Path) -> None:
    found = held_out.points(corpus, 50, 50)
    assert {(point.project, point.path) for point in found} == {("one", "one/core.py")}
    texts = {
        kind: {held_out.hide(corpus, point).text for point in found if point.kind == kind} for kind in ("line", "block")
    }
    possible = {line.strip() for line in MODULE.split("\n")}
    assert len(texts["line"]) == 3
    assert texts["line"] <= possible - {"import os", "from os import path", 'that counts = nothing(here)."""'}
    assert texts["block"] == {"result = total - value\n        return result"}
    for point in found:
        hidden = held_out.hide(corpus, point)
        whole = hidden.document.text[: hidden.offset] + hidden.text + hidden.document.text[hidden.offset :]
        assert whole == MODULE
        assert not hidden.document.text[: hidden.offset].split("\n")[-1].strip(), "only the indentation stands there"
    assert held_out.points(corpus, 2, 0) == [point for point in found if point.kind == "line"][:2]


def test_a_folder_without_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(CoderlsError, match=r"python -m training\.corpus"):
        held_out.points(tmp_path, 1, 1)


def block_text(corpus: Path) -> str:
    return held_out.hide(corpus, held_out.points(corpus, 0, 1)[0]).text


def test_a_run_and_its_comparison(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    [block] = held_out.points(corpus, 0, 1)
    lines = [held_out.hide(corpus, point) for point in held_out.points(corpus, 3, 0)]
    wrong = next(hidden for hidden in lines if hidden.text not in block_text(corpus))
    right = [hidden for hidden in lines if hidden is not wrong and hidden.offset != block.start]
    rules = [FakeRule(after=hidden.document.text[: hidden.offset][-60:], say=hidden.text + "\n") for hidden in right]
    rules.append(FakeRule(after="if total > value:\n        ", say="result = total - value\n        return result\n"))
    write_fake_model(model, FakeScript(rules=tuple(rules), default="other = 1\n"))
    out = tmp_path / "rows.json"
    command = [str(corpus), "--model", str(model), "--json", str(out), "--lines", "3", "--blocks", "1"]
    assert fim_quality.main(command) == 0
    rows = json.loads(out.read_text("utf-8"))["rows"]
    assert len(rows) == 2 * (3 + 1)
    for row in rows:
        if row["kind"] == "block":
            assert row["name"] == block.name
            assert row["exact"], row
            assert row["similarity"] == 1.0
    exact = [row["exact"] for row in rows if row["kind"] == "line"]
    assert sum(exact) == 4, "two of three, with and without context"
    assert all(row["similarity"] < 1 for row in rows if not row["exact"])
    printed = capsys.readouterr().out
    assert "| line | yes | 3 | 2/3" in printed
    assert "| block | no | 1 | 1/1" in printed
    assert fim_quality.main(["--compare", str(out), str(out)]) == 0
    table = capsys.readouterr().out
    assert "| all with context, exact | 4 | 3/4" in table
    assert "| all with context, stops by itself | 4 |" in table
    assert "likelier by the first 0 times, by the second 0" in table
    assert fim_quality.main([*command, "--layout", "prefix-only"]) == 1, "rows of another variant"


def test_the_sign_test() -> None:
    assert sign_test(1, 5).p == pytest.approx(0.21875)  # 2 * (6 + 1) / 64
    assert sign_test(5, 1).p == sign_test(1, 5).p
    assert sign_test(0, 0).p == 1.0
    assert sign_test(57, 31).p == pytest.approx(0.0073, abs=2e-4)


def test_results_that_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"rows": [{"task": "1", "exact": true, "passed": true}]}')
    (tmp_path / "b.json").write_text('{"rows": [{"task": "2", "exact": true, "passed": true}]}')
    with pytest.raises(CoderlsError, match="no point in common"):
        fim_compare.compare(tmp_path / "a.json", tmp_path / "b.json")
    with pytest.raises(CoderlsError, match="holds no results"):
        fim_compare.compare(tmp_path / "a.json", tmp_path / "none.json")
