"""What is usual in other languages, and what a type checker names, mended without a model."""

from __future__ import annotations

import os
import shutil

import pytest

from coderls.document import Document
from coderls.repair.checkers import find_checkers, of_language
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.habits import mend_habits
from coderls.repair.pipeline import repair
from coderls.repair.sources import of_slips, of_syntax
from coderls.repo_context.parse import parse_file
from devtools.checker_tools import bins


def made(marked: str, message: str, rule: str = "") -> list[str]:
    """The texts that come of a complaint about the part between the two `$0`."""
    before, word, after = marked.split("$0")
    document = Document("file:///a.py", "python", 1, before + word + after)
    complaint = Diagnostic(len(before), len(before) + len(word), message, rule=rule)
    return [one.text for one in mend_habits(document, complaint)]


UNKNOWN = 'Cannot access attribute "{}" for class "{}"'


@pytest.mark.parametrize(
    ("marked", "message", "mended"),
    [
        ("xs.$0push$0(f(a, b))\n", UNKNOWN.format("push", "list[int]"), "xs.append(f(a, b))\n"),
        ("print(d[k].$0length$0)\n", UNKNOWN.format("length", "str"), "print(len(d[k]))\n"),
        ("n = xs.$0size$0()\n", UNKNOWN.format("size", "list[int]"), "n = len(xs)\n"),
        ("if s.strip().$0contains$0('a'): ...\n", UNKNOWN.format("contains", "str"), "if 'a' in s.strip(): ...\n"),
        ("x = s.$0charAt$0(i + 1)\n", UNKNOWN.format("charAt", "str"), "x = s[i + 1]\n"),
        ("m.$0put$0(a, g(b, c))\n", UNKNOWN.format("put", "dict[int, int]"), "m[a] = g(b, c)\n"),
        ("m.$0put$0('{1}', v)\n", UNKNOWN.format("put", "dict[str, int]"), "m['{1}'] = v\n"),
        ("xs.$0push$0('{0}{x}')\n", UNKNOWN.format("push", "list[str]"), "xs.append('{0}{x}')\n"),
        ("y = 'a b'.$0trim$0()\n", UNKNOWN.format("trim", "str"), "y = 'a b'.strip()\n"),
        ("return self.$0accumulate$0(a)\n", UNKNOWN.format("accumulate", "Solution*"), "return accumulate(a)\n"),
        ("a = $0null$0\n", '"null" is not defined', "a = None\n"),
        ("def f(a: $0ArrayList$0[int]): ...\n", '"ArrayList" is not defined', "def f(a: List[int]): ...\n"),
        ("def f(a: $0string$0): ...\n", '"string" is not defined', "def f(a: str): ...\n"),
        ("a = $0string$0 + 1\n", '"string" is not defined', None),  # a variable, for all that is known
        ("for i in $0xrange$0(3): ...\n", "Undefined name `xrange`", "for i in range(3): ...\n"),
        (
            "def f():\n    n == 0\n    return $0n$0\n", '"n" is unbound',
            "def f():\n    n = 0\n    return n\n",
        ),
        ("x = $0'n = ' + n$0\n", 'Operator "+" not supported for types "str" and "int"', "x = 'n = ' + str(n)\n"),
        ("$0t += i.total$0\n", 'Operator "+=" not supported for types "float" and "() -> float"', "t += i.total()\n"),
        (
            "async def f():\n    a = g(1)\n    return a.$0decode$0()\n",
            'Cannot access attribute "decode" for class "CoroutineType[Any, Any, bytes]"',
            "async def f():\n    a = await g(1)\n    return a.decode()\n",
        ),
        ("x = $0nums(i)$0\n", 'Expression of type "list[int]" is not callable', "x = nums[i]\n"),
        ("x = $0f[i]$0\n", '"__getitem__" method not defined on type "FunctionType"', "x = f(i)\n"),
        ("x = $0n()$0\n", 'Expression of type "int" is not callable', "x = n\n"),
        (
            "class A:\n    def $0f$0(a): ...\n", 'Instance methods should take a "self" parameter',
            "class A:\n    def f(self, a): ...\n",
        ),
        (
            "def f(a) -> $0int$0:\n    a = 1\n    a + 1\n",
            'Function with declared return type "int" must return value',
            "def f(a) -> int:\n    a = 1\n    return a + 1\n",
        ),
        (
            "async def g():\n    return $0fetch(u)$0.json()\n", UNKNOWN.format("json", "CoroutineType[Any, Any, R]"),
            "async def g():\n    return (await fetch(u)).json()\n",
        ),
    ],
)  # fmt: skip
def test_habits(marked: str, message: str, mended: str | None) -> None:
    found = made(marked, message)
    assert (mended in found) if mended is not None else (found == [])


@pytest.mark.parametrize(
    "marked", ["a." * 5000 + "$0x$0", "(" * 3000 + "a.$0x$0" + "(" * 3000, "a[" * 2000 + ".$0x$0(", "$0$0", "$0x$0"]
)
def test_lines_that_are_made_to_take_long(marked: str) -> None:
    made(marked, 'attribute "x" Operator "+" not supported, not callable, Coroutine must return value "self" parameter')


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("def f(a) -> int:\n    return (a + 1\n", "def f(a) -> int:\n    return (a + 1)\n"),
        (
            "def f(a) -> int:\n    if a=1:\n        return 1\n    return 2\n",
            "def f(a) -> int:\n    if a==1:\n        return 1\n    return 2\n",
        ),
        ("function f(a):\n    return a\n", "def f(a):\n    return a\n"),
    ],
)
async def test_whatever_is_said_of_a_file_that_cannot_be_read(
    text: str, mended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type checker's first complaint about it is often a consequence of what the parser stumbles over."""
    found = next((tools for tools in bins() if shutil.which("pyright-langserver", path=str(tools))), None)
    if found is None:
        pytest.skip("pyright is not installed: python -m devtools.checker_tools")
    monkeypatch.setenv("PATH", str(found), prepend=os.pathsep)
    document = Document("untitled:a", "python", 1, text)  # in no folder: the server is not to read the whole disk
    every = find_checkers(None, trusted=False, parse=parse_file)
    checkers = of_language([one for one in every if one.name in ("parse", "pyright")], "python")
    try:
        complaints = (await checkers[-1].check(document)).diagnostics
        first = min(complaints, key=lambda one: one.start)
        sources = [of_syntax(document, first, parse_file), of_slips(document, first)]
        outcome = await repair(document, first, checkers=checkers, sources=sources)
    finally:
        for checker in checkers:
            await checker.aclose()
    assert outcome.repairs[0].candidate.text == mended
