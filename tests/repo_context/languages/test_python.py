# ruff: noqa: E501 (code in strings)
from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from tests.repo_context.languages.shown import Tree, bound, defined, imported, language_of, leads

SOURCE = """
import os, typing as t
import pkg.deep.paths
from . import tools
from .models import Base as B, Other
from ..up import *
if t.TYPE_CHECKING:
    from .client import Client

LIMIT: t.Final = 10
ONE, TWO = 1, 2
client = Client.connect()
type Pair = tuple[int, int]
if LIMIT:
    CONDITIONAL = Foo()
try:
    FAST = True

    def late(
        a: int,
    ) -> int:
        return a
except ImportError:
    FAST = False


@decorated(
    1
)
class Store(B, pkg.Other, Generic[T]):
    name: "str | None" = None
    pool = None

    # A comment above the body.
    def __init__(self, client: Client, size=3, *args, other: Optional[Foo] = None, **options) -> None:
        self.client = client
        self.size = size
        self.pool = Pool(1)
        self.other: Foo = other or Foo()

    @property
    def text(self) -> "str":
        def local(): return Nope()
        return "x"

    def chain(self):
        return self

    @classmethod
    def make(cls):
        if cls.x:
            return None
        return cls(1)

    def fetch(self):
        result = 3
        return self.client.get(result)

    async def run(self, items: list[Item]):
        with open(self.name) as file, Bar() as bar:
            for item in items:
                found = await self.client.get(item)
        if (match := find(1)):
            later = [row for row in self.rows]
        return lambda x: x


def outer():
    class Hidden: ...
    return Store(1)
"""


def test_definitions():
    assert defined("pkg/store.py", SOURCE) == snapshot("""\
LIMIT: t.Final = 10  | constant LIMIT -> t.Final
ONE, TWO = 1, 2  | constant ONE
ONE, TWO = 1, 2  | constant TWO
client = Client.connect()  | constant client -> =Client.connect()
type Pair = tuple[int, int]  | type Pair
CONDITIONAL = Foo()  | constant CONDITIONAL -> =Foo()
FAST = True  | constant FAST
def late(
    a: int,
) -> int: ...  | function late -> int
@decorated(
    1
)
class Store(B, pkg.Other, Generic[T]):  | class Store (B, Other, Generic)
name: "str | None" = None  | attribute name of Store -> str|None
pool = None  | attribute pool of Store -> =Pool()
def __init__(self, client: Client, size=3, *args, other: Optional[Foo] = None, **options) -> None: ...  | method __init__ of Store
self.client = client  | attribute client of Store -> Client
self.size = size  | attribute size of Store
self.other: Foo = other or Foo()  | attribute other of Store -> Foo
@property
    def text(self) -> "str": ...  | method text of Store -> str
def chain(self): ...  | method chain of Store -> Store
@classmethod
    def make(cls): ...  | method make of Store -> =Store()
def fetch(self): ...  | method fetch of Store -> =self.client.get()
async def run(self, items: list[Item]): ...  | method run of Store
def outer(): ...  | function outer -> =Store()\
""")


def test_imports():
    assert imported("pkg/store.py", SOURCE) == snapshot(
        [
            ("os", "", "os"),
            ("typing", "", "t"),
            ("pkg.deep.paths", "", "pkg.deep.paths"),
            (".", "tools", "tools"),
            (".models", "Base", "B"),
            (".models", "Other", "Other"),
            ("..up", "*", ""),
            (".client", "Client", "Client"),
        ]
    )


def test_bindings():
    assert bound("pkg/store.py", SOURCE) == snapshot(
        [
            "LIMIT: t.Final [9-71]",
            "client: =Client.connect() [11-71]",
            "CONDITIONAL: =Foo() [14-71]",
            "a: int [19-22]",
            "self: Store [29-65]",
            "name: str|None [30-65]",
            "pool:  [31-65]",
            "client: Client [34-39]",
            "size:  [34-39]",
            "other: Optional[Foo] [34-39]",
            "result:  [55-57]",
            "items: list[Item] [58-65]",
            "file: =open() [59-65]",
            "bar: =Bar() [59-65]",
            "item: =items[] [60-65]",
            "found: =self.client.get() [61-65]",
            "match: =find() [62-65]",
            "later:  [63-65]",
            "row: =self.rows[] [63-65]",
            "self: Hidden [68-69]",
        ]
    )


FILES = {
    "src/shop/__init__.py": "",
    "src/shop/prices.py": "",
    "src/shop/deep/__init__.py": "",
    "src/shop/deep/tool.py": "",
    "space/part/module.py": "",
    "stubs/fast.pyi": "",
    "fast.pyi": "",
    "both.py": "",
    "both.pyi": "",
    "packages/other/other/__init__.py": "",
    "packages/other/other/inner.py": "",
    "tests/json.py": "",
    "typing.py": "",
    "tests/helper.py": "",
}


@pytest.mark.parametrize(
    ("importer", "module", "file"),
    [
        ("src/shop/main.py", ".", "src/shop/__init__.py"),
        ("src/shop/main.py", ".prices", "src/shop/prices.py"),
        ("src/shop/deep/tool.py", "..prices", "src/shop/prices.py"),
        ("src/shop/deep/tool.py", "..", "src/shop/__init__.py"),
        ("src/shop/deep/tool.py", "......x", None),
        ("tests/test_it.py", "shop.deep.tool", "src/shop/deep/tool.py"),
        ("tests/test_it.py", "shop.deep", "src/shop/deep/__init__.py"),
        ("tests/test_it.py", "helper", "tests/helper.py"),
        ("main.py", "space.part.module", "space/part/module.py"),
        ("main.py", "space.part", None),
        ("main.py", "fast", "fast.pyi"),
        ("main.py", "both", "both.py"),
        ("main.py", "other.inner", "packages/other/other/inner.py"),
        ("main.py", "other", "packages/other/other/__init__.py"),
        ("main.py", "json", None),
        ("tests/test_it.py", "json", None),
        ("src/shop/main.py", "prices", None),
        ("main.py", "typing", "typing.py"),
        ("main.py", "", None),
    ],
)
def test_modules(importer: str, module: str, file: str | None):
    assert leads(FILES, importer, module) == ([file] if file else [])


def test_stubs_belong_to_their_modules():
    python = language_of("a.py")
    assert list(python.partners("both.py", Tree(FILES))) == ["both.pyi"]
    assert list(python.partners("both.pyi", Tree(FILES))) == ["both.py"]
    assert list(python.partners("fast.pyi", Tree(FILES))) == []
