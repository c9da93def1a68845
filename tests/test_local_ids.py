"""Texts as token ids: what has changed is encoded again, and no more than fits is taken."""

from __future__ import annotations

from array import array

import pytest

from coderls import local_ids
from coderls.local_ids import LocalIds


def numbers(data: bytes | None) -> list[int]:
    assert data is not None
    return array("i", data).tolist()


def test_only_what_changed_is_encoded_again() -> None:
    encoded: list[str] = []

    def encode(text: str) -> list[int]:
        encoded.append(text)
        return [ord(character) for character in text]

    ids = LocalIds(encode)
    assert numbers(ids.of([("a", "xy"), ("b", "z")])) == [120, 121, -1, 122, -1]
    assert numbers(ids.of([("b", "z"), ("a", "xyz")])) == [122, -1, 120, 121, 122, -1]
    assert sorted(encoded) == ["xy", "xyz", "z"]
    assert numbers(ids.of([])) == []


def test_lines_end_as_in_prompts() -> None:
    ids = LocalIds(lambda text: [ord(character) for character in text])
    assert numbers(ids.of([("a", "x\r\ny\rz\n")])) == [*b"x\ny\nz\n", -1]


def test_the_first_are_left_out_where_there_are_too_many() -> None:
    ids = LocalIds(lambda text: list(range(len(text))))
    half = "x" * (local_ids.MOST_TOKENS // 2)
    found = numbers(ids.of([("far", half), ("near", half[:-2]), ("own", "abc")]))
    assert len(found) == len(half) - 2 + 1 + 4
    assert found[-4:] == [0, 1, 2, -1]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_ids, "_KEPT", 40)
    encoded: list[str] = []
    ids = LocalIds(lambda text: encoded.append(text) or [1] * 4)
    for text in ("x", "y", "z"):
        ids.of([("a", text), ("b", "b")])
    assert encoded == ["b", "x", "y", "z"], "of a file that changes only the last is kept"
    ids.of([("c", "c")])
    ids.of([("b", "b"), ("a", "z")])
    assert encoded[4:] == ["c", "b"], "what was asked for longest ago gave way"


def test_it_ends_when_the_machine_is_wanted() -> None:
    asked = iter([True, True, False])
    ids = LocalIds(lambda text: [1])
    assert ids.of([("a", "x"), ("b", "y"), ("c", "z")], lambda: next(asked)) is None
