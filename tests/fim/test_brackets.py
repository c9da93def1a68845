from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.fim.brackets import balance, closers_at


@pytest.mark.parametrize(
    ("text", "language", "left_open", "extra", "quote"),
    [
        ("foo(a, [b])", "python", "", "", ""),
        ("foo(a, [b", "python", "([", "", ""),
        ("a)]", "python", "", ")]", ""),
        ("(]", "python", "(", "]", ""),
        ("x = ')'  # (", "python", "", "", ""),
        ("x = '", "python", "", "", "'"),
        ("x = 'abc\ny = (", "python", "(", "", ""),
        ('"""a\n(b', "python", "", "", '"""'),
        ('"""a "" \\""" b"""', "python", "", "", ""),
        ("let a: &'a str = f('x', '{');", "rust", "", "", ""),
        ("f(`a\n${b}`", "javascript", "(", "", ""),
        ("f(/* ( */", "c", "(", "", ""),
        ("f( // (", "typescript", "(", "", ""),
        ("/* (", "go", "", "", "/*"),
        ("it isn't (so", "plaintext", "(", "", ""),
        ("-- (\nf(", "lua", "(", "", ""),
        ("😀(語", "python", "(", "", ""),
    ],
)
def test_what_is_left_open(text: str, language: str, left_open: str, extra: str, quote: str) -> None:
    found = balance(text, language)
    assert ("".join(found.open), "".join(found.extra), found.quote) == (left_open, extra, quote)
    assert found.faults == len(left_open) + len(extra) + bool(quote)


def test_a_text_that_begins_in_a_string() -> None:
    assert balance("a) ' + (", "python", "'").open == ("(",)
    assert balance("a) (", "python", '"""').quote == '"""'


def test_code_of_the_last_line() -> None:
    assert balance("x\nif a:  # why", "python").code == "if a:"
    assert balance("s = 'a: b'", "python").code == 's = ""'


def test_closers_at_the_start() -> None:
    assert closers_at(" )\n  }, ]; x)") == 3
    assert closers_at("x)") == 0


@given(
    st.text(alphabet="()[]{}'\"`/*#\\\nab ", max_size=80), st.sampled_from(["python", "rust", "c", "plaintext", "go"])
)
def test_any_text_has_a_balance(text: str, language: str) -> None:
    found = balance(text, language)
    assert len(found.open) + len(found.extra) <= len(text)
