"""What a weak checker lets pass is no proof."""

from __future__ import annotations

import pytest

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.doubts import (
    brings_unknown,
    ends_member_by_deletion,
    invents,
    may_be_meant,
    preferred,
    swaps_unknown,
    takes_away,
    unbalances,
)

AREA = "def area(w, h):\n    return w * h\n\n\ndef show(w, h):\n    print(compute_total(w, h))\n    return volume\n"


def change(text: str, old: str, new: str, logprob: float | None = None) -> Candidate:
    place = text.index(old)
    return Candidate(text, (Edit(place, place + len(old), new),), "infill", "t", logprob)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (AREA, "compute_total", "w"),
        (AREA, "compute_total", "area"),
        (AREA, "volume", "w"),
        (AREA, "volume", "w * h"),
        ("x = foo\n", "foo", "0"),
        ("x = foo.\n", "foo.", "0"),
        ("return a *\n", " *", " * b"),
        ("return a *\n", " *", ""),
        ("if a ==:\n", "==:", "== 1:"),
        ("if a ==:\n", "==:", "is None:"),
        ("x = a b\n", "a b", "a + b"),
        ("f(a)\n", "a)", "a, a)"),
    ],
)
def test_what_an_infill_invents_is_a_guess(text: str, old: str, new: str) -> None:
    assert invents(change(text, old, new))


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("return totl\n", "totl", "total"),
        ("x = f(a, [1, 2\n", "2\n", "2])\n"),
        ("if a\n", "if a", "if a:"),
        ("if a = b:\n", "=", "=="),
        ("size\n", "size", "self.size"),
        ("x = 'n ' + n\n", "+ n", "+ str(n)"),
        ("    total\n", "total", "return total"),
    ],
)
def test_what_only_completes_the_form_is_none(text: str, old: str, new: str) -> None:
    assert not invents(change(text, old, new))


@pytest.mark.parametrize(
    ("text", "old", "new", "gone"),
    [
        ('print "a"\n', 'print "a"', '"a"', True),
        ("return subtotal(order) + \n", " + \n", "\n", True),
        ("x = foo.\n", ".", "", True),
        ("if a ==:\n", " ==", "", True),
        ("x = 1 or\n", " or", "", True),
        ("self.items.\n", "items", "", True),
        ("return return x\n", "return return", "return", False),
        ("const x = 1\n", "const ", "", False),
        ("x = (1))\n", "))", ")", False),
        ("i++\n", "i++", "i += 1", False),
        ("x = a === b\n", "===", "==", False),
        ("x = 1 */\n", " */", "", False),
    ],
)
def test_what_was_begun_is_not_finished_by_taking_it_away(text: str, old: str, new: str, gone: bool) -> None:
    assert takes_away(change(text, old, new)) is gone


@pytest.mark.parametrize(
    ("new", "message", "swapped"),
    [
        ("area", "Undefined name `compute_total`", True),
        ("compute_totals", "Undefined name `compute_total`", False),
        ("area", "Argument of another type", False),
    ],
)
def test_an_answer_that_swaps_the_unknown_name(new: str, message: str, swapped: bool) -> None:
    document = Document("file:///a.py", "python", 1, AREA)
    at = AREA.index("compute_total")
    candidate = change(AREA, "compute_total", new)
    assert swaps_unknown(document, Diagnostic(at, at + 13, message), candidate) is swapped


def test_the_only_name_of_a_function_may_be_meant() -> None:
    text = "def f(count):\n    return qqq\n"
    at = text.index("qqq")
    one = Diagnostic(at, at + 3, "Undefined name `qqq`")
    assert not swaps_unknown(Document("file:///a.py", "python", 1, text), one, change(text, "qqq", "count"))
    assert swaps_unknown(Document("file:///a.py", "python", 1, text), one, change(text, "qqq", "0"))
    two = text.replace("(count)", "(count, size)")
    assert swaps_unknown(
        Document("file:///a.py", "python", 1, two), one.shifted([Edit(6, 6, " size,")]), change(two, "qqq", "count")
    )


def test_a_model_prefers_no_name_that_cannot_be_called() -> None:
    document = Document("file:///a.py", "python", 1, AREA)
    area, other = change(AREA, "compute_total", "area", -0.05), change(AREA, "compute_total", "w", -0.05)
    least = change(AREA, "compute_total", "show", -9.0)
    assert preferred(document, [area, least], [area]) == area.text
    assert preferred(document, [other, least], [other]) is None
    assert preferred(document, [area, least], [least, area]) is None
    assert preferred(document, [area, other], [area]) is None
    assert preferred(document, [area, least], []) is None


@pytest.mark.parametrize(
    ("text", "old", "new", "unknown", "meant"),
    [
        ("def f(x):\n    best = g(x)\n    return total\n", "best = g", "g", "total", True),
        ("def f(x):\n    best = g(x)\n\n\ndef h():\n    return total\n", "best = g", "g", "total", False),
        ("import numpy as pn\nnp.zeros(1)\n", "import numpy as pn\n", "", "np", True),
        ("import os\nprint(total)\n", "import os\n", "", "total", False),
        ("def f(x):\n    y = g(x)\n    return total\n", "y = g(x)", "y = g(x) + 1", "total", False),
    ],
)
def test_what_goes_away_may_be_what_another_complaint_misses(
    text: str, old: str, new: str, unknown: str, meant: bool
) -> None:
    document = Document("file:///a.py", "python", 1, text)
    at = text.index(unknown)
    others = [Diagnostic(at, at + len(unknown), f"Undefined name `{unknown}`"), Diagnostic(0, 1, "Missing docstring")]
    assert may_be_meant(document, change(text, old, new), others) is meant


@pytest.mark.parametrize(
    ("text", "old", "new", "worse"),
    [
        (".map((a) => a.b()\n.join(sep);\n", ".join(sep);", ".joinsep);", True),
        (".map((a) => a.b()\n.join(sep);\n", "b()", "b())", False),
        ("f(a));\n", "));", ");", False),
        ("f(\n  1\ng();\n", "1\n", "1\n);\n", False),
    ],
)
def test_a_line_that_was_whole_is_not_where_the_fault_is(text: str, old: str, new: str, worse: bool) -> None:
    assert unbalances(Document("file:///a.ts", "typescript", 1, text), change(text, old, new)) is worse


@pytest.mark.parametrize(
    ("text", "old", "new", "ends"),
    [
        ("self.items.\n", "items", "", True),
        ("self.items.\n", "items.", "items", True),
        ("f(a.b.)\n", ".)", ")", True),
        ("std::vector::\n", "::\n", "\n", True),
        ("x = 1.5 or\n", " or", "", False),
        ("self.items.\n", "items.", "items.x", False),
    ],
)
def test_a_member_that_is_still_to_come_is_not_ended_by_deletion(text: str, old: str, new: str, ends: bool) -> None:
    assert ends_member_by_deletion(change(text, old, new)) is ends


IMPORTS = 'from util import Acount, area\n\na = Account("bob")\n'
GONE = Diagnostic(0, 10, 'Module "util" has no attribute "Acount"; maybe "Account"?')
MISSING = Diagnostic(35, 42, 'Name "Account" is not defined; did you mean "Acount"?')
UNUSED = Diagnostic(17, 23, "`util.Acount` imported but unused")


@pytest.mark.parametrize(
    ("target", "old", "new", "brought"),
    [
        (GONE, "Acount,", "Account,", ""),
        (UNUSED, "Acount,", "Account,", "Account"),
        (MISSING, "Account(", "Acount(", "Acount"),
        (MISSING, "\n\na", "\nfrom bank import Account\n\na", ""),
    ],
)
def test_what_a_checker_says_is_missing_is_nobodys_other_name(
    target: Diagnostic, old: str, new: str, brought: str
) -> None:
    document = Document("file:///a.py", "python", 1, IMPORTS)
    assert brings_unknown(document, target, change(IMPORTS, old, new), (GONE, MISSING, UNUSED)) == brought


def test_what_is_unused_is_not_renamed_to_what_is_missing() -> None:
    text = "int f(void) {\n  int total = 1;\n  return totl;\n}\n"
    unused, missing = Diagnostic(20, 25, "unused variable 'total'"), Diagnostic(40, 44, "'totl' undeclared")
    document = Document("file:///a.c", "c", 1, text)
    assert brings_unknown(document, unused, change(text, "total", "totl"), (unused, missing)) == "totl"
    assert brings_unknown(document, missing, change(text, "totl", "total"), (unused, missing)) == ""


def test_a_module_that_the_checker_cannot_see_may_be_meant() -> None:
    text = "import numpy\n\nnunpy.zeros(3)\n"
    unseen = Diagnostic(0, 12, 'Cannot find implementation or library stub for module named "numpy"')
    missing = Diagnostic(14, 19, 'Name "nunpy" is not defined')
    document = Document("file:///a.py", "python", 1, text)
    assert brings_unknown(document, missing, change(text, "nunpy", "numpy"), (unseen, missing)) == ""
