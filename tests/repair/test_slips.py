"""What people get wrong most, mended without a model."""

from __future__ import annotations

import pytest

from coderls.document import Document
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.slips import ALMOST, mend_names, nearness, word_at
from coderls.repair.syntax_slips import mend_syntax
from coderls.repo_context.parse import parse_file


def python(text: str, language_id: str = "python") -> Document:
    return Document("file:///a", language_id, 1, text)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("def f(a)\n    return a\n", "def f(a):\n    return a\n"),
        ("class A\n    x = 1\n", "class A:\n    x = 1\n"),
        ("if a = b:\n    c()\n", "if a == b:\n    c()\n"),
        ("x = foo(1, [2, 3]\ny = 1\n", "x = foo(1, [2, 3])\ny = 1\n"),
        ("for j in range(i + 1, n)):\n    pass\n", "for j in range(i + 1, n):\n    pass\n"),
        ("x = [1, 2)\n", "x = [1, 2]\n"),
        ("x = 'abc\ny = 1\n", "x = 'abc'\ny = 1\n"),
        ('x = a.split(",)\n', 'x = a.split(",")\n'),
        ("if a:\nb()\n", "if a:\n    b()\n"),
        ("def f():\n    a = 1\n      b = 2\n    return a\n", "def f():\n    a = 1\n    b = 2\n    return a\n"),
        ("if a:\n    b()\nelse if c:\n    d()\n", "if a:\n    b()\nelif c:\n    d()\n"),
        ("if a && b:\n    c()\n", "if a and b:\n    c()\n"),
        ("i = 0\ni++\n", "i = 0\ni += 1\n"),
        ("x = 1 // 2\n// a note of mine\n", "x = 1 // 2\n# a note of mine\n"),
        ("def f(a, b\n    return a[0\n", "def f(a, b):\n    return a[0]\n"),
        ("if a:\r\nb()\r\n", "if a:\r\n    b()\r\n"),
        ('print "a", b\n', 'print("a", b)\n'),
        ("try:\n    a()\nexcept ValueError, e:\n    b()\n", "try:\n    a()\nexcept ValueError as e:\n    b()\n"),
        ("raise ValueError, 'no'\n", "raise ValueError('no')\n"),
        ("whlie a:\n    b()\n", "while a:\n    b()\n"),
        ("def f():\n    retrun 1\n", "def f():\n    return 1\n"),
        ("form a import b\n", "from a import b\n"),
        ("for i range(3):\n    a()\n", "for i in range(3):\n    a()\n"),
        ("a = [1, 2 3]\n", "a = [1, 2, 3]\n"),
        ("a = {'b' = 1}\n", "a = {'b': 1}\n"),
        ("f(a: 1)\n", "f(a=1)\n"),
        ('def f():\n    """Adds."\n    return 1\n', 'def f():\n    """Adds."""\n    return 1\n'),
        ("def f():\n    var n;\n    n = 1\n", "def f():\n    n = None\n    n = 1\n"),
        ("function f(a):\n    return a\n", "def f(a):\n    return a\n"),
    ],
)
def test_syntax(broken: str, mended: str) -> None:
    assert mended in [one.text for one in mend_syntax(python(broken), parse_file)]


def test_a_title_says_all_that_was_done() -> None:
    titles = [one.title for one in mend_syntax(python("x = (1,\n  'abc\n"), parse_file)]
    assert "Add ')'; add \"'\"; take away \"'abc'\"" in titles


def test_nothing_is_done_to_what_parses_and_nothing_invented_for_what_is_hopeless() -> None:
    assert mend_syntax(python("x = 1\n"), parse_file) == []
    assert mend_syntax(python("?? $$ !!\n" * 400), parse_file) == []
    assert mend_syntax(python("x = (\n" + "y = 1\n" * 50_000), parse_file) == []


def test_where_more_is_wrong_than_can_be_mended_at_once_the_first_is() -> None:
    broken = "def f(a)\n    return a\n" + "\n".join("x = ((1)\ny = ?\nz = $$ ))" for _ in range(3)) + "\n"
    found = mend_syntax(python(broken), parse_file)
    assert found
    assert all(one.text.startswith("def f(a):\n    return a\n") for one in found)


@pytest.mark.parametrize(
    ("language_id", "broken", "mended"),
    [
        ("javascript", "function f(a {\n  return a\n}\n", "function f(a) {\n  return a\n}\n"),
        ("go", "package a\n\nfunc f() int {\n\treturn g(1\n}\n", "package a\n\nfunc f() int {\n\treturn g(1)\n}\n"),
        ("c", "int f(void) {\n  int a = 1\n  return a;\n}\n", "int f(void) {\n  int a = 1;\n  return a;\n}\n"),
    ],
)
def test_syntax_of_other_languages(language_id: str, broken: str, mended: str) -> None:
    text = broken.replace("\r\n", "\n")
    line = next(n for n, (a, b) in enumerate(zip(text.split("\n"), mended.split("\n"), strict=False)) if a != b)
    found = mend_syntax(python(broken, language_id), parse_file, near=line)
    assert mended in [one.text for one in found]


@pytest.mark.parametrize(
    ("language_id", "broken", "mended"),
    [
        ("typescript", "const a = 1;\n\n\nif (a > 1 {\n  g(a);\n}\n", "const a = 1;\n\n\nif (a > 1) {\n  g(a);\n}\n"),
        ("typescript", "a;\nb;\nconst x = [1, 2;\nf(x);\n", "a;\nb;\nconst x = [1, 2];\nf(x);\n"),
        ("go", 'package a\n\nfunc f() {\n\tg("a", x\n\tg(2)\n}\n', 'package a\n\nfunc f() {\n\tg("a", x)\n\tg(2)\n}\n'),
        ("go", "package a\n\nfunc f() {\n\tx := []int{1, 2\n\t_ = x\n}\n",
         "package a\n\nfunc f() {\n\tx := []int{1, 2}\n\t_ = x\n}\n"),
    ],
)  # fmt: skip
def test_the_tree_tells_where_to_look(language_id: str, broken: str, mended: str) -> None:
    assert mend_syntax(python(broken, language_id), parse_file)[0].text == mended


def names(marked: str, message: str = "", language_id: str = "python") -> list[str]:
    """The texts that come of a complaint about the part between the two `$0`."""
    before, word, after = marked.split("$0")
    document = python(before + word + after, language_id)
    complaint = Diagnostic(len(before), len(before) + len(word), message or f'"{word}" is not defined', rule="F821")
    found = [one for sure in (True, False) for one in mend_names(document, complaint, sure=sure)]
    return [one.text for one in found]


@pytest.mark.parametrize(
    ("marked", "mended"),
    [
        ("total = 1\nprint($0totl$0)\n", "total = 1\nprint(total)\n"),
        ("def f(nums):\n    return sorted($0no_nums$0)\n", "def f(nums):\n    return sorted(nums)\n"),
        ("def f(a: $0undefinedList$0) -> List: ...\n", "def f(a: List) -> List: ...\n"),
        ("class A:\n    def g(self): ...\n    def f(self):\n        $0g$0()\n",
         "class A:\n    def g(self): ...\n    def f(self):\n        self.g()\n"),
        ("def f(self, a):\n    return self.$0min$0(a)\n", "def f(self, a):\n    return min(a)\n"),
        ("x = []\nx.$0add$0(1)\ny = []\ny.append(2)\n", "x = []\nx.append(1)\ny = []\ny.append(2)\n"),
        ("a = node.next\nb = node.$0getNext$0()\n", "a = node.next\nb = node.next\n"),
        ("print($0math$0.pi)\n", "import math\n\nprint(math.pi)\n"),
        ('"""Docs."""\nimport os\n\nx: $0Optional$0 = os\n',
         '"""Docs."""\nimport os\nfrom typing import Optional\n\nx: Optional = os\n'),
    ],
)  # fmt: skip
def test_names(marked: str, mended: str) -> None:
    assert mended in names(marked)


def sure(marked: str, message: str = "", language_id: str = "python") -> list[str]:
    """As `names`, but those only that something speaks for."""
    before, word, after = marked.split("$0")
    complaint = Diagnostic(len(before), len(before) + len(word), message or f"Undefined name `{word}`")
    return [one.text for one in mend_names(python(before + word + after, language_id), complaint, sure=True)]


@pytest.mark.parametrize(
    ("marked", "only"),
    [
        ("import jsn\n$0json$0.load(f)\n", "import json\n\nimport jsn\njson.load(f)\n"),
        ("def f(counter):\n    return $0Counter$0(counter)\n",
         "from collections import Counter\n\n\ndef f(counter):\n    return Counter(counter)\n"),
        ("x = [$0item$0.name for itm in a]\nclass Item: ...\n", "x = [itm.name for itm in a]\nclass Item: ...\n"),
        ("vlaue = 1\nprint($0value$0)\n", "vlaue = 1\nprint(vlaue)\n"),
        ("class A:\n    def g(self):\n        self.$0conect$0()\n    def connect(self): ...\n",
         "class A:\n    def g(self):\n        self.connect()\n    def connect(self): ...\n"),
    ],
)  # fmt: skip
def test_what_speaks_for_a_name(marked: str, only: str) -> None:
    assert sure(marked)[:1] == [only]
    assert not only.startswith(("import", "from")) or len(sure(marked)) == 1


def test_a_module_without_the_member_is_not_meant() -> None:
    assert "def f(tokens):\n    return tokens.nowhere\n" in sure("def f(tokens):\n    return $0token$0.nowhere\n")


def test_a_type_that_a_checker_expected_is_no_name_for_the_value() -> None:
    text = "def size() -> float:\n    return $0load_count$0(8)\n"
    assert sure(text, 'Incompatible return value type (got "str", expected "float")') == []


def test_a_class_is_not_meant_by_the_name_of_a_value() -> None:
    assert sure("class Item: ...\nprint($0item$0)\n") == []


def test_what_is_used_more_often_is_spelled_right() -> None:
    unused = "Local variable is assigned to but never used"
    assert sure("with f as $0handle$0:\n    g(handel)\nwith g as handle:\n    h(handle)\n", unused) == []
    told = sure("import $0jsn$0\nprint(json)\njson\n", "`jsn` imported but unused")
    assert "import json\nprint(json)\njson\n" in told


def test_what_go_has_instead() -> None:
    message = "undefined: strings.toUpper (but have ToUpper)"
    assert sure("x := strings.$0toUpper$0(s)\n", message, "go") == ["x := strings.ToUpper(s)\n"]


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("nmae", "name", True),
        ("hte", "the", True),
        ("Item", "item", False),
        ("toUppercase", "toUpperCase", True),
        ("ab", "ba", False),
        ("total", "count", False),
        ("cuont", "count", True),
    ],
)
def test_how_near_names_are(one: str, other: str, near: bool) -> None:
    assert (nearness(one, other) >= ALMOST) is near


def test_a_suggestion_of_the_checker_comes_first() -> None:
    text = "colour = 1\ncolor = 2\nprint($0colr$0)\n"
    assert names(text, '"colr" is not defined. Did you mean "colour"?')[0] == "colour = 1\ncolor = 2\nprint(colour)\n"


def test_guesses_are_told_apart_from_what_is_almost_the_same() -> None:
    document = python("def f(total, count):\n    return totl / element\n")
    places = [Diagnostic(document.text.index(word), document.text.index(word) + 4, "?") for word in ("totl", "element")]
    sure, none = (mend_names(document, place, sure=True) for place in places)
    assert [one.title for one in sure] == ["Change 'totl' to 'total'"]
    assert none == []
    assert "Change 'element' to 'count'" in [one.title for one in mend_names(document, places[1], sure=False)]


def test_a_suggestion_need_not_be_in_the_file() -> None:
    text = "from util import Acount, area\n"
    said = 'Module "util" has no attribute "Acount"; maybe "Account"?'
    found = mend_names(python(text), Diagnostic(0, len(text), said), sure=True)
    assert [one.text for one in found] == ["from util import Account, area\n"]


def test_this_in_javascript() -> None:
    marked = "class A {\n  f() { this.size = 1 }\n  g() { return $0size$0 }\n}\n"
    assert marked.replace("$0size$0", "this.size") in names(marked, "Cannot find name 'size'.", "javascript")


@pytest.mark.parametrize(("start", "end", "word"), [(4, 4, "foo"), (4, 7, "foo"), (0, 100, "foo"), (900, 900, None)])
def test_the_word_that_is_meant(start: int, end: int, word: str | None) -> None:
    document = python("x = foo + bar\n")
    place = word_at(document, Diagnostic(start, end, "name 'foo' is not defined"))
    assert (document.text[slice(*place)] if place else None) == word
