from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.document import Document, Edit
from coderls.repo_context import index as index_module
from coderls.repo_context import upkeep as upkeep_module
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.languages.python import PYTHON
from coderls.repo_context.parse import outline
from coderls.repo_context.store import Store
from coderls.repo_context.view import View, changed_span
from tests.repo_context.repository import ask, count, open_document, show, write

MAIN = "from shop.model import Item\n\nitem: Item = $0\n"
FILES = {
    "shop/__init__.py": "",
    "shop/model.py": "class Item:\n    def price_on_disk(self): ...\n",
    "main.py": MAIN,
}


@pytest.fixture(autouse=True)
def no_waiting_for_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "_QUIET_S", 0.0)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    return tmp_path


@pytest.fixture
def index(shop: Path) -> Iterator[RepositoryIndex]:
    made = RepositoryIndex.open_workspace([shop])
    made.build()
    yield made
    made.close()


def context(index: RepositoryIndex, root: Path, name: str = "main.py", text: str = MAIN) -> str:
    assert index.settle(30)
    return show(ask(index, root, name, text))


def test_open_buffers_hide_the_disk_until_they_are_closed(index: RepositoryIndex, shop: Path):
    buffer, _ = open_document(shop, "shop/model.py", "class Item:\n    def price_in_buffer(self): ...\n")
    index.update(buffer)
    assert "price_in_buffer" in context(index, shop)
    assert "price_on_disk" not in context(index, shop)
    write(shop, {"shop/model.py": "class Item:\n    def price_changed_on_disk(self): ...\n"})
    index.refresh(shop / "shop/model.py")
    assert "price_in_buffer" in context(index, shop)
    index.build()
    assert "price_in_buffer" in context(index, shop)
    index.forget(buffer.uri)
    assert "price_changed_on_disk" in context(index, shop)


def test_a_new_buffer_that_was_never_saved_counts(index: RepositoryIndex, shop: Path):
    buffer, _ = open_document(shop, "shop/fresh.py", "def brand_new(): ...\n")
    index.update(buffer)
    text = "from shop.fresh import brand_new\n$0"
    assert "def brand_new" in context(index, shop, text=text)
    index.forget(buffer.uri)
    assert context(index, shop, text=text) == ""


def test_changes_on_disk_are_taken_in(index: RepositoryIndex, shop: Path):
    write(shop, {"shop/model.py": "class Item:\n    def changed(self): ...\n", "shop/more.py": "def added(): ...\n"})
    index.refresh(shop / "shop/model.py")
    index.refresh(shop / "shop/more.py")
    assert "changed" in context(index, shop)
    assert "def added" in context(index, shop, text="from shop.more import added\n$0")
    (shop / "shop/model.py").unlink()
    index.refresh(shop / "shop/model.py")
    assert context(index, shop) == ""


def test_a_deleted_folder_takes_its_files_along(index: RepositoryIndex, shop: Path):
    for path in (shop / "shop").iterdir():
        path.unlink()
    (shop / "shop").rmdir()
    index.refresh(shop / "shop")
    assert context(index, shop) == ""
    assert index.stats().files == 1


def test_a_second_build_drops_what_is_gone(index: RepositoryIndex, shop: Path):
    (shop / "shop/model.py").unlink()
    index.build()
    assert context(index, shop) == ""


@pytest.mark.parametrize("name", ["secrets.py", "private/notes.py"])
def test_excluded_buffers_give_and_get_nothing(index: RepositoryIndex, shop: Path, name: str):
    write(shop, {".coderlsignore": "private/\n"})
    index.refresh(shop / ".coderlsignore")
    secret, _ = open_document(shop, name, "from shop.model import Item\ndef very_secret_key(): ...\n")
    index.update(secret)
    assert "very_secret" not in context(index, shop, text="very_secret_key()\n$0")
    assert context(index, shop, name, MAIN) == ""


def test_an_ignore_file_that_appears_excludes_what_was_indexed(index: RepositoryIndex, shop: Path):
    write(shop, {".coderlsignore": "model.py\n"})
    index.refresh(shop / ".coderlsignore")
    assert context(index, shop) == ""
    assert not index.is_allowed(shop / "shop/model.py")


def test_a_file_outside_of_the_workspace_gets_nothing(index: RepositoryIndex, shop: Path):
    outside, offset = open_document(shop.parent, "elsewhere.py", MAIN)
    index.update(outside)
    assert index.settle(30)
    assert index.snippets(outside, offset, budget_tokens=1000, count=count) == []


def test_a_document_without_a_file_can_ask(index: RepositoryIndex):
    untitled = Document("untitled:1", "python", 1, MAIN.replace("$0", ""))
    index.update(untitled)
    assert index.settle(30)
    found = index.snippets(untitled, len(untitled.text), budget_tokens=1000, count=count)
    assert [snippet.path for snippet in found] == ["shop/model.py"]


def test_snippets_know_their_place(index: RepositoryIndex, shop: Path):
    (snippet,) = ask(index, shop, "main.py", MAIN)
    assert (snippet.path, snippet.start_line, snippet.end_line, snippet.source) == ("shop/model.py", 0, 2, "import")
    assert snippet.score > 0


@pytest.mark.parametrize("budget", [0, 1, 10, 25, 60, 150, 10_000])
def test_the_budget_holds(tmp_path: Path, budget: int):
    names = [f"compute_number_{n}" for n in range(50)]
    write(
        tmp_path,
        {
            "a.py": "".join(f"def {name}(first: int, second: str = 'x') -> bool: ...\n" for name in names),
            "b.py": "".join(f"class C{n}:\n    x: int\n    def method_{n}(self): ...\n" for n in range(30)),
        },
    )
    index = RepositoryIndex([tmp_path])
    index.build()
    text = f"from a import {', '.join(names)}\nfrom b import *\n\nC1, C2, C3\n$0"
    found = ask(index, tmp_path, "main.py", text, budget)
    assert sum(count(snippet.path) + count(snippet.text) for snippet in found) <= budget
    assert found or budget < 60
    index.close()


def test_the_same_question_has_the_same_answer(tmp_path: Path):
    files = {f"pkg/m{n}.py": f"class Thing{n}:\n    def run_{n}(self): ...\n" for n in range(20)}
    write(tmp_path, files)
    text = "".join(f"from pkg.m{n} import Thing{n}\n" for n in range(20)) + "Thing3().run_4()\n$0"
    answers = []
    for _ in range(3):
        index = RepositoryIndex([tmp_path])
        index.build()
        answers += [show(ask(index, tmp_path, "main.py", text, 80)) for _ in range(2)]
        index.close()
    assert answers[0]
    assert len(set(answers)) == 1


def test_the_most_relevant_file_comes_last(tmp_path: Path):
    write(tmp_path, {"a.py": "def wanted_next(): ...\n", "b.py": "def used_before(): ...\n"})
    index = RepositoryIndex([tmp_path])
    index.build()
    found = ask(
        index,
        tmp_path,
        "main.py",
        "from a import wanted_next\nfrom b import used_before\nused_before()\n" + "\n" * 300 + "$0",
    )
    assert [snippet.path for snippet in found] == ["b.py", "a.py"]
    index.close()


def test_typing_a_word_does_not_change_the_context(index: RepositoryIndex, shop: Path):
    answers = {show(ask(index, shop, "main.py", MAIN.replace("$0", word + "$0"))) for word in ("", "I", "It", "Ite")}
    assert len(answers) == 1


def test_folders_do_not_mix(tmp_path: Path):
    write(tmp_path, {"one/lib.py": "def in_one(): ...\n", "two/lib.py": "def in_two(): ...\n"})
    index = RepositoryIndex([tmp_path / "one", tmp_path / "two"])
    index.build()
    text = "from lib import *\nin_one(in_two())\n$0"
    assert "in_two" not in show(ask(index, tmp_path, "one/main.py", text))
    assert "in_two" in show(ask(index, tmp_path, "two/main.py", text))
    assert index.stats().folders == 2
    index.close()


def test_no_folder_at_all(tmp_path: Path):
    index = RepositoryIndex([])
    assert index.build()
    assert ask(index, tmp_path, "main.py", MAIN) == []


def test_the_home_folder_indexes_open_files_only(shop: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "home", lambda: shop)
    index = RepositoryIndex([shop])
    index.build()
    assert index.stats().files == 0
    assert any("only open files" in note for note in index.stats().notes)
    index.update(open_document(shop, "shop/model.py", FILES["shop/model.py"])[0])
    assert "price_on_disk" in context(index, shop)
    index.close()


def test_building_can_be_stopped_and_reports_progress(shop: Path):
    index = RepositoryIndex([shop])
    seen: list[float] = []
    assert not index.build(lambda _, fraction: seen.append(fraction), lambda: len(seen) > 1)
    assert not index.stats().built
    assert index.build(lambda _, fraction: seen.append(fraction))
    assert seen[-1] == 1.0
    assert index.stats().built
    index.close()


def test_building_waits_while_a_completion_runs(shop: Path):
    running = threading.Event()
    running.set()
    asked = threading.Event()

    def busy() -> bool:
        asked.set()
        return running.is_set()

    index = RepositoryIndex([shop], busy=busy)
    thread = threading.Thread(target=index.build)
    thread.start()
    assert asked.wait(30)
    assert index.stats().files == 0
    running.clear()
    thread.join(30)
    assert index.stats().files == 3
    index.close()


def test_asking_while_building_is_safe(tmp_path: Path):
    write(tmp_path, {f"m{n}.py": f"def f{n}(): ...\nclass C{n}: ...\n" for n in range(300)})
    index = RepositoryIndex([tmp_path])
    thread = threading.Thread(target=index.build)
    thread.start()
    text = "from m1 import f1\nfrom m299 import *\nf1(C299, f150)\n$0"
    while thread.is_alive():
        ask(index, tmp_path, "main.py", text)
        thread.join(0.001)  # an editor pauses between its questions too; without it the builder waits for Python's lock
    assert "def f1()" in show(ask(index, tmp_path, "main.py", text))
    index.close()


def test_the_background_stands_still_while_a_question_is_answered(index: RepositoryIndex, shop: Path):
    text = "class Item:\n    def price_in_buffer(self): ...\n" + "x = 1\n" * 5_000
    buffer, _ = open_document(shop, "shop/model.py", text)
    waits = threading.Event()
    real = index._questions.wait

    def wait(timeout_s: float) -> bool:
        waits.set()
        return real(timeout_s)

    index._questions.wait = wait  # type: ignore[method-assign]  # to know that the worker has come so far
    found: list[bool] = []

    def counted(part: str) -> int:
        if not found:
            index.update(buffer)
            assert waits.wait(30)
            found.append(index.finds("price_in_buffer"))
        return count(part)

    document, offset = open_document(shop, "main.py", MAIN)
    index.snippets(document, offset, budget_tokens=500, count=counted)
    assert found == [False]
    assert index.settle(30)
    assert index.finds("price_in_buffer")


def test_what_was_read_is_found_before_it_is_written_to_disk(
    index: RepositoryIndex, shop: Path, monkeypatch: pytest.MonkeyPatch
):
    found: list[bool] = []
    assert index.settle(30)
    monkeypatch.setattr(Store, "flush_when_due", lambda store: found.append(index.finds("price_of_tomorrow")))
    (shop / "shop/model.py").write_text("def price_of_tomorrow(): ...\n")
    index.refresh(shop / "shop/model.py")
    assert index.settle(30)
    assert found
    assert all(found)


def test_a_closed_index_still_answers(index: RepositoryIndex, shop: Path):
    before = show(ask(index, shop, "main.py", MAIN))
    index.close()
    index.refresh(shop / "main.py")
    assert show(ask(index, shop, "main.py", MAIN)) == before


def test_a_long_open_document_is_not_parsed_while_a_completion_waits(
    index: RepositoryIndex, shop: Path, monkeypatch: pytest.MonkeyPatch
):
    long = MAIN.replace("$0", "") + "x = 1\n" * 20_000
    document, offset = open_document(shop, "main.py", long)
    index.update(document)
    assert index.settle(30)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("parsed while a completion waits")

    monkeypatch.setattr(index_module, "outline", never)
    typed = document.apply(Edit(0, 0, "import os\n"), 2)  # touches the imports
    assert index.snippets(typed, offset, budget_tokens=500, count=count)
    typed = document.apply(Edit(len(long), len(long), "y = 2\n"), 3)  # does not
    assert index.snippets(typed, offset, budget_tokens=500, count=count)


@pytest.mark.parametrize(
    ("old", "new"),
    [("abc", "abc"), ("", "x"), ("abc", ""), ("aaa", "aaaa"), ("abcabc", "abcXabc"), ("ab", "ba"), ("xay", "xby")],
)
def test_changed_span(old: str, new: str):
    start, old_end, new_end = changed_span(old, new)
    assert old[:start] + new[start:new_end] + old[old_end:] == new
    assert start <= old_end
    assert start <= new_end


SOURCE = "import a\nfrom b import (\n    c,\n    d,\n)\n\n\ndef f():\n    return c\n"


@pytest.mark.parametrize(
    ("before", "after", "carried"),
    [
        ("return c", "return cd", True),
        ("def f", "x = 1\n\n\n\ndef f", True),
        ("    d,\n", "    d,\n    e,\n", False),
        ("import a\n", "", False),
        ("return c", "import z\n    return c", False),
        ("return c", "return c\n    from", False),
        ("def f():\n    return c\n", "def g():\n    yield from c\n\n\ndef h():\n    return c\n", False),
        ("def f():\n    return c  # from b\n", "def g():\n    return c  # from b\n\n\n", True),
    ],
)
def test_imports_are_kept_over_edits_that_cannot_change_them(before: str, after: str, carried: bool):
    found = outline(PYTHON, SOURCE)
    assert found is not None
    view = View.of(Document("x", "python", 1, SOURCE), found)
    text = SOURCE.replace(before, after)
    moved = view.carried_to(Document("x", "python", 2, text), PYTHON)
    assert (moved is not None) == carried
    if moved is not None:
        whole = outline(PYTHON, text)
        assert whole is not None
        assert moved.imports == whole.imports
        assert moved.import_rows == whole.import_rows


def test_typing_that_never_pauses_does_not_keep_the_index_waiting(
    index: RepositoryIndex, shop: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep_module, "_QUIET_S", 3600.0)
    monkeypatch.setattr(upkeep_module, "_LONGEST_WAIT_S", 0.05)
    buffer, _ = open_document(shop, "shop/model.py", "class Item:\n    def price_in_buffer(self): ...\n")
    index.update(buffer)
    assert "price_in_buffer" in context(index, shop)


def test_a_name_that_the_disk_refuses_does_not_end_the_worker(index: RepositoryIndex, shop: Path):
    strange, _ = open_document(shop, "n" * 5000 + ".py", "def strange(): ...\n")
    index.update(strange)
    index.refresh(shop / ("m" * 5000 + ".py"))
    assert index.settle(30)
    buffer, _ = open_document(shop, "shop/model.py", "class Item:\n    def price_in_buffer(self): ...\n")
    index.update(buffer)
    assert "price_in_buffer" in context(index, shop)


def test_a_change_that_cannot_be_taken_in_does_not_end_the_worker(
    index: RepositoryIndex, shop: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    with monkeypatch.context() as broken:
        broken.setattr(index._intake, "take_file", None)
        index.refresh(shop / "main.py")
        assert index.settle(30)
    assert "could not be taken into the index" in caplog.text
    write(shop, {"shop/model.py": "class Item:\n    def changed(self): ...\n"})
    index.refresh(shop / "shop/model.py")
    assert "changed" in context(index, shop)


def test_a_folder_that_is_moved_takes_its_files_along(index: RepositoryIndex, shop: Path):
    """Editors tell of the two folders, not of the files in them."""
    (shop / "shop").rename(shop / "store")
    index.refresh(shop / "shop")
    index.refresh(shop / "store")
    text = MAIN.replace("shop", "store")
    assert "price_on_disk" in context(index, shop, text=text)
    assert context(index, shop) == "" or "shop/model.py" not in context(index, shop)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_git_ignores_elsewhere_is_not_taken_in_when_it_changes(tmp_path: Path):
    """An ignore file above the workspace folder, and `.git/info/exclude`."""
    root = tmp_path / "package"
    write(tmp_path, {".gitignore": "made/\n", **{f"package/{name}": text for name, text in FILES.items()}})
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".git/info").mkdir(exist_ok=True)
    (tmp_path / ".git/info/exclude").write_text("private.py\n")
    index = RepositoryIndex([root])
    index.build()
    write(
        root, {"made/out.py": "def made(): ...\n", "private.py": "def private(): ...\n", "new.py": "def new(): ...\n"}
    )
    for name in ("made", "made/out.py", "private.py", "new.py"):
        index.refresh(root / name)
    buffer, _ = open_document(root, "private.py", "def private(): ...\n")
    index.update(buffer)
    text = "from made.out import made\nfrom private import private\nfrom new import new\n$0"
    found = context(index, root, text=text)
    index.close()
    assert "def new" in found
    assert "def made" not in found
    assert "def private" not in found


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_folder_that_becomes_a_link_out_gives_nothing(
    index: RepositoryIndex, shop: Path, tmp_path_factory: pytest.TempPathFactory
):
    outside = tmp_path_factory.mktemp("outside")
    write(outside, {"model.py": "class Item:\n    def outside(self): ...\n"})
    assert index.is_allowed(shop / "shop/model.py")
    for path in (shop / "shop").iterdir():
        path.unlink()
    (shop / "shop").rmdir()
    (shop / "shop").symlink_to(outside)
    index.refresh(shop / "shop/model.py")
    assert "outside" not in context(index, shop)


def test_what_an_ignore_file_allows_again_is_taken_in(index: RepositoryIndex, shop: Path):
    write(shop, {".ignore": "shop/model.py\n"})
    index.refresh(shop / ".ignore")
    assert context(index, shop) == ""
    (shop / ".ignore").unlink()
    index.refresh(shop / ".ignore")
    assert "price_on_disk" in context(index, shop)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_changed_gitignore_counts_for_untracked_files_only(shop: Path):
    write(shop, {"shop/tracked.py": "def tracked(): ...\n"})
    subprocess.run(["git", "init", "-q"], cwd=shop, check=True)
    subprocess.run(["git", "add", "shop/tracked.py"], cwd=shop, check=True)
    index = RepositoryIndex([shop])
    index.build()
    write(shop, {".gitignore": "shop/\n"})
    index.refresh(shop / ".gitignore")
    found = context(index, shop, text="from shop.model import Item\nfrom shop.tracked import tracked\n$0")
    index.close()
    assert "def tracked" in found
    assert "price_on_disk" not in found
