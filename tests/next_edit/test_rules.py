"""Which edit follows from the last ones."""

from __future__ import annotations

import pytest

from coderls.document import Document
from coderls.fim.inside import inside
from coderls.next_edit import rules
from tests.next_edit.edited import Edited, followed, offered


def unchanged(marked: str, language_id: str = "python") -> bool:
    return offered(marked, language_id) is None


# A name that became another.


def test_a_parameter_that_is_renamed_is_renamed_in_its_function() -> None:
    marked = """
def first(«count→total»):
    print("count", count)  # count
    return count + 1

def second(count):
    return count
"""
    assert (
        followed(marked)
        == """
def first(total):
    print("count", total)  # count
    return total + 1

def second(count):
    return count
"""
    )


def test_a_use_that_is_renamed_renames_the_rest_and_the_binding() -> None:
    marked = """
def f(items):
    count = 0
    for item in items:
        «count→total» += item
    return count
"""
    assert followed(marked).count("total") == 3
    assert "count" not in followed(marked)


def test_the_nearest_place_comes_first_and_then_onward() -> None:
    marked = (
        "import bb\n\n\ndef f():\n    «bb→cc»(1)\n    bb(2)\n    x = 3\n    x = 4\n    x = 5\n    x = 6\n    bb(7)\n"
    )
    assert Edited.of(marked).follow() == [6, 1, 11]


@pytest.mark.parametrize(
    ("language", "marked", "after"),
    [
        (
            "typescript",
            "function f(«a1→b1»: number) {\n  const g = (a1: string) => a1;\n"
            "  return { a1: a1, x: `${a1}` };\n}\nlet a1 = 2;\n",
            "function f(b1: number) {\n  const g = (a1: string) => a1;\n"
            "  return { a1: b1, x: `${b1}` };\n}\nlet a1 = 2;\n",
        ),
        (
            "go",
            "package p\n\nfunc f(n int) int {\n\t«sum→total» := 0\n\tfor i := 0; i < n; i++ {\n"
            "\t\tsum += i\n\t}\n\treturn sum\n}\n"
            "\nfunc g(sum int) int { return sum }\n",
            "package p\n\nfunc f(n int) int {\n\ttotal := 0\n\tfor i := 0; i < n; i++ {\n"
            "\t\ttotal += i\n\t}\n\treturn total\n}\n"
            "\nfunc g(sum int) int { return sum }\n",
        ),
        (
            "rust",
            "fn f(«xs→items»: &[i32]) -> i32 {\n    xs.iter().sum::<i32>() + xs.len() as i32\n"
            "}\nfn g(xs: i32) -> i32 { xs }\n",
            "fn f(items: &[i32]) -> i32 {\n    items.iter().sum::<i32>() + items.len() as i32\n"
            "}\nfn g(xs: i32) -> i32 { xs }\n",
        ),
        (
            "java",
            "class A {\n  int f(int «low→start») {\n    return low + 1;\n  }\n  int g(int low) { return low; }\n}\n",
            "class A {\n  int f(int start) {\n    return start + 1;\n  }\n  int g(int low) { return low; }\n}\n",
        ),
        (
            "c",
            'int f(int «low→start») {\n  printf("low %d", low);\n  return low;\n}\nint g(int low) { return low; }\n',
            'int f(int start) {\n  printf("low %d", start);\n  return start;\n}\nint g(int low) { return low; }\n',
        ),
    ],
)
def test_scopes_of_other_languages(language: str, marked: str, after: str) -> None:
    assert followed(marked, language) == after


def test_a_member_of_self_is_renamed_in_its_class_only() -> None:
    marked = """
class A:
    def __init__(self, other):
        self.«size→length» = 1
        size = other.size
        self.area = self.size * size

    def grow(self):
        self.size += 1

class B:
    def grow(self):
        self.size += 1
"""
    after = followed(marked)
    assert after.count("self.length") == 3
    assert "size = other.size" in after
    assert after.endswith("class B:\n    def grow(self):\n        self.size += 1\n")


def test_a_member_that_is_assigned_in_a_row_of_names() -> None:
    marked = "class A:\n    def f(self):\n        self.a1, self.b1 = 1, 2\n        return self.«b1→last»\n"
    assert followed(marked).count("self.last") == 2


def test_a_method_and_its_calls() -> None:
    marked = """
class A:
    def «load→read»(self):
        return self.load and load

def load():
    return A().load()
"""
    assert (
        followed(marked)
        == """
class A:
    def read(self):
        return self.read and load

def load():
    return A().load()
"""
    )


def test_a_function_a_keyword_and_an_attribute_of_the_same_name() -> None:
    marked = """
def «limit→bound»(x):
    return x

print(limit(1), f(limit=2), x.limit, f"{limit(3)}")
"""
    assert followed(marked).endswith('print(bound(1), f(limit=2), x.limit, f"{bound(3)}")\n')


def test_an_import_and_its_uses() -> None:
    assert followed("from m import «old→new»\n\n\ndef f():\n    return old(1)\n") == (
        "from m import new\n\n\ndef f():\n    return new(1)\n"
    )


def test_what_hides_a_name_is_left_alone() -> None:
    marked = (
        "«value→result» = 1\n\n\ndef f():\n    value = 2\n    return value\n\n\nprint(value, [value for value in ()])\n"
    )
    assert followed(marked).endswith("    value = 2\n    return value\n\n\nprint(result, [value for value in ()])\n")


def test_a_name_that_was_there_before_needs_a_second_time() -> None:
    once = "def f(left, right):\n    print(«left→right»)\n    print(left)\n    print(left)\n"
    assert unchanged(once)
    twice = "def f(left, right):\n    print(«left→right»)\n    print(«left→right»)\n    print(left)\n"
    assert offered(twice) is not None


def test_strings_and_comments_only_where_the_edit_was() -> None:
    assert unchanged('x = "«colour→color» of"\ny = "colour"\n')  # a word of prose needs a second time
    marked = 'x = "«colour→color»"\ny = "«colour→color»"\nz = "colour"\ncolour = 1  # colour\n'
    assert followed(marked).endswith('z = "color"\ncolour = 1  # colour\n')


def test_a_word_behind_which_more_was_typed() -> None:
    assert followed("def f(«count→total: int»):\n    return count\n").endswith("return total\n")
    assert unchanged("def f(count):\n    return «count→self.total» + count\n")
    assert unchanged("def f(count):\n    return «count→total()» + count\n")


@pytest.mark.parametrize(
    "marked",
    [
        "x = «one→None»\ny = one\n",  # no name
        "«if→while» x:\n    if y:\n        pass\n",
        "x = «→value»\ny = value\n",  # a new word is no replacement
        "x = «1→2»\ny = 1\nz = 1\n",
        "i = «a→b»\nj = a\n",  # a letter, and it may be anything's
        "i = «str→text_of»(1)\nj = str(2)\n",  # a builtin is no name of this file
        "x = []\nx.«append→add_all»(1)\nx.append(2)\n",  # nor is what an object can do
        "class A(B):\n    def f(self):\n        self.«run→start»()\n        self.run()\n",
        "x = «value→value»\nvalue\n",
    ],
)
def test_too_little_to_go_by(marked: str) -> None:
    assert unchanged(marked)


def test_letters_are_enough_where_their_scope_is_known() -> None:
    assert followed("def f(«a→b»):\n    return a\n\n\nprint(a)\n") == "def f(b):\n    return b\n\n\nprint(a)\n"


def test_a_second_time_says_more_than_where_a_name_is_from() -> None:
    marked = "x = []\nx.«append→add_all»(1)\nx.«append→add_all»(2)\nx.append(3)\ny.append(4)\n"
    assert followed(marked).endswith("x.add_all(3)\ny.append(4)\n")


# What is typed.


def test_nothing_while_the_cursor_is_in_the_word() -> None:
    made = Edited.of("def f(count):\n    return count\n")
    made.type(6, 11, "total")
    assert made.next() is None
    assert made.anyway() is not None  # a command was given, or the mode left
    made.offset = 12
    assert made.next() is not None


def test_a_word_that_is_gone_on_with_is_another_name() -> None:
    made = Edited.of("def f(count):\n    return count\n")
    made.type(11, 11, "er")
    made.offset = 0
    found = made.next()
    assert found is not None
    assert found.edit.new_text == "counter"
    made.type(13, 13, "s")
    made.offset = 0
    found = made.next()
    assert found is not None
    assert found.edit.new_text == "counters"


def test_what_is_undone_is_not_followed() -> None:
    made = Edited.of("def f(count):\n    return count\n")
    made.type(6, 11, "total")
    made.type(6, 11, "count")
    made.offset = 0
    assert made.next() is None


def test_it_is_gone_when_the_document_has_moved_on() -> None:
    made = Edited.of("def f(count):\n    return count\n\n\n«→a»\nb\nc\nd\ne\n")
    made.edit(6, 11, "total")
    made.offset = 0
    assert made.next() is not None
    for sign in "bcde":  # other changes at other places
        at = made.document.text.rindex(f"\n{sign}\n") + 1
        made.edit(at, at, "new")
    assert made.next() is None


# Everything else, the third time.


def test_an_operator_with_what_stands_behind_it() -> None:
    marked = "if a «==→is» None: pass\nif b «==→is» None: pass\nif c == None: pass\nif d == 1: pass\n"
    assert followed(marked).endswith("if c is None: pass\nif d == 1: pass\n")
    assert unchanged("if a «==→is» None: pass\nif c == None: pass\n")


def test_an_operator_alone_says_nothing() -> None:
    assert unchanged("x = a «==→!=» b\ny = c «==→!=» d\nz = e == f\n")


def test_an_argument_that_was_added_to_two_calls() -> None:
    marked = """
one = get(first«→, timeout=5»)
two = get(second(1)«→, timeout=5»)
three = get(third)
four = get(
    fourth, [")"])
five = get(fifth, timeout=3)
six = put(sixth)
"""
    after = followed(marked)
    assert 'three = get(third, timeout=5)\nfour = get(\n    fourth, [")"], timeout=5)\n' in after
    assert after.endswith("five = get(fifth, timeout=3)\nsix = put(sixth)\n")


def test_a_long_chain_of_names_is_read_once() -> None:
    chain = "a::" * 130_000  # hours, if each of its names were the beginning of a call
    marked = f"n::get(one«→, 5»);\nn::get(two(1)«→, 5»);\nn::get(three);\nget(four);\n{chain}\n"
    after = followed(marked, "cpp")
    assert after.startswith("n::get(one, 5);\nn::get(two(1), 5);\nn::get(three, 5);\nget(four);\n")


def test_a_longer_piece_that_was_replaced_twice() -> None:
    marked = "a = «os.path.join(x→Path(x»)\nb = «os.path.join(x→Path(x»)\nc = os.path.join(x)\nd = os.path.exists(x)\n"
    assert followed(marked).endswith("c = Path(x)\nd = os.path.exists(x)\n")


def test_nothing_that_does_not_parse() -> None:
    marked = "a = f«(→[»1]\nb = f«(→[»1]\nc = f(1)\nd = f(1]\n"
    assert "c = f(1)" in followed(marked)


def test_without_a_grammar_a_word_needs_two_times() -> None:
    assert unchanged("«alpha→beta» one\nalpha two\n", "plaintext")
    assert followed("«alpha→beta» one\n«alpha→beta» two\nalpha alphabet\n", "plaintext").endswith("beta alphabet\n")


def test_without_a_grammar_only_the_nearest_places_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(text: str, offset: int, language_id: str) -> str:
        asked.append(offset)
        return inside(text, offset, language_id)

    monkeypatch.setattr(rules, "inside", counted)
    made = Edited.of("alpha\n" * 1000 + "«alpha→beta»\n«alpha→beta»\n" + "alpha\n" * 1000 + "$0", "lua")
    found = made.next()
    assert found is not None
    assert len(asked) <= 2 * rules._BY_EYE
    assert found.more < rules._BY_EYE


def test_other_scripts_and_line_ends() -> None:
    assert followed("def f(«größe→breite»):\r\n    '😀'; return größe\r\n") == (
        "def f(breite):\r\n    '😀'; return breite\r\n"
    )


def test_a_long_text_has_no_history() -> None:
    made = Edited.of("x = 1\n")
    big = "y = 2\n" * 100_000
    made.history.changed(Document(made.document.uri, "python", 9, big))
    made.history.changed(Document(made.document.uri, "python", 10, big.replace("y", "z", 1)))
    assert made.history.changes() == ()
