from __future__ import annotations

import pytest

from coderls.fim.closing import closed

JS = "const a = 1;\n"


@pytest.mark.parametrize(
    ("text", "line_before", "language", "around", "whole"),
    [
        ("if (a) {", "    ", "typescript", JS, "if (a) {\n    }"),
        ("it('b', () => {", "", "typescript", JS, "it('b', () => {\n});"),
        ("it('b', () => {", "", "typescript", "const a = 1\n", "it('b', () => {\n})"),
        ("it('b', () => {\n    f({", "", "typescript", JS, "it('b', () => {\n    f({\n    });\n});"),
        ("it('b', () => {\n    c();", "", "typescript", JS, "it('b', () => {\n    c();\n});"),
        ("if (a) {\n  b();\n} else {", "", "typescript", JS, "if (a) {\n  b();\n} else {\n}"),
        ("a, {", "f(", "typescript", JS, "a, {\n}"),  # what the user opened is the user's
        ("match a {", "\t", "rust", "", "match a {\n\t}"),
        ("a)", "f(", "typescript", JS, None),
        ("return (", "", "typescript", JS, None),
        ("a = 'b", "", "typescript", JS, None),
        ("}", "", "typescript", JS, None),
        ("if (a) {\n  if (b) {\n    if (c) {\n      if (d) {", "", "typescript", JS, None),
        ("x = {", "", "python", "", None),
        ("a {", "", "plaintext", "", None),
    ],
)
def test_open_blocks_get_their_ends(text: str, line_before: str, language: str, around: str, whole: str | None) -> None:
    assert closed(text, line_before, language, around) == whole
