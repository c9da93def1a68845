"""Runs of 13 words, and texts that are nearly the same."""

from __future__ import annotations

from training.ngrams import GramSet, NearDuplicates, grams

WORDS = [f"word{number}" for number in range(300)]


def text(words: list[str]) -> str:
    return " ".join(words)


def test_thirteen_words_in_a_row_are_found_whatever_stands_between_them() -> None:
    kept_out = GramSet([text(WORDS[:40])])
    copied = "x = 1\n" + ",\n".join(word.upper() for word in WORDS[10:23]) + "\ny = 2"
    assert kept_out.shared(grams(copied)) == 1
    assert kept_out.shared(grams(text(WORDS[10:22]))) == 0, "twelve words are no run of thirteen"
    assert kept_out.shared(grams(text([*WORDS[10:16], "other", *WORDS[16:23]]))) == 0
    assert kept_out.shared(grams(text(WORDS[:40]))) == len(kept_out) == 28


def test_nothing_is_kept_out_by_nothing() -> None:
    assert GramSet([]).shared(grams(text(WORDS))) == 0
    assert len(grams("too short")) == 0


def test_numbers_do_not_depend_on_the_process() -> None:
    assert grams("a b c", 3).tolist() == [2408691790175561016]
    assert len({int(number) for number in grams(text(WORDS), 2)}) == 299


def test_near_duplicates() -> None:
    seen = NearDuplicates()
    assert seen.is_new(text(WORDS))
    assert not seen.is_new(text(WORDS))
    changed = [*WORDS[:150], "another", *WORDS[151:]]
    assert not seen.is_new(text(changed)), "one word of 300 is another"
    assert seen.is_new(text(WORDS[::-1]))
    assert seen.is_new(text([*WORDS[:100], *(f"new{number}" for number in range(200))])), "a third is the same"
