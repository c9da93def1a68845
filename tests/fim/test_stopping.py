from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.fim.stopping import gap_at, opens_block, stop_at
from tests.marked_text import at_cursor


def check(marked: str, said: str, language: str = "python", multiline: str = "auto") -> str:
    """What is kept of `said`, streamed letter by letter to `$0`; the rest of it must not be needed."""
    document, offset = at_cursor(marked, language)
    gap = gap_at(document, offset, multiline)
    for size in range(1, len(said) + 1):
        end = stop_at(said[:size], gap)
        if end is not None:
            return said[:end]
    return said[: stop_at(said, gap, final=True)] + "…"  # only the end of the stream ended it


def test_a_line() -> None:
    assert check("x = $0\n", "foo(1)\ny = 2\n") == "foo(1)"


def test_the_middle_of_a_line_gets_its_rest() -> None:
    assert check("x = foo($0)\n", "a, b)\ny") == "a, b)"


def test_open_brackets_go_on() -> None:
    assert check("x = $0\n", "foo(\n    1,\n    2,\n)\ny = 2\n") == "foo(\n    1,\n    2,\n)"


def test_brackets_that_the_text_below_closes_do_not() -> None:
    assert check("x = {\n    'a': 1,\n    $0\n}\n", "'b': 2,\n    'c': 3,\n}\n") == "'b': 2,"


def test_a_line_that_opens_a_block_brings_it_along() -> None:
    said = "if self.x:\n            return 2\n        return 1\n"
    assert check("class A:\n    def f(self):\n        x\n        $0\n", said) == "if self.x:\n            return 2"


def test_a_header_above_its_block_is_a_line() -> None:
    assert check("if $0\n    pass\n", "x == 1:\n    foo()\n") == "x == 1:"


def test_an_empty_block_gets_a_block() -> None:
    said = "if x:\n        return 1\n    return 2\n\n\ndef h():\n    pass\n"
    assert check("def f(x):\n    $0\n\ndef g(): pass\n", said) == "if x:\n        return 1\n    return 2"


@pytest.mark.parametrize("docstring", ['"""Doc."""', '"""Doc.\n\n    More.\n    """', "'''Doc.\n    '''"])
def test_a_docstring_does_not_fill_a_block(docstring: str) -> None:
    marked = f"def f(x):\n    {docstring}\n    $0\n"
    assert check(marked, "y = x + 1\n    return y\n\ndef h():\n") == "y = x + 1\n    return y"


def test_a_header_gets_its_body() -> None:
    assert check("def f(x):$0\n", "\n    return x + 1\n\n\ndef h():\n") == "\n    return x + 1"


def test_a_block_that_is_there_is_not_written_again() -> None:
    assert check("def f(x):\n    $0\n    return x\n", "x += 1\n    return x\n") == "x += 1"


def test_a_try_brings_its_handler() -> None:
    said = "x = 1\nexcept ValueError:\n    pass\nfoo()\n"
    assert check("try:\n    $0\n", said) == "x = 1\nexcept ValueError:\n    pass"
    assert check("try:\n    $0\nexcept OSError:\n    pass\n", said) == "x = 1"


@pytest.mark.parametrize(
    ("language", "marked", "said", "kept"),
    [
        ("javascript", "function f(x) {\n  $0\n}\n", "return x + 1;\n}\n\nfunction g() {", "return x + 1;"),
        ("javascript", "function f(x) {$0\n", "\n  return x + 1;\n}\n\nfunction", "\n  return x + 1;\n}"),
        ("javascript", "function f(x) {$0}\n", "\n  return x + 1;\n}\n", "\n  return x + 1;"),
        ("typescript", "  $0\n", "if (x) {\n    foo();\n  }\n  bar();\n", "if (x) {\n    foo();\n  }"),
        ("typescript", "const x = a.map($0)\n", "(b) => {\n  return b;\n});\nf()", "(b) => {\n  return b;\n});"),
        ("go", "func f() {\n\tif err != nil {\n\t\t$0\n\t}\n}\n", "return err\n\t}\n\treturn nil\n", "return err"),
        ("rust", "fn main() {\n    let x = $0\n}\n", "foo(1);\n    let y", "foo(1);"),
        ("c", "  for (;;)$0\n", " {\n    s += i;\n  }\n  return s;\n", " {\n    s += i;\n  }"),
        ("plaintext", "The quick $0\n", "brown fox isn't\njumping", "brown fox isn't"),
        ("ruby", "def f\n  $0\nend\n", "x + 1\nend\n", "x + 1"),
    ],
)
def test_other_languages(language: str, marked: str, said: str, kept: str) -> None:
    assert check(marked, said, language) == kept


def test_multiline_never_and_always() -> None:
    assert check("def f(x):\n    $0\n", "y = 1\n    return y\nz", multiline="never") == "y = 1"
    assert check("a = 1\n$0", "b = 2\nc = 3\n\n\nd = 4", multiline="always") == "b = 2\nc = 3"


def test_going_round_in_circles_stops() -> None:
    assert check("def f():\n    $0\n", "foo()\n    foo()\n    foo()\n    foo()\n") == "foo()\n    foo()"


def test_going_round_in_a_line_stops() -> None:
    assert check("from a import $0\n", "Error, " * 30) == "Error, "
    assert check("x = $0\n", "[" + "None, " * 30) == "[None, "
    assert check("# $0\n", "-" * 60 + "\nx") == "-" * 60


def test_a_whole_line_is_followed_by_at_most_one() -> None:
    assert check("    x = 1$0\n", "\n    y = 2\n    z = 3\n") == "\n    y = 2"


def test_a_new_paragraph_is_none_of_this_cursors_business() -> None:
    assert check("x = 1$0\n", "\n\n\ndef f():\n    pass\n") == ""


def test_leaving_the_block_at_once_says_nothing() -> None:
    assert check("def f():$0\n", "\nx = 1\n").strip() == ""


def test_a_docstring_is_whole() -> None:
    said = '"""Return it.\n\n    Args:\n        x: y\n    """\n    return 1\n'
    assert check("def f():\n    a\n    $0\n", said) == '"""Return it.\n\n    Args:\n        x: y\n    """'


def test_the_end_of_the_stream_ends_everything() -> None:
    assert check("x = $0\n", "foo(") == "foo(…"
    assert check("x = $0\n", "") == "…"


@pytest.mark.parametrize(
    ("line", "language", "opens"),
    [
        ("if x:", "python", True),
        ("x = {", "python", True),
        ("a[1:", "python", True),
        ("# note:", "python", False),
        ("s = 'a:'", "python", False),
        ("case 1:", "c", False),
        ("if (x) {  // why", "c", True),
        ("x => ", "javascript", True),
        ("if x then", "lua", True),
        ("note then", "plaintext", False),
        ("key:", "yaml", True),
    ],
)
def test_what_opens_a_block(line: str, language: str, opens: bool) -> None:
    assert opens_block(line, language) is opens


TEXT = st.text(alphabet="ab =(){}:\n\t\"'", max_size=60)


@given(TEXT, TEXT, TEXT, st.sampled_from(["python", "c", "plaintext"]), st.sampled_from(["auto", "never", "always"]))
def test_any_answer_has_an_end(before: str, after: str, said: str, language: str, multiline: str) -> None:
    document, offset = at_cursor(f"{before}$0{after}", language)
    gap = gap_at(document, offset, multiline)
    ends = [stop_at(said[:size], gap) for size in range(len(said) + 1)]
    known = [end for end in ends if end is not None]
    assert not known or known[0] <= len(said)
    final = stop_at(said, gap, final=True)
    assert final is not None
    assert 0 <= final <= len(said)


def test_a_line_that_stands_below_ends_an_answer_that_keeps_a_bracket_open() -> None:
    document, offset = at_cursor("int main(int argc, cha$0\n  int a[] = {1, 2, 3};\n", "c")
    said = "r **argv) {\n  int a[] = {1, 2, 3};\n  printf(a);\n"
    assert said[: stop_at(said, gap_at(document, offset)) or 0] == "r **argv) {"
