from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.repo_context import names as names_module
from coderls.repo_context.names import NameTable, hash_of, hashes_of

NAMES = st.sets(st.sampled_from(["a", "b", "init", "run", "Δ", "\ud800", "x" * 300]), max_size=5)


@given(st.lists(st.tuples(st.integers(0, 9), NAMES), max_size=30))
def test_a_table_finds_what_a_dict_would(changes: list[tuple[int, set[str]]]):
    table, plain = NameTable(), dict[int, set[str]]()
    for file, names in changes:
        table.remove(file, hashes_of(plain.get(file, set())))
        table.add(file, hashes_of(names))
        plain[file] = names
    for name in ("a", "b", "init", "run", "Δ", "\ud800", "x" * 300, "never"):
        assert sorted(table.files(name)) == sorted(file for file, names in plain.items() if name in names)


def test_large_numbers_of_files_and_hashes_keep_apart():
    table, high = NameTable(), (1 << 32) - 1
    names = [f"name_{number}" for number in range(3_000)]
    table.add(high, hashes_of(names))
    table.add(0, hashes_of(names[::2]))
    assert sorted(table.files("name_2998")) == [0, high]
    assert list(table.files("name_2999")) == [high]
    assert 0 <= hash_of("name_1") <= high


def test_names_with_one_hash_are_one_to_the_table():
    """CRC-32 of these two words is the same: who asks looks into the file."""
    first, second = "plumless", "buckeroo"
    assert hash_of(first) == hash_of(second)
    assert len(hashes_of([first, second])) == 1
    table = NameTable()
    table.add(1, hashes_of([first, second]))
    table.remove(1, hashes_of([first, second]))
    assert not table.files(first)


def test_what_was_asked_for_is_known_again_when_it_changes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names_module, "_MAX_FOUND", 2)
    table = NameTable()
    for name in ("a", "b", "c", "a"):  # more than are kept
        assert not table.files(name)
    table.add(3, hashes_of(["a"]))
    assert list(table.files("a")) == [3]
    table.remove(3, hashes_of(["a"]))
    assert not table.files("a")
