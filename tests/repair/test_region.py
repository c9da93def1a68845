"""What a chat model is shown: the enclosing function, with trees and without."""

from __future__ import annotations

from coderls.document import Document
from coderls.repair.region import MOST_LINES, enclosing


def check(marked: str, shown: str, language_id: str = "python") -> None:
    """The part around `$0` is `shown`."""
    offset = marked.index("$0")
    document = Document("file:///a", language_id, 1, marked.replace("$0", ""))
    assert enclosing(document, offset, offset).text(document) == shown


INNER = "    def two(self):\n        return 2\n"


def test_the_smallest_function() -> None:
    check(f"class A:\n    x = 1\n{INNER.replace('2', '$02')}\n    y = 1\n", INNER)
    check("function f() {\n  return $0x\n}\nlet y\n", "function f() {\n  return x\n}\n", "typescript")


def test_a_function_that_does_not_parse() -> None:
    check("x = 1\ndef f(a:\n    return $0(a\n\ny = 2\n", "def f(a:\n    return (a\n")
    check("def f(a)$0\n    return a\n\ny = 2\n", "def f(a)\n    return a\n")
    check("class A:\n    def f(self)\n        x = [1\n        $0return x\n\n    def g(self):\n        pass\n",
          "    def f(self)\n        x = [1\n        return x\n")  # fmt: skip


def test_outside_of_functions_what_is_near() -> None:
    lines = [f"x{number} = {number}\n" for number in range(100)]
    check("".join([*lines[:50], "$0", *lines[50:]]), "".join(lines[38:63]))
    check("$0", "")


def test_a_very_long_function_is_shown_in_part() -> None:
    body = [f"    x{number} = {number}\n" for number in range(1000)]
    text = "def f():\n" + "".join(body)
    document = Document("file:///a", "python", 1, text)
    shown = enclosing(document, text.index("x500"), text.index("x500"))
    assert "x500" in shown.text(document)
    assert shown.end_line - shown.first_line <= MOST_LINES
    assert not shown.whole
