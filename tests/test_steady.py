"""Snippets stay in the prompt while somebody types, until others are worth reading it anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coderls.document import Piece, Snippet
from coderls.fim.prompt import Prompt
from coderls.steady import Standing, Steady, arranged, gain, settled


def snippet(path: str, *names: str, score: float = 0.1, tokens: int = 20) -> Snippet:
    pieces = tuple(Piece(name, number, number + 1, "near", score, tokens) for number, name in enumerate(names))
    text = "".join(f"def {name}(): ...\n" for name in names)
    return Snippet(path, 0, len(names), text, score=score, tokens=tokens * len(names), pieces=pieces)


def prompting(typed: str, file: str = "x" * 300) -> Callable[[Sequence[Snippet]], Prompt]:
    """A token is a character: snippets first, then what stands before the cursor."""

    def build(snippets: Sequence[Snippet]) -> Prompt:
        ids = tuple(map(ord, "".join(each.text for each in snippets) + file + typed))
        return Prompt((), (), ids, None)

    return build


A, B, C = snippet("a.py", "one", "two"), snippet("b.py", "three"), snippet("c.py", "four")


def standing(*snippets: Snippet, typed: str = "") -> Standing:
    return Standing(snippets, prompting(typed)(snippets).content, 1)


def test_another_order_and_hardly_better_ones_do_not_change_the_prompt() -> None:
    old = standing(A, B)
    assert settled(old, (B, A), prompting("fo"))[0] == (A, B)
    snippets, prompt = settled(old, (A, C), prompting("fo"))
    assert snippets == (A, B)
    assert prompt == prompting("fo")((A, B))
    assert settled(old, (A,), prompting("fo"))[0] == (A, B)  # nothing is gained by less


def test_what_the_next_line_needs_comes_at_once() -> None:
    members = snippet("m.py", "read", "write", "close", score=0.4)
    snippets, prompt = settled(standing(A, B), (members, A), prompting("file."))
    assert snippets == (A, members)  # what stood first is cached: it stays there
    assert prompt == prompting("file.")((A, members))


def test_the_two_sides_are_weighed_in_tokens() -> None:
    likely = snippet("l.py", "likely", score=0.5)  # 0.3 more than both of A
    assert settled(standing(A), (likely,), prompting("x"), worth=1_200)[0] == (likely,)
    assert settled(standing(A), (likely,), prompting("x"), worth=900)[0] == (A,)  # some 320 tokens to read for it
    assert settled(standing(A), (A, likely), prompting("x"), worth=900)[0] == (A, likely)  # A is read already
    assert settled(standing(), (likely,), prompting("x"), worth=0)[0] == (likely,)


def test_after_a_jump_the_best_is_taken() -> None:
    assert settled(standing(A), (C,), prompting("", file="z" * 300))[0] == (C,)
    text = Standing((A,), "def one", 1)  # of an engine that got text
    assert settled(text, (C,), prompting("f"))[0] == (C,)


def test_of_a_text_three_characters_are_a_token() -> None:
    def build(snippets: Sequence[Snippet]) -> Prompt:
        return Prompt((), (), None, "".join(each.text for each in snippets) + "x" * 900)

    likely = snippet("l.py", "likely", score=0.5)
    old = Standing((A,), build((A,)).content, 1)
    assert settled(old, (likely,), build, worth=900)[0] == (A,)
    assert settled(old, (likely,), build, worth=1_200)[0] == (likely,)


def test_nothing_stays_where_nothing_may() -> None:
    assert settled(standing(A), (), prompting(""))[0] == ()
    assert settled(None, (A,), prompting(""))[0] == (A,)


def test_what_is_gained() -> None:
    likely = snippet("l.py", "likely", score=0.5)
    assert gain((A,), (A, likely)) == 0.5
    assert abs(gain((B,), (likely,)) - 0.4) < 1e-9  # B was as likely as 0.1
    assert gain((A,), (A,)) == 0
    window = Snippet("w.py", 0, 3, "code\n", pieces=(Piece("", 0, 3, "similar", 1.0, 9),))
    assert 0 < gain((A,), (A, window)) < 0.2  # its score is no likelihood


def test_the_order_that_costs_least() -> None:
    other = snippet("a.py", "one", "five")
    assert arranged((A, B, C), (C, A, B)) == (A, B, C)
    assert arranged((A, B, C), (C, other, B)) == (C, other, B)
    assert arranged((A, B, C), (B, C, A, other)) == (A, B, C, other)


def settle(
    steady: Steady, fresh: Sequence[Snippet], *, state: object = 1, budget: int = 100, keep: bool = True
) -> object:
    return steady.settle("file:///d.py", fresh, state, prompting("x"), budget=budget, keep=keep)[0]


def test_documents_are_apart_and_other_files_count() -> None:
    steady = Steady()
    assert settle(steady, (A, B)) == (A, B)
    assert settle(steady, (A, C)) == (A, B)
    assert steady.settle("file:///e.py", (A, C), 1, prompting("x"), budget=100)[0] == (A, C)
    assert settle(steady, (A, C), state=2) == (A, C)  # what stood there may be no more
    assert settle(steady, (B,), state=2, budget=30) == (B,)  # there is no room for both


def test_what_is_asked_ahead_changes_nothing() -> None:
    steady = Steady()
    settle(steady, (A, B))
    assert settle(steady, (snippet("m.py", "read", score=0.9),), keep=False) != (A, B)
    assert settle(steady, (A, C)) == (A, B)


def test_documents_of_long_ago_are_forgotten() -> None:
    steady = Steady()
    settle(steady, (A, B))
    for number in range(40):
        steady.settle(f"file:///{number}.py", (A,), 1, prompting("x"), budget=100)
    assert settle(steady, (A, C)) == (A, C)
