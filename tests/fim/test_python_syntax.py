from __future__ import annotations

import sys
import warnings

import pytest

from coderls.document import Document, Edit
from coderls.fim import python_syntax
from coderls.fim.postprocess import Insertion
from coderls.fim.python_syntax import first_fault, region_around
from coderls.fim.syntax import allowed, clean, look_before
from coderls.repo_context.parse import parse_file
from tests.marked_text import at_cursor

#: Enough to be judged in parts.
FILLING = "".join(f"def f{number}(x):\n    return x + {number}\n\n\n" for number in range(300))


def check(marked: str, text: str, uri: str = "file:///a.py") -> bool:
    """Whether `text` may stand at `$0`."""
    place = marked.index("$0")
    document = Document(uri, "python", 1, marked.replace("$0", ""))
    return allowed(Insertion(text, place, place), look_before(document, place, parse_file))


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("f(a, $0, timeout=1)\n", "timeout=2"),
        ("f($0timeout=1)\n", "timeout=2, "),
        ("f(\n    $0\n    timeout=1,\n)\n", "timeout=2,"),
        ("x = 1\n$0\n", "return x"),
        ("class A:\n    $0\n", "return 1"),
        ("class A:\n    $0\n", "yield 1"),
        ("def f():\n    $0\n", "x = await g()"),
        ("def f():\n    $0\n", "[x async for x in g()]"),
        ("def f(a, $0):\n    pass\n", "a"),
        ("if x:\n    $0\n", "break"),
        ("for x in y:\n    pass\n$0\n", "continue"),
        ("$0\n", "nonlocal x"),
        ("def f():\n    $0\n", "nonlocal nowhere"),
        ("def f(x):\n    $0\n", "global x"),
        ("def f():\n    $0\n    global x\n", "x = 1"),
        ("$0\n", "__debug__ = 1"),
        ("*a, $0 = b\n", "*c"),
        ("x = $0\n", "*a"),
        ("try:\n    f()\nexcept:\n    pass\n$0\n", "except ValueError:\n    pass"),
        ("import a\n$0\n", "from __future__ import annotations"),
        ("def f():\n    $0\n", "from a import *"),
        ("match x:\n    case a:\n        pass\n    $0\n", "case 1:\n        pass"),
        ("async def f():\n    yield 1\n    $0\n", "return 2"),
    ],
)
def test_what_parses_and_is_refused_all_the_same(marked: str, text: str) -> None:
    assert not check(marked, text)
    if not marked.startswith("import"):
        assert not check(FILLING + marked + FILLING, text)  # judged in parts


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("f($0, timeout=1)\n", "retries=2"),
        ("def f():\n    $0\n", "return 1"),
        ("async def f():\n    $0\n", "return await g()"),
        ("def f():\n    x = 1\n    def g():\n        $0\n    return g\n", "nonlocal x"),
        ("def f():\n    while 1:\n        $0\n", "break"),
        ("x: $0\n", "list[int] = []"),
    ],
)
def test_what_is_good_stays(marked: str, text: str) -> None:
    assert check(marked, text)
    assert check(FILLING + marked + FILLING, text)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("def outer(x):", "return x"),
        ("async def outer(x):", "x = await x"),
        ("class Outer:", "y: int = 1"),
        ("while x:", "break"),
        ("for x in y:", "continue"),
        ("def outer(x):", "def inner():\n        nonlocal x\n        x = 2"),
    ],
)
def test_statements_of_a_long_body_are_judged_below_a_head_of_their_kind(head: str, body: str) -> None:
    lines = "".join(f"    x{number} = [{number}, {number}, {number}]\n" for number in range(400))
    document, offset = at_cursor(f"{head}\n{lines}    $0\n{lines}")
    before = look_before(document, offset, parse_file)
    assert before.python is not None
    assert before.python.end - before.python.start < 200
    assert allowed(Insertion(body, offset, offset), before)
    if "class" in head:
        assert not allowed(Insertion("return 1", offset, offset), before)


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        # a `return` of an unfinished file, elsewhere, near, and in the very line
        ("return 1\n\n\nx = $0\n", "2"),
        ("if x:\n    return 1\n    y = $0\n", "2"),
        ("return $0\n", "2"),
        ("return $0\n", "[\n    2,\n]"),
        ("f(a=1, a=$0)\n", "2"),
        # `async` is not there yet
        ("def f():\n    x = await g()\n    $0\n", "return x"),
        ("def f():\n    $0\n    x = await g()\n", "y = 1\n    z = 2"),
        ("def f():\n    x = await g()\n    y = $0\n", "h(x)"),
        # the line is unfinished, and so is hidden what Python would refuse below
        ("y = $0\n\n\ndef f():\n    x = await g()\n", "h(1)"),
        ("def f(a, a):\n    y = $0\n", "b"),
        ("def f():\n    x = await $0\n", "g()"),
    ],
)
def test_what_the_file_was_refused_for_before_does_not_withhold(marked: str, text: str) -> None:
    assert check(marked, text)


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("return 1\n\n\nf(a=1, $0)\n", "a=2"),
        ("def f():\n    x = await g()\n\n\ndef h():\n    $0\n", "x = await g()"),
        ("def f():\n    $0\n    x = await g()\n", "y = await g()"),
        ("def f():\n    x = await g()\n    $0\n", "y = (1"),
        ("def f():\n    x = await g()\n    $0\n", "h(a=1, a=2)"),
        ("def f(a, a):\n    $0\n    h(\n        a=1,\n    )\n", "h(\n        a=1,\n        a=2,\n    )"),
        ("f(\n    $0,\n    timeout=1)\n", "timeout=2"),
    ],
)
def test_a_file_that_was_refused_before_gets_nothing_else_to_be_refused_for(marked: str, text: str) -> None:
    assert not check(marked, text)


def test_a_repeated_argument_is_cut_off() -> None:
    document, offset = at_cursor("f($0timeout=1)\n")
    kept = clean(Insertion("a, timeout=2, ", offset, offset), look_before(document, offset, parse_file))
    assert kept is None or "timeout" not in kept.text


@pytest.mark.parametrize(
    ("uri", "above", "stands"),
    [
        ("file:///a.py", "", False),
        ("vscode-notebook-cell:/books/a.ipynb#W0", "", True),
        ("file:///books/a.ipynb", "", True),
        ("file:///a.py", "# %% load\n", True),
    ],
)
def test_a_cell_may_await_by_itself(uri: str, above: str, stands: bool) -> None:
    assert check(above + "x = $0\n", "await g()", uri) is stands
    assert not check(above + "$0\n", "return 1", uri)


def test_nothing_of_it_is_run(tmp_path: object) -> None:
    assert first_fault("raise SystemExit\nimport nowhere\nopen('/nowhere')\n") is None


def test_what_compiling_warns_of_is_no_matter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert first_fault("x = 1 is 1\nassert (x, 'y')\ny = '\\d'\n") is None


def test_our_own_future_is_not_the_files() -> None:
    taken = first_fault("def f():\n    x: (yield)\n") is None  # it is refused where annotations are left for later
    assert taken is (sys.version_info < (3, 14))
    assert first_fault("from __future__ import annotations\ndef f():\n    x: (yield)\n") is not None


@pytest.mark.parametrize("text", ["x = '\ud800'\n", "x\0\n", "x = " + "-" * 50_000 + "1\n", "(" * 5_000])
def test_what_cannot_be_read_is_a_fault_without_a_line(text: str) -> None:
    fault = first_fault(text)
    assert fault is not None
    assert not fault.parsed


def _nested(depth: int, line_end: str, before_finally: str) -> str:
    """A text of which Python would make 2**depth pieces of code."""
    lines = []
    for margin in (" " * level for level in range(depth)):
        lines += [f"{margin}try:", f"{margin} f()", f"{margin}{before_finally}finally:"]
    return line_end.join([*lines, " " * depth + "x = 1", ""])


@pytest.mark.parametrize(("line_end", "before"), [("\n", ""), ("\r", ""), ("\n", "\\\n")])
def test_a_text_that_asks_for_endless_code_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, line_end: str, before: str
) -> None:
    def never(*_arguments: object, **_named: object) -> None:
        raise AssertionError("this would take for ever")

    monkeypatch.setattr(python_syntax, "compile", never, raising=False)
    assert first_fault(_nested(19, line_end, before)) is None
    fault = first_fault(_nested(19, line_end, before) + "nonlocal x\n")  # what names mean is judged still
    assert fault is not None
    assert fault.parsed


def test_a_plain_finally_is_compiled() -> None:
    text = "def f():\n    try:\n        return 1\n    finally:\n        g()\n\n\n"
    fault = first_fault(text * 50 + "f(a=1, a=2)\n")
    assert fault is not None
    assert fault.parsed


def test_the_line_of_a_fault_is_counted_below_the_head() -> None:
    methods = "".join(f"    def f{number}(self):\n        return {number}\n\n" for number in range(300))
    text = f"class A:\n{methods}"
    offset = text.index("return 200")
    after = Document("file:///a.py", "python", 1, text).apply(Edit(offset, offset, "f(a=1, a=2)\n        "))
    region = region_around(after.text, offset)
    assert region.fault is not None
    assert region.fault.line == region.line_of(after.text, offset)
