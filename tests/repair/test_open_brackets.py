"""Brackets that several lines leave open are closed where the deeper lines end."""

from __future__ import annotations

import pytest

from coderls.document import Document
from coderls.repair.open_brackets import open_lines
from coderls.repair.syntax_slips import Progress, mend_syntax
from coderls.repo_context.parse import parse_file

#: Each file without what $0...$0 marks is broken, and is whole with it.
PYTHON = (
    "def f():\n    total = compute(\n        a,\n        b\n$0    )\n$0    print(total)\n    return total\n",
    "x = foo(1,\n        bar(2),\n        3$0)$0\ny = 2\n",
    "items = [\n    foo(\n        1,\n        2\n$0    ),\n$0    bar(3),\n]\n",
    "r = s.get(\n    url,  # where\n    timeout=3,\n$0)\n$0\nif r.ok:\n    pass\n",
    "foo({\n    'a': 1,\n}$0)$0\nbar()\n",
    "def f(\n    a,\n    b,\n$0):\n$0    return a\n",
    "def f(\n    a,\n    b$0)$0:\n    return a\n",
    "if (a\n        and b$0):$0  # both\n    run()\n",
    "x = max(\r\n    1,\r\n    2\r\n$0)\r\n$0y = 1\r\n",
    "a = f(\n    1,\n$0)\n$0b = g(\n    2,\n$0)\n$0c = 3\n",
    "data = {\n    'a': [\n        1,\n        2,\n$0    ],\n$0    'b': 3,\n}\n",
)
OTHERS = (
    ("typescript", "const x = compute(\n  a,\n  b\n$0);\n$0const y = 2;\n"),
    ("typescript", "const x = compute(\n  a,\n  b\n$0)\n$0const y = 2\n"),
    ("javascript", "foo(() => {\n  bar();\n}$0);$0\nbaz();\n"),
    ("typescript", "const xs = [\n  f(\n    1,\n    2\n$0  ),\n$0  g(3),\n];\n"),
    ("go", "package a\n\nfunc f() {\n\tx := g(\n\t\t1,\n\t\t2,\n$0\t)\n$0\tprintln(x)\n}\n"),
    ("c", "int f(void) {\n  int x = g(1,\n            2$0)$0;\n  return x;\n}\n"),
    ("rust", 'fn main() {\n    let x = foo(\n        1,\n        2,\n$0    );\n$0    println!("{}", x);\n}\n'),
    ("java", "class A {\n  int f() {\n    int x = g(\n        1,\n        2\n$0    );\n$0    return x;\n  }\n}\n"),
)


@pytest.mark.parametrize(("language_id", "marked"), [*(("python", one) for one in PYTHON), *OTHERS])
def test_they_end_with_the_lines_that_are_deeper(language_id: str, marked: str) -> None:
    pieces = marked.split("$0")
    broken, whole = "".join(pieces[::2]), "".join(pieces)
    found = mend_syntax(Document("file:///a", language_id, 1, broken), parse_file)
    assert [one.text for one in found] == [whole]


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("def f(a, b:\n    return a\n    return b\n", "def f(a, b):\n    return a\n    return b\n"),
        ("for i in range(10\n    print(i)\n    stop(i)\n", "for i in range(10):\n    print(i)\n    stop(i)\n"),
        ("with open(p as f:\n    g(f)\n", "with open(p) as f:\n    g(f)\n"),
    ],
)
def test_the_body_of_a_header_is_not_what_stands_in_its_brackets(broken: str, mended: str) -> None:
    assert mended in [one.text for one in mend_syntax(Document("file:///a", "python", 1, broken), parse_file)]


@pytest.mark.parametrize(
    ("text", "language_id", "lines"),
    [
        ("f(\n g(\n  1),\n 2", "python", [0]),
        ("f(\n g([\n  1", "python", [1, 0]),
        ('s = """(\n(\n"""\nf(', "python", [3]),
        ("s = '('\n# (\nf(1)", "python", []),
        ("void f() {\n  g(\n    1;\n}", "c", [1]),
        ("}\n)\nf(", "c", [2]),
    ],
)
def test_which_lines_leave_a_bracket_open(text: str, language_id: str, lines: list[int]) -> None:
    assert open_lines(text.split("\n"), 99, language_id) == lines


def test_no_search_goes_on_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def judge(_text: str) -> Progress | None:
        now[0] += 0.1
        return True, 1, 0

    monkeypatch.setattr("coderls.repair.syntax_slips.time.monotonic", lambda: now[0])
    monkeypatch.setattr("coderls.repair.syntax_slips._python_progress", judge)
    classes = "".join(f"class A{number}(\n" + "    x = 1\n    y = 2\n" * 25 for number in range(6))
    assert mend_syntax(Document("file:///a", "python", 1, classes), parse_file) == []
    assert now[0] < 3.0
