"""What compilers of other languages complain about most."""

from __future__ import annotations

import pytest

from coderls.document import Document
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.other_slips import mend_others


def mended(language_id: str, text: str, at: str, message: str, rule: str = "") -> list[str]:
    """The texts that come of a complaint about the first `at`."""
    place = text.index(at)
    complaint = Diagnostic(place, place + len(at), message, rule=rule)
    return [one.text for one in mend_others(Document("file:///a", language_id, 1, text), complaint)]


@pytest.mark.parametrize(
    ("language_id", "text", "at", "message", "after"),
    [
        ("go", 'import (\n\t"fmt"\n\t"os"\n)\n', '"os"', '"os" imported and not used', 'import (\n\t"fmt"\n)\n'),
        ("go", 'import "os"\r\n\r\nx', '"os"', '"os" imported and not used', "\r\nx"),
        ("go", "for i, x := range xs {\n", "i,", "declared and not used: i", "for _, x := range xs {\n"),
        ("go", "for _, x := range xs {\n", "x", "declared and not used: x", "for _, _ := range xs {\n"),
        ("typescript", "const n = 1;\nn = 2;\n", "n =", "Cannot assign to 'n' because it is a constant.",
         "let n = 1;\nn = 2;\n"),
        ("javascript", "const n = 1;\nn = 2;\n", "n =", "'n' is constant.", "let n = 1;\nn = 2;\n"),
        ("typescript", "  const a: T = f.get(1);\n", "a", "Type 'Promise<T>' is missing the following properties",
         "  const a: T = await f.get(1);\n"),
        ("typescript", "  return f(1);\n", "return", "Type 'Promise<T>' is not assignable to type 'T'.",
         "  return await f(1);\n"),
        ("c", "if (p = NULL) g();\n", "p", "suggest parentheses around assignment used as truth value",
         "if (p == NULL) g();\n"),
        ("javascript", "if (a = 1) g();\n", "a", "Unexpected assignment within an 'if' statement.",
         "if (a === 1) g();\n"),
    ],
)  # fmt: skip
def test_what_is_made(language_id: str, text: str, at: str, message: str, after: str) -> None:
    rule = "no-cond-assign" if message.startswith("Unexpected") else ""
    assert mended(language_id, text, at, message, rule) == [after]


@pytest.mark.parametrize(
    ("language_id", "text", "at", "message"),
    [
        ("go", "x := f()\n", "x", "declared and not used: x"),
        ("go", 'import os "os"; import "fmt"\n', '"os"', '"os" imported and not used'),
        ("typescript", "const a: T = await f(1);\n", "a", "Type 'Promise<T>' is not assignable"),
        ("c", "if (a = b && (c = d)) g();\n", "a", "suggest parentheses around assignment used as truth value"),
        ("python", "x = 1\n", "x", "something else"),
        ("go", "", "", "declared and not used: x"),
    ],
)
def test_nothing_is_made_where_it_is_not_clear(language_id: str, text: str, at: str, message: str) -> None:
    assert mended(language_id, text, at, message) == []
