"""A document with a completion that was shown, what the user did then, and what is left of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coderls.fim.reuse import Memory, Place, Shown, typed_between
from tests.marked_text import at_cursor


def shown_at(marked: str, text: str, replaced: int = 0) -> Shown[str]:
    document, offset = at_cursor(marked)
    return Shown(document, offset, offset + replaced, text, "made")


def check(marked: str, text: str, then: str, *, replaced: int = 0) -> tuple[str, int, bool] | None:
    """Show `text` at `marked`; what is found at `then`: the text, how much it replaces, and whether it is the same."""
    memory: Memory[str] = Memory()
    memory.add(shown_at(marked, text, replaced))
    again = memory.find(Place(*at_cursor(then)), from_start=True)
    return None if again is None else (again.text, again.replaced, again.same)


@pytest.mark.parametrize(
    ("then", "left"),
    [
        ("x = $0\n", "foo(a)"),
        ("x = f$0\n", "oo(a)"),
        ("x = foo(a$0\n", ")"),
        ("x = foo(a)$0\n", None),  # all of it was typed: ask what comes next
        ("x = g$0\n", None),
        ("x = foo(b$0\n", None),
        ("x =$0\n", None),
        ("y = $0\n", None),
        ("x = foo$0 + 1\n", None),
    ],
)
def test_typing_through(then: str, left: str | None) -> None:
    assert check("x = $0\n", "foo(a)", then) == (None if left is None else (left, 0, True))


def test_backspace_and_undo_find_it_again() -> None:
    memory: Memory[str] = Memory()
    memory.add(shown_at("x = $0\n", "foo(a)"))
    memory.add(shown_at("x = fr$0\n", "ed()"))
    for then, text in (("x = fr$0\n", "ed()"), ("x = f$0\n", "oo(a)"), ("x = $0\n", "foo(a)"), ("x = fre$0\n", "d()")):
        again = memory.find(Place(*at_cursor(then)), from_start=True)
        assert again is not None
        assert again.text == text


def test_a_place_of_which_nothing_was_typed_is_asked_about_anew() -> None:
    memory: Memory[str] = Memory()
    memory.add(shown_at("x = $0\n", "foo(a)"))
    assert memory.find(Place(*at_cursor("x = $0\n"))) is None


def test_an_edit_elsewhere_moves_it_and_it_is_checked_again() -> None:
    assert check("a = 1\nx = $0\n", "foo(a)", "a = 1\nx = fo$0\n") == ("o(a)", 0, True)
    far = "# far\n" * 100
    assert check(f"import a\n{far}x = $0\n", "foo(a)", f"import a, b\n{far}x = fo$0\n") == ("o(a)", 0, False)
    assert check(f"x = $0\n{far}end\n", "foo(a)", f"x = fo$0\n{far}END\n") == ("o(a)", 0, False)
    assert check("a = 1\nx = $0\n", "foo(a)", "a = 2\nx = fo$0\n") is None  # near by it counts


@pytest.mark.parametrize(
    ("marked", "text", "replaced", "then", "expected"),
    [
        ("f($0)\n", "a, b)", 1, "f(a$0)\n", (", b)", 1, True)),
        ("f$0\n", "(a, b)", 0, "f($0)\n", ("a, b)", 0, False)),  # the editor has added )
        ("x = $0\n", "[g(1)]", 0, "x = [g($0)]\n", ("1)]", 0, False)),
        ("x = $0\n", "'ab'", 0, "x = 'a$0'\n", ("b'", 0, False)),
        ("f$0\n", "(a, b)", 0, "f($0]\n", None),
        ("f$0\n", "(a, b)", 0, "f($0) + 1\n", None),
    ],
)
def test_brackets_and_quotes_of_the_editor(
    marked: str, text: str, replaced: int, then: str, expected: tuple[str, int, bool] | None
) -> None:
    assert check(marked, text, then, replaced=replaced) == expected


def test_line_ends_tabs_and_wide_characters() -> None:
    assert check("if x:\r\n\t$0\r\n", "a = '😀'\r\n\tb = 1", "if x:\r\n\ta = '😀'\r\n\t$0\r\n") == ("b = 1", 0, True)


def test_documents_do_not_mix_and_are_forgotten() -> None:
    memory: Memory[str] = Memory()
    memory.add(shown_at("x = $0\n", "foo(a)"))
    document, offset = at_cursor("x = $0\n")
    assert memory.find(Place(replace(document, uri="file:///other.py"), offset)) is None
    memory.forget(document.uri)
    assert memory.find(Place(document, offset), from_start=True) is None


def test_rejected_text_is_not_offered_at_once() -> None:
    memory: Memory[str] = Memory()
    shown = shown_at("x = $0\n", "foo(a)")
    memory.add(shown)
    memory.reject(shown, now=10.0)
    assert memory.find(Place(shown.document, shown.start), from_start=True) is None
    assert memory.rejected(shown, now=20.0, within_s=30.0)
    assert not memory.rejected(shown_at("x = $0\n", "bar()"), now=20.0, within_s=30.0)
    assert not memory.rejected(shown, now=50.0, within_s=30.0)


def test_the_last_texts_of_a_document() -> None:
    memory: Memory[str] = Memory()
    for text in ("one", "two", "three"):
        memory.add(shown_at("x = $0\n", text))
    assert memory.texts("file:///project/file.py", 2) == ("three", "two")
    assert memory.texts("file:///other.py", 2) == ()


def test_memory_is_bounded() -> None:
    memory: Memory[str] = Memory()
    for number in range(100):
        memory.add(shown_at(f"x{number} = $0\n", "foo(a)"))
    assert memory.find(Place(*at_cursor("x0 = f$0\n"))) is None
    assert memory.find(Place(*at_cursor("x99 = f$0\n"))) is not None


@pytest.mark.parametrize(
    ("before", "now", "typed"),
    [
        ("x = $0\n", "x = $0\n", ""),
        ("x = $0\n", "x = ab$0\n", "ab"),
        ("f$0\n", "f($0)\n", "("),
        ("x = $0\n", "y = a$0\n", None),
        ("x = $0\n", "x = a$0\n\n", None),
        ("x = a$0\n", "x = $0\n", None),
        ("x = $0\n", "x = a$0b\n", None),
    ],
)
def test_what_was_typed_between(before: str, now: str, typed: str | None) -> None:
    assert typed_between(Place(*at_cursor(before)), Place(*at_cursor(now))) == typed
