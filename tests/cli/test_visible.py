from __future__ import annotations

import pytest

from coderls.cli.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b/caf\u00e9\u3000\U0001f600.py", "a b/caf\u00e9\u3000\U0001f600.py"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\u202egnp.py", r"\u202egnp.py"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_layout_may_stay() -> None:
    assert visible("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"
