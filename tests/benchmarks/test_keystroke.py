from __future__ import annotations

import json
from pathlib import Path

import pytest

import coderls.models
from benchmarks.keystroke import judged, steady, typed
from benchmarks.keystroke.faults import is_badly_indented, repeats_suffix
from benchmarks.keystroke.judges import judge_of
from benchmarks.keystroke.places import Hole, draw
from coderls.engine.fake import FakeRule, FakeScript, write_fake_model
from coderls.fim.model import Budgets, FimModel
from coderls.fim.templates import load_template
from coderls.repo_context.index import RepositoryIndex
from coderls.tokenizer import Tokenizer

CODE = '''"""A module."""

import os


def total(prices: list[int]) -> int:
    subtotal = sum(prices)
    if not prices:
        return 0
    return round(subtotal)


def names(folder: str) -> list[str]:
    found = os.listdir(folder)
    chosen = [name for name in found if name.endswith(".py")]
    for name in chosen:
        print(name, folder)
        print(len(name))
    first = sorted(chosen)
    second = list(reversed(first))
    third = first + second
    fourth = third + third
    return fourth


def prices(text: str) -> list[int]:
    numbers = text.split(",")
    return [int(number) for number in numbers]
'''


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "main.py").write_text(CODE * 3, encoding="utf-8")
    (folder / "shop" / "broken.py").write_text(CODE + "def f(:\n" * 2, encoding="utf-8")
    monkeypatch.setattr("benchmarks.keystroke.places.LANGUAGES", {"python": (".py", ((str(folder), "shop"),))})
    monkeypatch.setattr(typed, "PROJECTS", ((str(folder), "shop"),))
    return folder


def hole(before: str, after: str, hidden: str = "", language_id: str = "python") -> Hole:
    return Hole("name", Path("/shop/a.py"), language_id, "line", before, after, hidden)


@pytest.mark.parametrize(
    ("before", "after", "text", "repeats"),
    [
        ("def f():\n    ", "\n    return x\n", "x = 1", False),
        ("def f():\n    ", "\n    return x\n", "x = 1\n    return x", True),
        ("def f():\n    ", "\n    return x\n", "return x", True),
        ("f(", ", other)\n", "a, other)", True),
        ("f(", ")\n", "g(a)", False),  # the closer is its own
        ("if (a) {\n  ", "\n}\n", "b();\n}", False),  # a closer is left to the parser
    ],
)
def test_what_follows_is_not_said_again(before: str, after: str, text: str, repeats: bool) -> None:
    assert repeats_suffix(hole(before, after), text) is repeats


def test_a_line_that_the_author_wrote_twice_is_no_fault() -> None:
    assert not repeats_suffix(hole("[\n    ", "\n    value,\n]", hidden="value,"), "value,")


@pytest.mark.parametrize(
    ("before", "text", "bad"),
    [
        ("def f():\n    ", "a = 1\n    b = 2", False),
        ("def f():\n    ", "a = 1\n      b = 2", True),
        ("def f():\n    ", "if a:\n        b = 2", False),
        ("def f():\n    if a:\n        ", "b = 2\n    c = 3", False),
        ("def f():\n    if a:\n        ", "b = 2\n  c = 3", True),
        ("def f():\n    ", "a = 1\n\tb = 2", True),
        ("def f():\n    x = 1\n    ", "/**\n     * A comment.\n     */", False),
    ],
)
def test_lines_stand_where_they_belong(before: str, text: str, bad: bool) -> None:
    assert is_badly_indented(hole(before, "\n"), text) is bad


def test_a_number_sign_in_a_string_begins_no_comment() -> None:
    assert not is_badly_indented(hole("", "\n", language_id="typescript"), "it('#1', () => {\n    run();\n});")


def test_pythons_own_parser_judges() -> None:
    texts = ["x = 1\n", "x = (\n", "x = '\\d'\n", "\0", "f(a=1, a=2)\n"]
    assert judge_of("python")([(Path("a.py"), text) for text in texts]) == [0, 1, 0, 1, 1]


def test_holes_are_drawn_alike_and_only_where_the_file_parses(sources: Path) -> None:
    holes = draw("python", 30, 7)
    assert holes == draw("python", 30, 7)
    assert holes[:5] == draw("python", 5, 7)
    assert {each.kind for each in holes} == {"line", "rest", "middle", "block"}
    assert {each.path.name for each in holes} == {"main.py"}
    for each in holes:
        assert each.hidden.strip()
        assert each.at_line_end is (each.kind != "middle")
        whole = each.before + each.hidden + each.after
        assert whole == CODE * 3 if each.kind != "block" else CODE.split() == whole.split()[: len(CODE.split())]


def test_judged_asks_once_and_counts(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holes = [
        hole("def f(x):\n    ", "\n", "return x"),
        Hole("twice", Path("/shop/b.py"), "python", "line", "def g(x):\n    ", "\n    return x\n", "y = x"),
        Hole("broken", Path("/shop/c.py"), "python", "rest", "def h(x):\n    y = (", "\n", "x)"),
    ]
    monkeypatch.setattr(judged, "draw", lambda *_: holes)
    rules = (
        FakeRule("def f(x):\n    ", "return x\n"),
        FakeRule("def g(x):\n    ", "y = 2\n"),
        FakeRule("def h(x):\n    y = (", "x\n"),
    )
    model = write_fake_model(tmp_path / "fake", FakeScript(rules))
    file = tmp_path / "rows.json"
    words = ["--languages", "python", "--model", str(model), "--json", str(file)]
    assert judged.main([*words, "--limit", "2"]) == 0
    assert len(json.loads(file.read_text())["said"]) == 2
    assert judged.main([*words, "--faults"]) == 0
    said = json.loads(file.read_text())["said"]
    assert [each["text"] for each in said.values()] == ["return x\n", "y = 2\n", "x\n"]
    last = capsys.readouterr().out.split("| python |")[-1].split("\n")[0]
    assert last.split("|")[0].strip() == "3"
    assert "0 of " in last


def test_a_piece_is_typed_and_accepted(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = CODE.split("\n")
    rules = [FakeRule(f"{line[: len(line) - 6]}", line[len(line) - 6 :] + "\n") for line in lines if len(line) > 12]
    model = write_fake_model(tmp_path / "fake", FakeScript(tuple(sorted(rules, key=lambda rule: -len(rule.after)))))
    out = tmp_path / "typed.json"
    # Somebody who types twice as fast: half of the pauses are waited for.
    words = ["--lines", "8", "--pace", "0.5", "--model", str(model), "--json", str(out)]
    words += ["--option", "completion.debounce_ms=0"]
    assert typed.main([*words, "--editor-lines", "3", "--idle-wait", "0"]) == 0
    results = json.loads(out.read_text())
    assert results["lines"] == 8
    assert results["accepts"] > 0
    assert results["keys"] + results["accepted_characters"] <= results["characters"]
    assert results["model_calls"] > 0
    assert 0 < results["valid"] <= results["shown"]
    assert 0 < results["accepted_tokens"] < results["model_tokens"] < results["run_tokens"]
    assert results["editor_plain_ms"]
    assert results["editor_context_ms"]
    assert "characters accepted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ghost", "wanted", "size"),
    [
        ("x = 1", "x = 1\ny = 2", 5),
        ("x = 1\ny = 3", "x = 1\ny = 2", 5),
        ("x = 1\ny = 2", "x = 1\ny = 2", 11),
        ("x =", "x = 1\n", 0),
        ("z", "x", 0),
        ("", "x", 0),
    ],
)
def test_what_a_reader_accepts(ghost: str, wanted: str, size: int) -> None:
    assert typed._right(ghost, wanted) == size


def test_ghost_text_is_valid_where_the_file_parses_with_it_or_was_broken() -> None:
    assert typed.is_valid("x = 1\n", 6, 6, "y = 2\n")
    assert not typed.is_valid("x = 1\n", 6, 6, "y = (\n")
    assert typed.is_valid("x = (\n", 6, 6, "y = (\n")


def test_steady_counts_what_a_key_costs(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "prices.py").write_text(CODE, encoding="utf-8")
    here = folder / "here.py"
    here.write_text("from prices import total\n\n\ndef f(p: list) -> int:\n    return total(p)\n\n\nx = 1\n")
    nano = Path(coderls.models.__file__).parent / "nano"
    tokenizer = Tokenizer.from_file(nano / "tokenizer.json")
    model = FimModel(load_template(nano, "nano", tokenizer), tokenizer)
    index = RepositoryIndex([folder], keep=False)
    try:
        index.build()
        piece = typed.Piece(here, 3, 5, ("def f(p: list) -> int:", "    return total(p)"))
        keys = steady.keys_of(piece, index, Budgets(200, 100, 100), model)
    finally:
        index.close()
    assert [key.name for key in keys if key.name] == ["total"]
    best, kept = steady.Count(), steady.Count()
    steady.follow(keys, model, Budgets(200, 100, 100), 0, best)
    steady.follow(keys, model, Budgets(200, 100, 100), 1_000, kept)
    assert len(best.read) == len(kept.read) == len(keys) - 1
    assert (best.there, best.needed) == (1, 1)
    assert kept.changed <= best.changed
    assert sum(kept.read) <= sum(best.read)
    assert "1 of 1" in steady.table({("suffix, prefix", 100, 0): best, ("suffix, prefix", 100, 1_000): kept})
