from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from coderls.document import Document, Edit, Fault, ParsedFile
from coderls.fim import python_syntax
from coderls.fim.brackets import balance
from coderls.fim.postprocess import Insertion
from coderls.fim.syntax import allowed, clean, look_before
from coderls.repo_context.parse import parse_file
from tests.marked_text import at_cursor


def check(marked: str, text: str, language: str = "python", *, replaces: int = 0) -> str | None:
    """What is left of `text` at `$0`, where it replaces so many characters."""
    document, offset = at_cursor(marked, language)
    insertion = Insertion(text, offset, offset + replaces)
    kept = clean(insertion, look_before(document, offset, parse_file))
    return None if kept is None else kept.text


@pytest.mark.parametrize(
    ("marked", "text", "kept"),
    [
        ("x = $0\n", "foo(1)", "foo(1)"),
        ("x = $0\n", "foo(1) + (", "foo(1)"),
        ("x = 1\n$0\n", "y = 2 +", "y = 2"),
        ("x = 1\n$0\n", "if x:", None),
        ("if x:\n    y = 1\n    $0\nz = 1\n", "  k = 4", None),
        ("if x:\n    y = 1\n    $0\nz = 1\n", "k = 4\n   m = 5", "k = 4"),
        ("def f():\n    $0\n", "return 1\n  x = 2", "return 1"),
        ("x = [1, 2\n\ny = $0\n", "4", "4"),
        ("print('$0')\n", "it's", "it"),
        ("f(a=1, $0)\n", "b", None),
    ],
)
def test_python(marked: str, text: str, kept: str | None) -> None:
    assert check(marked, text) == kept


def test_python_indentation_counts_although_the_tree_does_not_notice() -> None:
    broken = "y = (1,\n\ndef g():\n    $0\n"  # so the file never parses, and its own parser cannot tell at first
    assert check(broken, "x = 1") == "x = 1"
    marked, text = "def g():\n    $0\n", "x = 1\n      y = 2"
    before, after = parse_file("python", marked.replace("$0", "")), parse_file("python", marked.replace("$0", text))
    assert before is not None
    assert after is not None
    assert after.faults() <= before.faults()
    assert check(marked, text) == "x = 1"


def test_a_fault_elsewhere_does_not_withhold() -> None:
    assert check("def f(:\n    pass\n\nx = $0\n", "foo(1)") == "foo(1)"


def test_escapes_in_a_users_file_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check("x = '\\d'\ny = $0\n", "1") == "1"


def test_a_long_python_file_is_judged_around_the_cursor() -> None:
    functions = "".join(f"@deco\ndef f{number}(x):\n    return x + {number}\n\n\n" for number in range(2000))
    document, offset = at_cursor(functions + "def g(x):\n    y = 1\n    $0\n\n\n" + functions)
    before = look_before(document, offset, parse_file)
    assert before.python is not None
    assert before.python.end - before.python.start < 200
    assert before.python.fault is None
    assert allowed(Insertion("return y", offset, offset), before)
    assert not allowed(Insertion("return (", offset, offset), before)
    assert not allowed(Insertion('"""', offset, offset), before)
    assert not allowed(Insertion("if y:", offset, offset), before)


def test_a_long_class_is_judged_by_its_methods() -> None:
    methods = "".join(f"    @deco\n    def f{number}(self):\n        return {number}\n\n" for number in range(300))
    head = 'class A:\n    """Doc.\n\n    More.\n    """\n'
    document, offset = at_cursor(f"{head}{methods}    def g(self):\n        $0\n\n{methods}")
    before = look_before(document, offset, parse_file)
    assert before.python is not None
    assert before.python.end - before.python.start < 200
    assert clean(Insertion("return 1", offset, offset), before) == Insertion("return 1", offset, offset)
    assert clean(Insertion("y = 1\n      return y", offset, offset), before) == Insertion("y = 1", offset, offset)
    whole = document.apply(Edit(offset, offset, "pass"))
    before = look_before(whole, offset + 4, parse_file)
    assert before.python is not None
    assert before.python.fault is None
    assert allowed(Insertion("\n        return 1", offset + 4, offset + 4), before)
    assert not allowed(Insertion("\ny = 2", offset + 4, offset + 4), before)  # it would end the class
    assert not allowed(Insertion("\n        if x:", offset + 4, offset + 4), before)


def test_a_long_string_from_the_first_column_is_no_trap() -> None:
    text = "x = '''\n" + "text here\n" * 2000 + "'''\ny = 1\n"
    offset = text.index("here", 8000)
    document = Document("file:///a.py", "python", 1, text)
    before = look_before(document, offset, parse_file)
    assert allowed(Insertion("any ( words ", offset, offset), before)
    assert not allowed(Insertion("''' (", offset, offset), before)


@pytest.mark.parametrize(
    ("language", "marked", "text", "kept"),
    [
        ("javascript", "const x = $0;\n", "foo(1)", "foo(1)"),
        ("javascript", "function f() {\n  $0\n}\n", "if (x) {\n    g();", None),
        ("javascript", "function f() {\n  $0\n}\n", "g();\n  if (x) {", "g();"),
        ("typescript", "const x: number = $0;\n", "1 as )", "1"),
        ("go", "package a\n\nfunc f() int {\n\t$0\n}\n", "return 1\n\tx := ", "return 1"),
        ("rust", "fn f() -> i32 {\n    $0\n}\n", "foo(1", None),
        ("c", "int f() {\n  $0\n}\n", "return 1;\n  x = ;", "return 1;"),
        ("java", "class A {\n  int f() {\n    $0\n  }\n}\n", "return 1;", "return 1;"),
        ("plaintext", "a ($0)\n", "b (c", "b"),
        ("lua", "f($0)\n", "g(1)", "g(1)"),
        ("lua", "f($0)\n", "g('a", "g"),
        ("lua", "f($0)\n", "'a", None),
    ],
)
def test_other_languages(language: str, marked: str, text: str, kept: str | None) -> None:
    found = check(marked, text, language)
    assert found == kept or (kept is None and found is not None and _no_more_faults(marked, found, language))


def _no_more_faults(marked: str, text: str, language: str) -> bool:
    before, after = parse_file(language, marked.replace("$0", "")), parse_file(language, marked.replace("$0", text))
    return before is not None and after is not None and after.faults() <= before.faults()


def test_a_replaced_rest_of_the_line_comes_back_when_the_text_is_cut() -> None:
    document, offset = at_cursor("print($0)\n")
    kept = clean(Insertion("a) + (", offset, offset + 1), look_before(document, offset, parse_file))
    assert kept == Insertion("a", offset, offset)


def test_the_tree_is_asked_only_a_few_times() -> None:
    asked = 0

    class Stubborn:
        def faults(self) -> int:
            return 0 if asked == 0 else 1

        def lapses_within(self, start: int, end: int) -> int:
            return 0

        def faults_within(self, start: int, end: int) -> int:
            return 0

        def fault_places(self) -> tuple[Fault, ...]:
            return ()

        def after(self, edit: object) -> ParsedFile:
            nonlocal asked
            asked += 1
            return self

    document, offset = at_cursor("x $0", "go")
    before = look_before(document, offset, lambda language, text: Stubborn())
    assert clean(Insertion("word " * 500, offset, offset), before) is None
    assert asked <= 25


@st.composite
def python_edits(draw: DrawFn) -> tuple[str, str]:
    lines = [
        "x = foo(1, 2)",
        "if x:\n    y = [1,\n         2]\nelse:\n    pass",
        "def f(a):\n    '''Doc.'''\n    return a",
    ]
    text = "\n".join(draw(st.lists(st.sampled_from(lines), min_size=1, max_size=4))) + "\n"
    offset = draw(st.integers(0, len(text)))
    return text[:offset] + "$0" + text[offset:], draw(st.text(alphabet="ab (),:=[]'\"\n    if", max_size=30))


def _parses(text: str) -> bool:
    try:
        compile(text, "a.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


@given(python_edits())
def test_what_parsed_still_parses(case: tuple[str, str]) -> None:
    marked, text = case
    kept = check(marked, text)
    if kept is not None:
        assert text.startswith(kept)
        assert _parses(marked.replace("$0", kept))


@given(st.text(alphabet="ab(){}[]'\n ", max_size=40), st.data(), st.text(alphabet="ab(){}[]'\n ", max_size=20))
def test_without_a_grammar_brackets_never_get_worse(text: str, data: st.DataObject, said: str) -> None:
    offset = data.draw(st.integers(0, len(text)))
    document = Document("file:///a.lua", "lua", 1, text)
    kept = clean(Insertion(said, offset, offset), look_before(document, offset, parse_file))
    if kept is not None:
        done = text[:offset] + kept.text + text[offset:]
        assert balance(done, "lua").faults <= balance(text, "lua").faults


def test_a_statement_of_megabytes_is_never_parsed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f'    "k{number}": {number},\n' for number in range(50_000))
    document, offset = at_cursor(f"X = {{\n{lines}$0{lines}}}\n")
    parsed: list[int] = []

    def seen(text: str, *arguments: Any, **named: Any) -> object:
        parsed.append(len(text))
        return compile(text, *arguments, **named)

    monkeypatch.setattr(python_syntax, "compile", seen, raising=False)
    before = look_before(document, offset, parse_file)
    assert clean(Insertion('    "more": 1,', offset, offset), before) == Insertion('    "more": 1,', offset, offset)
    assert clean(Insertion('    "more": (1,', offset, offset), before) != Insertion('    "more": (1,', offset, offset)
    assert max(parsed, default=0) <= 300_000


@pytest.mark.parametrize(
    ("language", "marked", "text", "kept"),
    [
        ("rust", "impl A {\n    fn f($0) -> &T {\n        1\n    }\n}\n", "self, _ref", "self"),
        ("rust", "fn f($0) {}\n", "a: fn(i32) -> i32, b: &str", "a: fn(i32) -> i32, b: &str"),
        ("typescript", "$0\nif (a) {\n}\n", "const b = (c: D)", "const b"),
        ("typescript", "$0\n", "const b = (c: D) => c;", "const b = (c: D) => c;"),
        ("java", "class A {\n  void f() {\n    $0\n  }\n}\n", "a + b;", None),
        ("java", "class A {\n  void f() {\n    $0\n  }\n}\n", "a = b; i++; g();", "a = b; i++; g();"),
        ("c", "int f(void) {\n  $0\n}\n", "int g(void) { return 1; }", None),
        ("cpp", "int f() {\n  $0\n}\n", "int g() { return 1; }", None),
        # A macro that is a loop has no type before it.
        ("cpp", "int f() {\n  $0\n}\n", "foreach (x, xs) { g(x); }", "foreach (x, xs) { g(x); }"),
        # A fault of the user's own, around the cursor, is none of the answer's.
        ("c", "int f(void) {\n  int g(void) { return $0 }\n}\n", "1;", "1;"),
        # Broken before, and at the cursor: what is put in may not have a fault of its own.
        ("java", "class A {\n  void f() {\n    (($0) b).g();\n  }\n}\n", "*c", None),
    ],
)
def test_what_only_the_grammar_lets_pass(language: str, marked: str, text: str, kept: str | None) -> None:
    assert check(marked, text, language) == kept


#: The grammar cannot know what this macro stands for, and there it stays.
MACRO = "static INLINE int one(int a) {\n  return a;\n}\n"


@pytest.mark.parametrize("above", ["", MACRO, MACRO * 4])
@pytest.mark.parametrize(
    ("marked", "text", "kept"),
    [
        # The list goes on below: what leaves it broken is cut to what mends it.
        ("$0\n    Node* nodes) {\n  f();\n}\n", "bool g(int a, int b, int", "bool g(int a, int b,"),
        ("int g(int a,\n    bool $0\n    int* b) {\n  f();\n}\n", "c, int* d, int* e) {\n  f();", "c, int* d,"),
        ("int g(int a) {\n  $0\n}\n", "return a;", "return a;"),
        ("int g(int a) {\n  $0\n}\n", "h(a));", None),
    ],
)
def test_what_is_broken_elsewhere_is_not_the_cursors_matter(
    above: str, marked: str, text: str, kept: str | None
) -> None:
    assert check(above + marked, text, "c") == kept


@pytest.mark.parametrize(
    ("language", "marked", "text", "kept"),
    [
        ("typescript", "f(() => {\n    $0\n});\n", "if (a) {", "if (a) {\n    }"),
        ("typescript", "a();\r\n$0\r\n", "it('b', () => {", "it('b', () => {\r\n});"),
        ("typescript", "$0\n  b();\n}\n", "if (a) {", "if (a) {"),
        ("typescript", "x = $0 + 1;\n", "f(() => {", "f"),
    ],
)
def test_a_block_that_nobody_closes_is_closed(language: str, marked: str, text: str, kept: str | None) -> None:
    assert check(marked, text, language) == kept
