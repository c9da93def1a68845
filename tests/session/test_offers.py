"""A completion is offered, the document changes: what became of the offer."""

from __future__ import annotations

import pytest

from coderls.fim.reuse import Shown
from coderls.session.offers import Offers, Outcome
from tests.marked_text import at_cursor


def check(marked: str, text: str, *then: str, replaced: int = 0, seconds: float = 1.0) -> list[tuple[str, int]]:
    """Offer `text` at `$0`, then go through the versions in `then`; kind and characters of each outcome."""
    outcomes: list[Outcome] = []
    offers = Offers(outcomes.append)
    document, offset = at_cursor(marked)
    offers.show([Shown(document, offset, offset + replaced, text, None)], now=0.0)
    for version in then:
        offers.changed(at_cursor(version)[0], now=seconds)
    return [(outcome.kind, outcome.characters) for outcome in outcomes]


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (["x = foo(a)$0\n"], [("accepted", 6)]),
        (["x = foo$0\n"], [("partly", 3)]),
        (["x = foo$0\n", "x = foo(a)$0\n"], [("partly", 3), ("accepted", 6)]),
        (["x = f$0\n", "x = fo$0\n"], []),
        (["x = f$0\n", "x = foo(a)$0\n"], [("accepted", 5)]),
        (["x = foo(a)"[: 4 + n] + "$0\n" for n in range(1, 7)], [("passed", 0)]),  # all of it by hand
        (["x = g$0\n"], [("rejected", 0)]),
        (["x = f$0\n", "x = fa$0\n"], [("rejected", 0)]),
        (["x = $0\ny"], [("passed", 0)]),
        (["y$0 = \n"], [("passed", 0)]),
    ],
)
def test_outcomes(then: list[str], expected: list[tuple[str, int]]) -> None:
    assert check("x = $0\n", "foo(a)", *then) == expected


def test_what_nobody_can_have_read_was_not_rejected() -> None:
    assert check("x = $0\n", "foo(a)", "x = g$0\n", seconds=0.1) == [("passed", 0)]


def test_a_bracket_that_the_editor_closes_agrees_with_a_text_that_begins_with_it() -> None:
    assert check("foo$0\n", "(a)", "foo($0)\n") == [("passed", 0)]
    assert check("foo$0\n", "(a)", "foo[$0]\n") == [("rejected", 0)]


def test_an_accept_that_replaces_the_rest_of_the_line() -> None:
    assert check("f($0)\n", "a, b)", "f(a, b)$0\n", replaced=1) == [("accepted", 5)]
    assert check("f($0)\n", "a, b)", "f(a$0)\n", "f(a, b)$0\n", replaced=1) == [("accepted", 4)]
    assert check("f($0)\n", "a, b)", "f(z$0)\n", replaced=1) == [("rejected", 0)]


def test_the_rest_of_an_offer_is_the_same_offer() -> None:
    outcomes: list[Outcome] = []
    offers = Offers(outcomes.append)
    document, offset = at_cursor("x = $0\n")
    first = offers.show([Shown(document, offset, offset, "foo(a)", None)], 0.0)
    later, cursor = at_cursor("x = f$0\n")
    offers.changed(later, 0.1)
    assert offers.show([Shown(later, cursor, cursor, "oo(a)", None)], 0.1) == first
    assert offers.show([Shown(later, cursor, cursor, "ine", None)], 0.2) != first
    assert [outcome.kind for outcome in outcomes] == ["passed"]


def test_a_client_that_says_it() -> None:
    outcomes: list[Outcome] = []
    offers = Offers(outcomes.append)
    shown = Shown(*at_cursor("x = $0\n"), 4, "foo(a)", None)
    number = offers.show([shown], 0.0)
    offers.accepted(number + 1)
    assert outcomes == []
    offers.accepted(number)
    offers.accepted(number)
    again = offers.show([shown], 0.0)
    assert offers.rejected(again) == [shown]
    assert offers.rejected(again) == ()
    assert [(outcome.kind, outcome.characters) for outcome in outcomes] == [("accepted", 6), ("rejected", 0)]


def test_one_of_several_is_taken() -> None:
    outcomes: list[Outcome] = []
    offers = Offers(outcomes.append)
    document, offset = at_cursor("x = $0\n")
    offers.show([Shown(document, offset, offset, text, None) for text in ("foo(a)", "bar", "fine")], 0.0)
    offers.changed(at_cursor("x = f$0\n")[0], 1.0)
    offers.changed(at_cursor("x = fine$0\n")[0], 1.0)
    assert [(outcome.kind, outcome.characters, outcome.text) for outcome in outcomes] == [("accepted", 3, "fine")]


def test_what_was_taken_in_part_stays_so_when_the_user_goes_on_alone() -> None:
    assert check("x = $0\n", "foo(a)", "x = foo$0\n", "x = foo[$0\n") == [("partly", 3), ("partly", 3)]
    assert check("x = $0\n", "foo(a)", "x = foo$0\n", "y\nx = foo$0\n") == [("partly", 3), ("partly", 3)]


def test_the_client_says_how_much_was_taken_so_far() -> None:
    outcomes: list[Outcome] = []
    offers = Offers(outcomes.append)
    document, offset = at_cursor("x = $0\n")
    number = offers.show([Shown(document, offset, offset, "foo(a)", None)], 0.0)
    offers.partly(number + 1, 2)
    offers.partly(number, 3)
    offers.changed(at_cursor("x = foo$0\n")[0], 1.0)  # the same three
    offers.partly(number, 99)
    offers.changed(at_cursor("x = foo(a)$0\n")[0], 2.0)
    assert [(outcome.kind, outcome.characters) for outcome in outcomes] == [
        ("partly", 3),
        ("partly", 3),
        ("partly", 6),
        ("accepted", 6),
    ]


def test_what_was_kept_can_be_looked_at_also_where_only_the_client_said_that_it_was_taken() -> None:
    outcomes: list[Outcome] = []
    offers = Offers(outcomes.append)
    document, offset = at_cursor("x = $0\n")
    offers.accepted(offers.show([Shown(document, offset, offset, "foo(a)", None)], 0.0))
    [outcome] = outcomes
    assert (outcome.kind, outcome.text, outcome.start, outcome.document) == ("accepted", "foo(a)", 4, document)
