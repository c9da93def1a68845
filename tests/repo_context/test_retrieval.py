from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from coderls.repo_context import candidates
from coderls.repo_context.candidates import find
from coderls.repo_context.compact import compact
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.languages.python import PYTHON
from coderls.repo_context.languages.typescript import TYPESCRIPT
from coderls.repo_context.rank import WEIGHTS, features, rank, with_neighbours
from coderls.repo_context.receivers import class_names
from coderls.repo_context.recent import Recent, Region
from coderls.repo_context.surroundings import look_around
from coderls.repo_context.twins import is_test, twins_of
from coderls.repo_context.usages import OwnLines, Usages
from coderls.repo_context.whole_text import WholeText
from coderls.repo_context.windows import FileWindows, Windows
from tests.repo_context.repository import ask, check, open_document, show, write

POOL = """\
class Base:
    def close_all(self): ...

class Connection(Base):
    def send_bytes(self, data): ...

class Pool:
    first: Connection

    def take(self) -> Connection: ...

pool = Pool()
"""


def lines_of(context: str) -> list[str]:
    return [line.strip() for line in context.split("\n")]


@pytest.mark.parametrize(
    "code",
    [
        "def go(c: pool.Connection):\n    $0",
        "def go():\n    c = pool.Pool().take()\n    $0",
        "def go(p: pool.Pool):\n    c = p.first\n    $0",
        "def go(p: pool.Pool):\n    for c in [p.take()]:\n        p.first.$0",
        "def go(connection):\n    connection.$0",
    ],
    ids=["annotation", "call", "attribute", "chain", "name of the variable"],
)
def test_members_of_an_object_near_the_cursor_are_shown_bases_included(code: str):
    found = lines_of(check({"pool.py": POOL, "main.py": "import pool\n\n" + code}))
    assert "def send_bytes(self, data): ..." in found
    assert "def close_all(self): ..." in found


SHOP = {
    "shop/models.py": """\
from dataclasses import dataclass, field

@dataclass
class Product:
    sku: str
    name: str
    price_cents: int

@dataclass
class Order:
    customer: str
    lines: list[str] = field(default_factory=list)

    def add(self, product: Product, quantity: int = 1) -> None:
        self.lines.append(product.sku)
""",
    "shop/store.py": """\
from shop.models import Product

class ProductStore:
    def __init__(self) -> None:
        self._products: dict[str, Product] = {}

    def put(self, product: Product) -> None:
        self._products[product.sku] = product

    def find_by_sku(self, sku: str) -> Product | None:
        return self._products.get(sku)
""",
}
MAIN = """\
from shop.models import Order, Product
from shop.store import ProductStore

def main() -> int:
    store = ProductStore()
    store.put(Product("A1", "Mug", 1250))
    order = Order("ada")
    product = store.$0
    order.add(product, 2)
    return 0
"""


def test_members_of_what_stands_before_the_dot_come_first():
    assert "find_by_sku" in check(SHOP | {"main.py": MAIN}, 60), "where there is room for little, too"
    assert "find_by_sku" not in check(SHOP | {"main.py": MAIN.replace("store.$0", "$0")}, 60)


@pytest.mark.parametrize(
    ("line", "behind"),
    [
        ("x = store.", "store"),
        ("x = store.fi", "store"),
        ("take(a.b, c(1, 2).d.", "c().d"),
        ("p->next->", "p.next"),
        ("a?.", "a"),
        ("store", ""),
        ("'text'.", ""),
        (".", ""),
        ("b" * 100_000 + " a.", "a"),
    ],
)
def test_what_stands_before_the_dot(line: str, behind: str):
    assert look_around(line, len(line)).behind == behind


@pytest.mark.parametrize(
    ("code", "source"),
    [("class Own(Base):\n    def go(self):\n        self.$0\n", "behind"), ("it = Base()\nit.$0\n", "receiver")],
)
def test_private_members_are_expected_behind_the_object_itself_only(tmp_path: Path, code: str, source: str):
    write(tmp_path, {"base.py": "class Base:\n    def _hidden_step(self): ...\n    def open_step(self): ...\n"})
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    found = ask(index, tmp_path, "main.py", "from base import Base\n\n" + code)
    sources = {piece.name: piece.source for snippet in found for piece in snippet.pieces}
    assert (sources["open_step"], sources["_hidden_step"]) == ("behind", source)
    index.close()


def test_members_of_an_imported_object_are_shown():
    found = check({"pool.py": POOL, "main.py": "from pool import pool\n\n$0"})
    assert "def take(self) -> Connection: ..." in lines_of(found)


def test_what_self_inherits_comes_before_what_is_only_imported():
    files = {
        "base.py": "class Task:\n    def run_later(self, delay): ...\n",
        "other.py": "class Other:\n    def something(self): ...\n",
        "main.py": (
            "from base import Task\nfrom other import Other\nprint(Other, Task)\n\n"
            "class Mine(Task):\n    def go(self):\n        $0\n"
        ),
    }
    found = next(context for budget in range(20, 80) if "run_later" in (context := check(files, budget=budget)))
    assert "something" not in found


def test_members_of_what_a_class_holds_are_shown():
    service = "export interface MessageService {\n  warn(text: string): void;\n}\n"
    main = (
        'import { MessageService } from "./service";\n\nexport class Widget {\n'
        "  protected readonly messages: MessageService;\n\n  show() {\n    this.$0\n  }\n}\n"
    )
    assert "warn(text: string): void" in check({"service.ts": service, "main.ts": main})


def test_an_import_that_nothing_uses_yet_goes_first():
    files = {"a.py": "def old(a): ...\n\ndef fresh(b): ...\n", "main.py": "from a import fresh, old\n\nold(1)\n$0"}
    assert "def fresh(b): ..." in check(files, budget=14)
    assert "def old(a): ..." not in check(files, budget=14)


def test_a_package_whose_imports_are_all_unused_wants_none_of_them_more():
    from coderls.repo_context.languages.language import Import
    from coderls.repo_context.outline import Outline

    names = [f"name{number}" for number in range(20)]
    text = "from a import " + ", ".join(names)
    assert WholeText().idle(text, Outline((), tuple(Import("a", name, name) for name in names))) == {}
    assert WholeText().idle(text, Outline((), (Import("a", "name7", "name7"),))) == {"name7": 1.0}


def test_the_test_sees_the_code_beside_it_without_an_import():
    files = {"src/shop/cart.py": "def fill_cart(items): ...\n", "tests/shop/test_cart.py": "def test_it():\n    $0"}
    assert "def fill_cart(items): ..." in check(files)


class Files:
    """Just enough of a shelf to look for twins."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    def ending(self, path: str) -> list[str]:
        return [known for known in self.paths if known == path or known.endswith("/" + path)]


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("src/a/cart.py", "tests/a/test_cart.py"),
        ("src/a/_cart.py", "tests/test_cart.py"),
        ("pkg/cart.go", "pkg/cart_test.go"),
        ("src/cart.ts", "src/cart.spec.ts"),
        ("src/main/java/Cart.java", "src/test/java/CartTest.java"),
        ("lib/cart.rb", "spec/cart_spec.rb"),
    ],
)
def test_twins_are_found_both_ways(code: str, test: str):
    files = Files(code, test, "other/thing.py")
    assert list(twins_of(code, files)) == [test]  # type: ignore[arg-type]
    assert list(twins_of(test, files)) == [code]  # type: ignore[arg-type]
    assert is_test(test)
    assert not is_test(code)


def test_the_ring_keeps_the_latest_and_follows_inserted_lines():
    ring = Recent(size=3)
    for line in (10, 100, 200, 300):
        ring.note(Region(0, "a.py", line, edited=True))
    assert [region.line for region in ring.regions(0)] == [300, 200, 100]
    ring.moved(0, "a.py", 150, 5)
    ring.note(Region(0, "a.py", 203, edited=False))
    assert [(region.line, region.edited) for region in ring.regions(0)] == [(203, True), (305, True), (100, True)]
    assert ring.regions(0, without="a.py") == []
    ring.drop(0, "a.py")
    assert ring.regions(0) == []


def test_what_was_edited_last_in_another_file_is_shown(tmp_path: Path):
    body = "\n".join(f"def helper_{number}(value):\n    return value\n" for number in range(30))
    write(tmp_path, {"util.py": body, "main.py": "$0"})
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    assert index.settle(30)
    before, _ = open_document(tmp_path, "util.py", body)
    index.update(before)
    assert "helper_17" not in show(ask(index, tmp_path, "main.py", "$0", 200))
    after, _ = open_document(tmp_path, "util.py", body.replace("helper_17(value)", "helper_17(value, rate)"), 2)
    index.update(after)
    assert index.settle(30)
    snippets = ask(index, tmp_path, "main.py", "$0", 200)
    assert "helper_17(value, rate)" in show(snippets)
    assert "recent" in {snippet.source for snippet in snippets}
    index.close()


def many_files(root: Path, **more: str) -> None:
    """Enough of other code that some of it is more like the cursor's than the rest."""
    filler = {
        f"filler_{number}.py": "\n".join(f"thing_{number}_{row} = {row}" for row in range(20)) for number in range(25)
    }
    write(root, filler | {name.replace("__", "/") + ".py": text for name, text in more.items()})


ALIKE = """\
def export_report(stream):
    writer = open_writer(stream)
    writer.header(title)
    writer.table(rows)
    writer.finish_document(stream)
    return writer
"""
CURSOR = "def print_invoice(stream):\n    writer = open_writer(stream)\n    writer.header(title)\n    $0\n"


def test_code_like_that_at_the_cursor_is_shown_and_its_names_are_expected(tmp_path: Path):
    many_files(tmp_path, alike=ALIKE, document="def finish_document(stream): ...\n")
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    assert index.settle(30)
    snippets = ask(index, tmp_path, "main.py", CURSOR)
    assert "    writer.finish_document(stream)" in show(snippets)
    assert "def finish_document(stream): ..." in show(snippets)
    assert snippets[-1].source == "similar"
    index.close()


def test_a_stale_copy_of_the_open_file_is_never_shown(tmp_path: Path):
    text = "".join(f"    result_{number} = compute_step(result_{number - 1})\n" for number in range(1, 40))
    many_files(tmp_path, main="def steps():\n" + text, backup__main="def steps():\n" + text.replace("_7 ", "_8 "))
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    assert index.settle(30)
    hidden = "def steps():\n" + text.replace("result_20 = compute_step(result_19)", "$0")
    assert all("main.py" not in snippet.path for snippet in ask(index, tmp_path, "main.py", hidden))
    index.close()


def test_a_stale_copy_of_a_file_with_few_lines_is_never_shown(tmp_path: Path):
    whole = (
        'import { Subscriber } from "./subscriber";\n\nexport interface Operator<T, R> {\n'
        "  call(subscriber: Subscriber<R>, source: any): void;\n}\n"
    )
    others = {f"src/used{n}.ts": f'import {{ Operator }} from "./operator";\n\nclass Used{n} {{}}\n' for n in range(30)}
    write(
        tmp_path, {**others, "old/src/operator.ts": whole + "\n", "src/subscriber.ts": "export class Subscriber {}\n"}
    )
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    assert index.settle(30)
    found = ask(
        index, tmp_path, "src/operator.ts", whole.replace("call(subscriber: Subscriber<R>, source: any): void;", "$0")
    )
    assert "class Subscriber" in show(found)
    assert all("operator.ts" not in snippet.path for snippet in found)
    index.close()


def test_when_the_time_is_up_the_imports_that_are_used_near_by_were_looked_at(tmp_path: Path, monkeypatch):
    names = [f"name_{number}" for number in range(60)]
    write(tmp_path, {f"{name}.py": f"def {name}(): ...\n" for name in names})
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    imports = "".join(f"from {name} import {name}\n" for name in names)
    document, offset = open_document(tmp_path, "main.py", imports + "\n" * 40 + "name_59()\n$0")
    asker = index.asker(document, offset)
    assert asker is not None
    clock = (number / 1000 for number in itertools.count())
    monkeypatch.setattr(candidates, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    by_import = [item.definition.name for item in find(asker, limit_s=0.05) if "import" in item.ways]
    index.close()
    assert by_import[0] == "name_59"
    assert 20 < len(by_import) < 40


def test_few_lines_that_stand_in_a_long_file_make_no_copy_of_it():
    own = OwnLines.of("import a\n\nlogger = logging.getLogger(__name__)\nLEVEL = 3\n")
    long = "import a\n\nlogger = logging.getLogger(__name__)\nLEVEL = 3\n" + "def more(): ...\ny = 2\nz = 3\n"
    usages = Usages({"long.py": long, "copy.py": long[:60]}.get, lambda path: None)
    assert not usages.shares_lines("long.py", own)
    assert usages.shares_lines("copy.py", own)


def test_pieces_tell_lines_retriever_score_and_tokens_within_the_budget(tmp_path: Path):
    write(tmp_path, {"pool.py": POOL})
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    for budget in (20, 60, 200):
        snippets = ask(index, tmp_path, "main.py", "from pool import Pool\n\nPool().take().$0", budget)
        assert sum(snippet.tokens for snippet in snippets) <= budget
        for piece in (piece for snippet in snippets for piece in snippet.pieces):
            assert POOL.split("\n")[piece.start_line].strip().startswith(("class", "def", "first", "pool"))
            assert piece.source in {way.partition(" ")[0] for way in WEIGHTS}
            assert 0 < piece.score <= 1
            assert piece.tokens > 0
    explained = snippets[0].explained()
    assert explained["path"] == "pool.py"
    assert {piece["name"]: piece["first_line"] for piece in explained["pieces"]}["Connection"] == 4
    index.close()


@pytest.mark.parametrize(
    ("long", "short"),
    [
        (
            "    @classmethod\n    def grid(\n        cls,\n        *headers: Union[Column, str],\n"
            "        pad: int = 0,\n"
            '    ) -> "Table": ...',
            '    @classmethod\n    def grid(cls, *headers, pad) -> "Table": ...',
        ),
        (
            "def load(path: str, mode: Literal['a', '(b'] = 'a', callback: Callable[[int, str], None] = run): ...",
            "def load(path, mode, callback): ...",
        ),
        ("def short(a: int, b: str) -> None: ...", "def short(a: int, b: str) -> None: ..."),
    ],
)
def test_long_signatures_in_short(long: str, short: str):
    assert compact(long, PYTHON) == short


def test_long_signatures_of_typescript_in_short():
    text = (
        "export function operate<T, R>(\n  init: (source: Observable<T>, next: Subscriber<R>) => void\n): Operator<T>;"
    )
    assert compact(text, TYPESCRIPT) == "export function operate<T, R>(init): Operator<T>;"


def test_a_signature_that_never_closes_stays_as_it_is():
    text = "def broken(" + "a, " * 60
    assert compact(text, PYTHON) == text


def test_windows_are_found_by_their_rare_names_and_forgotten():
    windows = Windows()
    for number in range(300):
        windows.put(f"{number}.py", FileWindows.of(f"common = {number}\nrare_{number} = common\n" + "x\n" * 30))
    assert [hit.path for hit in windows.search({"rare_7": 1.0, "common": 1.0}, limit=1)] == ["7.py"]
    assert windows.search({"rare_7": 1.0}, without=["7.py"]) == []
    windows.put("7.py", FileWindows.of("other = 1\n"))
    assert windows.search({"rare_7": 1.0}) == []
    for number in range(300):
        if number != 8:
            windows.drop(f"{number}.py")
    for number in range(600):
        windows.put("9.py", FileWindows.of(f"version_{number} = 1\n" + "y\n" * 40))
    assert [hit.path for hit in windows.search({"rare_8": 1.0})] == ["8.py"]
    assert [hit.path for hit in windows.search({"version_599": 1.0})] == ["9.py"]
    assert windows.search({"version_598": 1.0}) == []


def test_windows_take_no_more_than_they_may():
    windows = Windows(max_postings=10)
    assert windows.put("a.py", FileWindows.of("one two three four five six\n"))
    assert not windows.put("b.py", FileWindows.of("seven eight nine ten eleven\n"))
    assert windows.put("a.py", FileWindows.of("one\n"))
    assert windows.put("b.py", FileWindows.of("seven eight\n"))


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("old_request", ["OldRequest", "Request"]),
        ("durationSubscriber", ["DurationSubscriber", "Subscriber"]),
        ("items", ["Items", "Item"]),
        ("_x", []),
    ],
)
def test_a_variable_may_be_named_after_its_class(name: str, classes: list[str]):
    assert class_names(name) == classes


def test_the_score_is_the_likelihood_of_the_features_that_the_odds_were_fitted_with(tmp_path: Path):
    write(tmp_path, SHOP)
    index = RepositoryIndex([tmp_path])
    index.build()
    asker = index.asker(*open_document(tmp_path, "main.py", MAIN + "$0"))
    assert asker is not None
    found = find(asker)
    index.close()
    beside = {id(candidate): near for candidate, near in with_neighbours(found, asker)}
    ranked = rank(found, asker)
    assert len(ranked) == len(found) > 5
    for item in ranked:
        values = features(item.candidate, asker, beside[id(item.candidate)])
        odds = sum(WEIGHTS[feature] * value for feature, value in values.items())
        assert item.score == pytest.approx(1 / (1 + math.exp(-odds)))


def test_surroundings_know_headers_receivers_and_class_bodies():
    text = "class Cart(Base):\n    def add(\n        self,\n        item,\n    ):\n        self.items.append(1)\n"
    text += "        item.$0"
    at = text.index("$0")
    around = look_around(text.replace("$0", ""), at)
    assert (around.classes, around.function, around.in_class_body) == (("Cart",), "add", False)
    assert around.receivers["item"] == 1.0
    assert {"self", "self.items"} < set(around.receivers)
    body = "class Cart(Base):\n    kind = 1\n    "
    assert look_around(body, len(body)).in_class_body


def test_the_word_that_is_typed_changes_nothing():
    text = "first = 1\nsecond = fi"
    assert look_around(text, len(text)) == look_around(text[:-2], len(text) - 2)


def test_retrievers_that_would_begin_late_are_left_out(tmp_path: Path):
    write(tmp_path, {"pool.py": POOL})
    index = RepositoryIndex([tmp_path], keep=False)
    index.build()
    document, offset = open_document(tmp_path, "main.py", "from pool import Pool\n\nPool().take().$0")
    asker = index.asker(document, offset)
    assert asker is not None
    assert find(asker, limit_s=30.0)
    assert find(asker, limit_s=-1.0) == []
    index.close()
