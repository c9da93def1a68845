from __future__ import annotations

import pytest

from coderls.repo_context import files as files_module
from coderls.repo_context.files import MAX_FILES_OF_A_NAME, Shelf, name_hashes
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.python import PYTHON
from coderls.repo_context.outline import Outline
from coderls.repo_context.parse import outline


def read(path: str, text: str) -> Outline:
    language = by_path(path, text)
    assert language is not None
    found = outline(language, text)
    assert found is not None
    return found


class Kept:
    """Outlines by key, as a store has them; counts what is loaded."""

    def __init__(self) -> None:
        self.outlines: dict[bytes, Outline] = {}
        self.loaded: list[bytes] = []

    def load(self, key: bytes) -> Outline | None:
        self.loaded.append(key)
        return self.outlines.get(key)

    def put(self, shelf: Shelf, path: str, text: str) -> bytes:
        found = read(path, text)
        key = text.encode()
        self.outlines[key] = found
        shelf.put_kept(path, key, name_hashes(found), len(found.definitions))
        return key


def test_names_are_found_without_loading_and_definitions_by_loading_once():
    kept = Kept()
    shelf = Shelf(kept.load)
    key = kept.put(shelf, "a.py", "def one(): ...\n")
    kept.put(shelf, "b.py", "def two(): ...\n")
    assert shelf.defining("one") == ["a.py"]
    assert (shelf.outlined_count(), shelf.definition_count, "a.py" in shelf.outlines) == (2, 2, True)
    assert kept.loaded == []
    assert shelf.definitions("a.py")[0].name == "one"
    assert shelf.places("a.py", "one") == [0]
    assert shelf.outlines.get("a.py") is kept.outlines[key]
    assert kept.loaded == [key]


def test_what_was_loaded_long_ago_leaves_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files_module, "_MAX_LOADED", 10)
    kept = Kept()
    shelf = Shelf(kept.load)
    keys = [kept.put(shelf, f"m{n}.py", f"def f{n}(): ...\n") for n in range(20)]
    for n in range(20):
        assert shelf.definitions(f"m{n}.py")
    assert len(shelf._loaded) == 5  # one definition each, and one for the outline itself
    assert shelf.definitions("m19.py")
    assert kept.loaded == keys
    assert shelf.definitions("m0.py")
    assert kept.loaded == [*keys, keys[0]]


def test_a_lost_outline_is_told_and_means_nothing():
    told: list[str] = []
    shelf = Shelf(lambda key: None, told.append)
    shelf.put_kept("a.py", b"key", name_hashes(read("a.py", "def f(): ...\n")), 1)
    assert shelf.outlines.get("a.py") is None
    assert shelf.definitions("a.py") == ()
    assert told == ["a.py", "a.py"]


def test_an_open_document_stays_in_memory_until_the_disk_counts_again():
    kept = Kept()
    shelf = Shelf(kept.load)
    shelf.put("a.py", read("a.py", "def typed(): ...\n"))
    assert shelf.definitions("a.py")[0].name == "typed"
    kept.put(shelf, "a.py", "def saved(): ...\n")
    assert shelf.definitions("a.py")[0].name == "saved"
    assert not shelf.defining("typed")
    assert shelf.defining("saved") == ["a.py"]
    shelf.drop("a.py")
    assert (shelf.outlined_count(), shelf.definition_count, list(shelf.paths())) == (0, 0, [])


def test_announced_files_resolve_imports_before_they_are_read():
    shelf = Shelf()
    shelf.announce(["pkg/__init__.py", "pkg/b.py", "pkg/a.py", "main.py"])
    assert shelf.resolve(PYTHON, "pkg.a", "main.py") == ("pkg/a.py",)
    assert shelf.inside("pkg") == ["pkg/__init__.py", "pkg/a.py", "pkg/b.py"]
    assert shelf.outlined_count() == 0
    assert "pkg/a.py" not in shelf.outlines
    assert shelf.has("pkg/a.py")
    shelf.put_settings("pkg/deep/go.mod", "")
    assert sorted(shelf.below("pkg")) == ["pkg/__init__.py", "pkg/a.py", "pkg/b.py", "pkg/deep/go.mod"]
    assert shelf.below("pk") == []


def test_places_are_reused_and_nothing_is_left_behind():
    kept = Kept()
    shelf = Shelf(kept.load)
    for turn in range(3):
        for n in range(50):
            kept.put(shelf, f"d{turn}/m{n}.py", f"def f{n}_{turn}(): ...\n")
        for n in range(50):
            shelf.drop(f"d{turn}/m{n}.py")
    assert len(shelf._paths) == 50
    assert not shelf.defining("f7_0")
    assert (shelf._by_folder, shelf._by_file_name) == ({}, {})


def test_what_was_found_out_of_a_file_goes_with_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files_module, "_MAX_PLACES", 3)
    shelf = Shelf()
    shelf.put("a.py", read("a.py", "from b import c\nclass A:\n    def one(self): ...\n"))
    assert (shelf.places("a.py", "one"), shelf.members("a.py", "A"), shelf.named("a.py")) == ([1], [1], (("b", "c"),))
    shelf.put("a.py", read("a.py", "class B:\n    x: int = 1\n    def one(self): ...\n"))
    assert (shelf.places("a.py", "one"), shelf.members("a.py", "A"), shelf.named("a.py")) == ([2], (), ())
    assert shelf.members("a.py", "B") == [1, 2]
    for n in range(7):
        assert shelf.members(f"m{n}.py", "A") == ()
    assert len(shelf._members) <= 3
    assert shelf.members("a.py", "B") == [1, 2]


def test_a_name_of_many_files_says_nothing():
    kept = Kept()
    shelf = Shelf(kept.load)
    for n in range(MAX_FILES_OF_A_NAME):
        kept.put(shelf, f"m{n}.py", f"def same(): ...\nx = {n}\n")
    assert len(shelf.defining("same")) == MAX_FILES_OF_A_NAME
    kept.put(shelf, "more.py", "def same(): ...\n")
    assert not shelf.defining("same")


def test_a_crowd_of_files_with_one_name_is_looked_up_by_folder():
    shelf = Shelf()
    shelf.announce(f"apps/app{n}/part/__init__.py" for n in range(200))
    assert shelf.ending("app7/part/__init__.py") == ["apps/app7/part/__init__.py"]
    assert len(shelf.ending("part/__init__.py")) == 200
    assert len(shelf.ending("__init__.py")) == 200
    shelf.announce(["other/app7/part/__init__.py"])
    assert shelf.ending("app7/part/__init__.py") == ["apps/app7/part/__init__.py", "other/app7/part/__init__.py"]


def test_a_namespace_is_no_ordinary_name():
    shelf = Shelf()
    shelf.put("a.cpp", read("a.cpp", "namespace shop {\nclass Item {};\n}\n"))
    shelf.put("b.cpp", read("b.cpp", "class shop {};\n"))
    assert shelf.declaring("shop") == ["a.cpp"]
    assert shelf.defining("shop") == ["a.cpp", "b.cpp"]


def test_settings_files():
    shelf = Shelf()
    shelf.put_settings("go.mod", "module a\n")
    shelf.put_settings("sub/go.mod", "module b\n")
    assert shelf.settings("go.mod", "sub/deep") == ("sub", "module b\n")
    assert shelf.every("go.mod") == (("", "module a\n"), ("sub", "module b\n"))
    shelf.drop("sub/go.mod")
    assert shelf.settings("go.mod", "sub/deep") == ("", "module a\n")
    assert shelf.every("go.mod") == (("", "module a\n"),)
    assert shelf.all_folders() == {""}
