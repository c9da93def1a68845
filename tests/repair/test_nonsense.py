"""What is refused whatever the checkers say."""

from __future__ import annotations

import pytest

from coderls.document import Document
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.nonsense import nonsense


def judged(text: str, old: str, new: str, language: str = "python") -> str:
    document = Document("file:///a", language, 1, text)
    place = text.index(old)
    candidate = Candidate.of_text(text, text.replace(old, new, 1), "infill", "t")
    return nonsense(document, Diagnostic(place, place + len(old), "Undefined name"), candidate)


@pytest.mark.parametrize(
    ("text", "old", "new", "language"),
    [
        ("def z(name):\n    return name.upper() + undefd(name)\n", "undefd", "name", "python"),
        ("def f(a):\n    return foo(a, \n", "foo(a, ", "a(a,)", "python"),
        ("def f(a, n: int):\n    return foo(a)\n", "foo", "n", "python"),
        ("count = 0\nprint(total(2))\n", "total", "count", "python"),
        ("for i in range(3):\n    run(1)\n", "run", "i", "python"),
        ("function f(n: number) {\n  return grow(1);\n}\n", "grow", "n", "typescript"),
        ("int f(int n) {\n  return grow(1);\n}\n", "grow", "n", "c"),
    ],
)
def test_what_is_no_function_is_not_called(text: str, old: str, new: str, language: str) -> None:
    assert "It calls" in judged(text, old, new, language)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("def f(a):\n    return foo(a)\n", "foo(a)", "f(f(a))"),
        ("def area(w):\n    return w\n\n\nprint(aera(2))\n", "aera", "area"),
        ("def f(work):\n    return wrok(1)\n", "wrok", "work"),
        ("def f(a)\n    return a\n", "f(a)", "f(a):"),
        ("x = lenn([])\n", "lenn", "len"),
        ("name = 1\nx = foo\n", "foo", "Foo(name=name)"),
        ("def f(x)\n    return x\n", "f(x)", 'f(x):\n    """The least of (all of them)."""'),
    ],
)
def test_what_may_be_called_is(text: str, old: str, new: str) -> None:
    assert judged(text, old, new) == ""


@pytest.mark.parametrize(
    ("old", "new", "idle"),
    [
        ('print "a"', '"a"', True),
        ('print "dir", f(p)', 'print, "dir", f(p)', True),
        ('print "dir", f(p)', 'print("dir", f(p))', False),
        ("retrun 1", "retrun, 1", True),
        ("(a, b", "(a, b)", False),
        ('"""Adds."', '"""Adds."""', False),
        ("x = (1", "x = (1)", False),
    ],
)
def test_a_statement_does_not_become_a_value(old: str, new: str, idle: bool) -> None:
    assert bool(judged(f"x = 1\n{old}\ny = 2\n", old, new)) is idle


def test_a_docstring_of_one_line_is_read() -> None:
    text = 'function fn(x):\n    """Return a path."\n    return x\n'
    new = 'def fn(x):\n    """Return a path."""'
    assert judged(text, 'function fn(x):\n    """Return a path."', new) == ""
    assert "nobody reads" in judged('retrun "a"\nx = 1\n', 'retrun "a"', 'x = 2; "a"')
    for before in ("", "def f():\n    ", "class A:\n    x = 1\n\n    def f(self):\n        "):
        for word in ("print", "retrun"):
            assert "nobody reads" in judged(f'{before}{word} "a"\n', f'{word} "a"', '"a"'), (before, word)
    assert judged('def f():\n    Return a path."""\n', 'Return a path."""', '"""Return a path."""') == ""


def test_what_python_would_not_run_is_no_repair() -> None:
    assert judged("f(timeot=1, timeout=2)\n", "timeot", "timeout") == (
        "Python would refuse it: keyword argument repeated: timeout."
    )
    assert judged("x = await g()\nf(timeot=1)\n", "timeot", "timeout") == ""  # it was refused before


def test_a_mended_text_may_show_another_fault_of_its_own() -> None:
    assert judged("def f():\n    x = await g(\n    return x\n", "g(", "g()") == ""
