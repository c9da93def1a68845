from __future__ import annotations

from inline_snapshot import snapshot

from tests.repo_context.repository import check

MODELS = '''
import typing

LIMIT: typing.Final = 10
TABLE = {
    "a": 1,
}

class Base:
    """Documented."""

    # A comment above the body.
    def close(self) -> None:
        pass

@decorated
class Response(Base):
    code: int

    def __init__(self, code: int, *, headers: dict[str, str] | None = None) -> None:
        self.code = code
        self.headers = headers or {}

    @property
    def text(self) -> str:
        def local(): ...
        return "x"

    async def read(
        self,
        size: int = -1,
    ) -> bytes:
        return b""

def unused(): return 1
'''


def test_signatures_behind_a_relative_import():
    assert check(
        {
            "pkg/__init__.py": "",
            "pkg/models.py": MODELS,
            "pkg/client.py": "from .models import Response\n\ndef get() -> Response:\n    response = $0\n",
        }
    ) == snapshot("""\
== pkg/models.py
class Base:
    def close(self) -> None: ...
@decorated
class Response(Base):
    code: int
    def __init__(self, code: int, *, headers: dict[str, str] | None = None) -> None: ...
    self.headers = headers or {}
    @property
    def text(self) -> str: ...
    async def read(
        self,
        size: int = -1,
    ) -> bytes: ...
""")


def test_a_src_layout_and_an_alias():
    assert check(
        {
            "src/shop/__init__.py": "",
            "src/shop/prices.py": "def total(items: list[int]) -> int:\n    return sum(items)\n",
            "tests/test_prices.py": "from shop.prices import total as add_up\n\ndef test():\n    assert $0\n",
        }
    ) == snapshot("""\
== src/shop/prices.py
def total(items: list[int]) -> int: ...
""")


def test_reexports_are_followed():
    assert check(
        {
            "pkg/__init__.py": "from ._api import get\nfrom ._models import *\n",
            "pkg/_api.py": "from ._deep import get\n",
            "pkg/_deep.py": "def get(url: str) -> 'Answer':\n    pass\n",
            "pkg/_models.py": "class Answer:\n    def json(self): ...\n",
            "main.py": "import os\nfrom pkg import get, Answer\n\n$0\n",
        }
    ) == snapshot("""\
== pkg/_deep.py
def get(url: str) -> 'Answer': ...

== pkg/_models.py
class Answer:
    def json(self): ...
""")


def test_a_module_that_is_imported_shows_what_is_used_of_it():
    assert check(
        {
            "pkg/__init__.py": "",
            "pkg/tools.py": "def hammer(nail): ...\ndef saw(wood): ...\n",
            "pkg/deep/paths.py": "def join(a, b): ...\n",
            "pkg/main.py": (
                "from . import tools\nimport pkg.deep.paths\n\ntools.hammer(1)\npkg.deep.paths.join(1, 2)\n$0"
            ),
        },
        budget=40,
    ) == snapshot("""\
== pkg/deep/paths.py
def join(a, b): ...

== pkg/tools.py
def hammer(nail): ...
def saw(wood): ...
""")


def test_a_small_budget_takes_what_is_likeliest():
    files = {
        "models.py": MODELS,
        "main.py": "from models import Response, LIMIT, unused\nprint(LIMIT, unused)\n"
        + "\n" * 200
        + "def show(r: Response):\n    print(r.headers, r.$0)\n",
    }
    assert check(files, budget=34) == snapshot("""\
== models.py
@decorated
class Response(Base):
    code: int
    self.headers = headers or {}
""")
    assert check(files, budget=8) == ""


def test_names_near_the_cursor_are_found_without_an_import():
    assert check(
        {
            "a.py": "def compute_interest(amount: int) -> int:\n    return amount\n",
            "b.py": "value = compute_interest(3)\n$0\n",
        }
    ) == snapshot("""\
== a.py
def compute_interest(amount: int) -> int: ...
""")


def test_nothing_that_stands_near_the_cursor_is_repeated():
    assert (
        check(
            {
                "other.py": "def compute_interest(amount: int) -> int:\n    return amount\n",
                "b.py": "from other import compute_interest\n\ndef compute_interest(amount: int) -> int:\n    $0\n",
            }
        )
        == ""
    )


def test_a_copy_of_the_open_file_is_left_out():
    text = "".join(f"def function_number_{n}(argument: int) -> int:\n    return argument\n\n\n" for n in range(9))
    files = {
        "pkg/work.py": text + "def more():\n    function_number_3(function_number_4($0))\n",
        "build/lib/pkg/work.py": text,
        "pkg/other.py": "def function_number_3(different): ...\n",
    }
    found = check(files)
    assert "build/lib" not in found
    assert "pkg/other.py" in found


def test_other_standard_modules_are_not_mistaken_for_ours():
    assert check({"tests/json.py": "def loads(text): ...\n", "app/main.py": "import json\n\njson.dump($0)\n"}) == ""
