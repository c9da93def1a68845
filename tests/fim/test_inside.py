from __future__ import annotations

import pytest

from coderls.fim.inside import inside


@pytest.mark.parametrize(
    ("language", "marked", "expected"),
    [
        ("python", "x = 1  # foo $0", "comment"),
        ("python", "# a\nx = $0", "code"),
        ("python", "x = 'a $0", "string"),
        ("python", "x = 'a'$0", "code"),
        ("python", "x = '#' + $0", "code"),
        ("python", "x = '# $0", "string"),
        ("python", '"""doc\nab $0\n"""', "string"),
        ("python", '"""doc"""\nab $0', "code"),
        ("python", 'f("a", $0)', "code"),
        ("go", "// x $0", "comment"),
        ("go", "/* x\n $0 */", "comment"),
        ("go", "/* x */ $0", "code"),
        ("go", "x := `a\n $0`", "string"),
        ("javascript", "let a = '//' + $0", "code"),
        ("rust", "let a: &'a $0", "code"),
        ("css", "/* a $0", "comment"),
        ("lua", "x = 1 -- a $0", "comment"),
        ("html", "don't $0", "code"),
        ("plaintext", "don't # $0", "code"),
        ("python", "# a\r\nx = $0", "code"),
        ("python", "# a\rx = $0", "code"),
    ],
)
def test_where_the_cursor_is(language: str, marked: str, expected: str) -> None:
    offset = marked.index("$0")
    assert inside(marked.replace("$0", ""), offset, language) == expected


def test_a_long_file_is_read_from_a_line_that_is_no_string() -> None:
    """The part that is read would begin inside of the long string; it begins at the next definition."""
    text = '"""' + "words and more\n" * 1000 + '"""\n' + "def f(x):\n    return x\n" * 800 + "y = "
    assert inside(text, len(text), "python") == "code"
