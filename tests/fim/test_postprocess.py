from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coderls.fim.postprocess import Insertion, Unfit, fitted, line_end, postprocess
from coderls.fim.stopping import gap_at
from tests.marked_text import at_cursor


def check(marked: str, said: str, language: str = "python") -> str | None:
    """The document with the completion in it, between `«` and `»`; None for no completion."""
    document, offset = at_cursor(marked, language)
    made = postprocess(said, document, offset, gap_at(document, offset))
    if made is None:
        return None
    assert made.start <= offset <= made.end
    return f"{document.text[: made.start]}«{made.text}»{document.text[made.end :]}"


@pytest.mark.parametrize(
    ("marked", "said", "expected"),
    [
        # Brackets and quotes that the editor closed already.
        ("foo($0)", "a, b)", "foo(«a, b»)"),
        ("foo($0)", "bar(1)", "foo(«bar(1)»)"),
        ("foo($0)", "bar(1))", "foo(«bar(1)»)"),
        ("foo($0)", "a).bar()", "foo(«a).bar(»)"),
        ('print("$0")', 'hello")', 'print("«hello»")'),
        ('print("$0")', 'hi {}".format(x))', 'print("«hi {}".format(x))»'),
        ("x = [$0]", "1, 2]", "x = [«1, 2»]"),
        ("f(a[$0])", "0]", "f(a[«0»])"),
        ("f(a[$0])", "0])", "f(a[«0»])"),
        # Words that stand there already.
        ("if $0:\n", "x == 1:", "if «x == 1»:\n"),
        ("return $0 + 1", "x + 1", "return «x» + 1"),
        ("x = $0 or default", "given or default", "x = «given» or default"),
        ("from $0 import y", "a.b import y", "from «a.b» import y"),
        # Nothing in common.
        ("x = $0\n", "foo(1)", "x = «foo(1)»\n"),
        ("f($0self)", "a, ", "f(«a, »self)"),
        ("f($0, b)", "a ", "f(«a », b)"),
        ("a $0 b", "+ ", "a «+» b"),
    ],
)
def test_the_rest_of_the_line(marked: str, said: str, expected: str) -> None:
    assert check(marked, said) == expected


@pytest.mark.parametrize(
    ("marked", "said", "expected"),
    [
        ("if x:\n    $0\nprint(1)\n", "foo()\nprint(1)", "if x:\n    «foo()»\nprint(1)\n"),
        ("{\n  $0\n}\n", "a;\n}", "{\n  «a;»\n}\n"),
        ("f(\n    $0\n)\nx\n", "a,\n    b,\n)", "f(\n    «a,\n    b,»\n)\nx\n"),
        ("$0\n    pass\n", "if a:\n    pass", "«if a:»\n    pass\n"),
    ],
)
def test_lines_below_are_not_said_twice(marked: str, said: str, expected: str) -> None:
    assert check(marked, said) == expected


@pytest.mark.parametrize("marked", ["x = 1\n$0\ny = 2\n", "y = 2\n$0\nx\n", "x\n$0\n\n\ny = 2\n"])
def test_the_line_above_or_below_again_is_nothing(marked: str) -> None:
    assert check(marked, "y = 2") is None


def test_loops_are_cut() -> None:
    assert check("$0", "a = 1\nb = 2\na = 1\nb = 2\na = 1") == "«a = 1\nb = 2»"
    assert check("$0", "foo()\nfoo()\nfoo()") == "«foo()»"


@pytest.mark.parametrize("said", ["", " ", "\n", "\n\n  \n", "#", "# ", '"""'])
def test_nothing_of_worth(said: str) -> None:
    assert check("x = 1\n    $0\n", said) is None


def test_blanks_at_the_end_go() -> None:
    assert check("x = $0\n", "foo()   ") == "x = «foo()»\n"


def test_an_empty_line_is_filled_itself() -> None:
    assert check("if x:\n    $0\n", "\n    foo()") == "if x:\n    «foo()»\n"
    assert check("if x:\n    $0\n", "\nfoo()") is None


def test_tabs_in_a_file_of_tabs() -> None:
    marked = "def f():\n\tx = 1\n\ty = 2\n\t$0\n"
    assert check(marked, "if x:\n        return y") == "def f():\n\tx = 1\n\ty = 2\n\t«if x:\n\t\treturn y»\n"


def test_spaces_in_a_file_of_spaces() -> None:
    marked = "def f():\n  x = 1\n  y = 2\n  $0\n"
    assert check(marked, "if x:\n\t\treturn y") == "def f():\n  x = 1\n  y = 2\n  «if x:\n    return y»\n"


def test_line_ends_of_the_file() -> None:
    assert check("x = 1\r\nif x:\r\n    $0\r\n", "a = 1\n    b = 2") == "x = 1\r\nif x:\r\n    «a = 1\r\n    b = 2»\r\n"


@pytest.mark.parametrize(
    ("marked", "end"), [("a\r\n$0", "\r\n"), ("a\n$0", "\n"), ("a\r$0", "\r"), ("$0a\r\nb\n", "\r\n"), ("$0", "\n")]
)
def test_the_nearest_line_end(marked: str, end: str) -> None:
    assert line_end(*at_cursor(marked)) == end


def test_braces_are_opened_up() -> None:
    made = check("  if (x) {$0}\n", "\n    return 1;", "javascript")
    assert made == "  if (x) {«\n    return 1;\n  »}\n"


def test_other_scripts() -> None:
    assert check('😀 = "$0"\n', '日本"', "plaintext") == '😀 = "«日本»"\n'


def test_a_very_long_line() -> None:
    made = check("x" * 20_000 + "($0)" + "y" * 20_000, "a)")
    assert made is not None
    assert "«a»" in made


WORDS = st.text(alphabet="ab (),:\n\t\"'=😀", max_size=40)


@given(WORDS, WORDS, WORDS, st.sampled_from(["python", "javascript", "plaintext"]))
def test_the_text_around_the_cursor_stays(before: str, after: str, said: str, language: str) -> None:
    document, offset = at_cursor(f"{before}$0{after}", language)
    gap = gap_at(document, offset)
    made = postprocess(said, document, offset, gap)
    assume(made is not None)
    assert made is not None
    assert (made.start, made.text.strip() != "") == (offset, True)
    replaced = document.text[offset : made.end]
    assert gap.line_after.startswith(replaced)
    letters = iter(made.text)
    assert all(char in letters for char in replaced if not char.isspace())  # nothing of the user's is lost


@given(st.text(alphabet="abc(1)=. ", min_size=1, max_size=20), st.text(alphabet="abc(1)=.", min_size=4, max_size=20))
def test_what_stands_below_is_never_said_again(line: str, below: str) -> None:
    document, offset = at_cursor(f"x\n$0\n{below}\n")
    made = postprocess(f"{line}\n{below}", document, offset, gap_at(document, offset))
    assert made is None or made.text.split("\n")[-1].strip() != below or "\n" not in made.text


@pytest.mark.parametrize(
    ("marked", "said", "expected"),
    [
        (
            "class A\n{\n\n  $0\n  int b;\n}\n",
            "    /**\n   * One.\n   */",
            "class A\n{\n\n  «/**\n   * One.\n   */»\n  int b;\n}\n",
        ),
        ("x {\n  a;\n  $0\n}\n", "  b;", "x {\n  a;\n  «b;»\n}\n"),
        ("x {\n  a;\n  $0\n}\n", "  b {\n      c;\n    }", "x {\n  a;\n  «b {\n    c;\n  }»\n}\n"),
        ("x {\n    a;\n  $0\n}\n", "  b;", "x {\n    a;\n  «  b;»\n}\n"),  # not yet as deep as its neighbour
        ("  x {\n  $0\n  }\n", "  b;", "  x {\n  «  b;»\n  }\n"),  # not yet in the block
        ("x {\n$0\n}\n", "  b;", "x {\n«  b;»\n}\n"),
    ],
)
def test_indentation_that_stands_there_is_not_said_again(marked: str, said: str, expected: str) -> None:
    assert check(marked, said, "java") == expected


def test_a_backslash_at_the_end_takes_no_line_in() -> None:
    assert check("#if A\n$0\n#endif\n", "#define B(x) \\", "c") == "#if A\n«#define B(x)»\n#endif\n"
    macro = "#define A(x) \\\n  $0\n  c(x)\n"
    assert check(macro, "b(x); \\", "c") == macro.replace("$0", "«b(x); \\»")


@pytest.mark.parametrize(
    ("marked", "said", "why"),
    [
        ("x = $0\n", "  \n", Unfit.EMPTY),
        ("x = $0\n", "#", Unfit.EMPTY),
        ("def f():\n    $0\n", "\nprint(1)", Unfit.LESS_DEEP),
        ("if x:\n    $0\n    foo(1)\n", "\n    foo(1)", Unfit.NEIGHBOUR),
        ("x = 1$0\nfoo(1)\nbar\n", "\nfoo(1)", Unfit.BELOW),
        ("print(1)\n$0\n", "print(1)", Unfit.NEIGHBOUR),
        ("print(x$0)\n", ")", Unfit.AFTER),
        ("    return $0value * 2\n", "value + 10000", Unfit.ONE_WORD),
    ],
)
def test_the_reason_why_nothing_can_stand_there_is_told(marked: str, said: str, why: Unfit) -> None:
    document, offset = at_cursor(marked)
    assert fitted(said, document, offset, gap_at(document, offset)) is why


def test_what_can_stand_there_has_no_reason() -> None:
    document, offset = at_cursor("x = $0\n")
    assert fitted("value + 10000", document, offset, gap_at(document, offset)) == Insertion("value + 10000", 4, 4)
