from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import context_recall
from benchmarks.context_baselines import Bm25, Corpus, Jaccard
from benchmarks.context_measure import covered, found_symbols, has_twin, hide, identifiers, leaks, without_imports
from benchmarks.context_points import Point, Symbol, load, python_points
from benchmarks.context_sources import SourceError
from coderls.document import Piece, Snippet

MODEL = """\
class Item:
    def __init__(self, price):
        self.price = price

    def reprice(self, price):
        self.price = price


def total_of(items):
    return sum(item.price for item in items)
"""
MAIN = """\
from shop.model import Item, total_of
from shop.words import greeting

def run(prices):
    items = [Item(price) for price in prices]
    print(greeting)
    return total_of(items)
"""
POINT = Point("main.py", 6, (Symbol("total_of", "shop/model.py", 8, "function"),))


def one(path: str, start: int, end: int, text: str, name: str = "") -> Snippet:
    return Snippet(path, start, end, text, pieces=(Piece(name, start, end, "test", 1.0, 1),))


def needing(name: str) -> Symbol:
    return Symbol(name, "other", 0, "function")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    files = {"shop/model.py": MODEL, "shop/words.py": "greeting = 'hello'\n", "shop/__init__.py": "", "main.py": MAIN}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_hiding_a_line_leaves_the_cursor_behind_its_indentation(shop: Path):
    hidden = hide(shop, POINT)
    assert hidden.line == "return total_of(items)"
    assert hidden.document.text == MAIN.replace("return total_of(items)", "")
    assert hidden.document.text[: hidden.offset].endswith("print(greeting)\n    ")


def test_a_definition_counts_when_its_line_is_shown(shop: Path):
    assert found_symbols([one("shop/model.py", 8, 9, "def total_of(items): ...")], POINT.symbols, shop) == 1
    assert found_symbols([one("shop/model.py", 0, 8, "class Item: ...")], POINT.symbols, shop) == 0
    assert found_symbols([one("other.py", 8, 9, "def total_of(items): ...")], POINT.symbols, shop) == 0


def test_an_attribute_set_in_two_methods_counts_once(shop: Path):
    price = [Symbol("price", "shop/model.py", 5, "statement")]
    assert found_symbols([one("shop/model.py", 2, 3, "self.price = price", "price")], price, shop) == 1
    assert found_symbols([one("shop/model.py", 9, 10, "price", "price")], price, shop) == 0


def test_coverage_counts_names_around_the_cursor_and_in_the_context(shop: Path):
    hidden = hide(shop, Point("main.py", 4, ()))
    assert identifiers(hidden.line) == {"items", "Item", "price", "prices"}
    assert covered(hidden, []) == (3, 4)
    assert covered(hidden, [one("shop/model.py", 0, 1, "def __init__(self, price)")]) == (4, 4)


def test_the_open_file_and_its_copies_leak(shop: Path):
    hidden = hide(shop, POINT)
    (shop / "old.py").write_text(MAIN + "\n# an older version of it\n", encoding="utf-8")
    assert leaks(hidden, [one("main.py", 0, 1, "x")], shop)
    assert leaks(hidden, [one("old.py", 5, 7, "    return total_of(items)\n")], shop)
    assert not leaks(hidden, [one("shop/model.py", 0, 2, "    return total_of(items)\n")], shop)
    assert has_twin(hidden, [one("shop/model.py", 0, 2, "    return total_of(items)\n")])


def test_the_import_of_the_hidden_line_alone_is_removed(shop: Path):
    harder = without_imports(shop, POINT)
    assert harder is not None
    assert harder.document.text.startswith("from shop.model import Item\nfrom shop.words import greeting\n")
    greeting = without_imports(shop, Point("main.py", 5, (needing("greeting"),)))
    assert greeting is not None
    assert greeting.document.text.startswith("from shop.model import Item, total_of\n\n")
    assert without_imports(shop, Point("main.py", 3, (needing("prices"),))) is None


def test_imports_of_typescript_are_removed_by_name(tmp_path: Path):
    text = (
        'import { one, two as second } from "./b";\nimport third from "./c";\n\n'
        "function f() {\n  one();\n  second();\n  third();\n}\n"
    )
    (tmp_path / "main.ts").write_text(text, encoding="utf-8")
    points = [Point("main.ts", line, (needing(name),)) for line, name in ((4, "one"), (5, "second"), (6, "third"))]
    heads = [
        hidden.document.text.split("\n")[:2] for hidden in (without_imports(tmp_path, p) for p in points) if hidden
    ]
    assert heads == [
        ['import { two as second } from "./b";', 'import third from "./c";'],
        ['import { one } from "./b";', 'import third from "./c";'],
        ['import { one, two as second } from "./b";', ""],
    ]


@pytest.mark.parametrize("kind", [Jaccard, Bm25])
def test_baselines_fill_the_budget_and_never_show_the_open_file(shop: Path, kind: type[Jaccard | Bm25]):
    corpus = Corpus.read(shop, ["main.py", "shop/model.py", "shop/words.py"])
    for budget in (20, 200):
        snippets = kind(corpus).context(hide(shop, POINT), budget, len)
        assert sum(snippet.tokens + len(snippet.path) + 6 for snippet in snippets) <= budget
    assert "def total_of" in "".join(snippet.text for snippet in kind(corpus).context(hide(shop, POINT), 2000, len))
    assert all(snippet.path != "main.py" for snippet in snippets)


def test_jedi_finds_what_lines_need(shop: Path):
    files, points = python_points(shop, 10)
    assert files == 4
    found = {(point.line, symbol.name, symbol.path, symbol.line) for point in points for symbol in point.symbols}
    assert (6, "total_of", "shop/model.py", 8) in found
    assert (4, "Item", "shop/model.py", 0) in found


def test_a_whole_run(shop: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path_factory.mktemp("points")
    symbols = {"total_of": {"path": "shop/model.py", "line": 8, "kind": "function"}}
    points = {"folder": str(shop), "points": [{"path": "main.py", "line": 6, "symbols": symbols}]}
    (folder / "points.json").write_text(json.dumps(points), encoding="utf-8")
    assert context_recall.main([str(folder / "points.json"), "--json", str(folder / "out.json")]) == 0
    rows = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    ours = next(row for row in rows if row["contender"] == "coderls" and row["budget"] == 2_000)
    assert ours == {
        "project": shop.name,
        "contender": "coderls",
        "budget": 2_000,
        "points": 1,
        "symbols": 1,
        "found": 1,
        "names": 2,
        "names_found": 2,
        "leaks": 0,
        "twins": 0,
    }
    assert f"| {shop.name} | 1 | 100.0 / 100.0 / 100.0 / 100.0 | 100.0 | 0 | 0 |" in capsys.readouterr().out


def test_a_file_without_points_is_refused(tmp_path: Path):
    (tmp_path / "points.json").write_text('{"points": [{"path": "a.py"}]}', encoding="utf-8")
    with pytest.raises(SourceError, match="holds no completion points"):
        load(tmp_path / "points.json")
