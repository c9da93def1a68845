"""A question is not answered anew while its word is typed, and is as soon as anything else changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.document import Edit, Snippet
from coderls.repo_context import index as index_module
from coderls.repo_context import upkeep as upkeep_module
from coderls.repo_context.changes import Changes
from coderls.repo_context.index import RepositoryIndex
from coderls.repo_context.languages.language import Import
from coderls.repo_context.outline import Outline
from coderls.repo_context.whole_text import WholeText
from tests.repo_context.repository import count, open_document, show, write

FILES = {"shop.py": "def total(items): ...\ndef refund(order): ...\n", "other.py": "def unrelated(x): ...\n"}
MAIN = "from shop import refund, total\n\nprint(total([]))\n$0\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the questions that were answered anew."""
    seen: list[str] = []
    real = index_module.retrieve

    def retrieve(query, sources, **options):  # type: ignore[no-untyped-def]
        seen.append(query.document.text)
        return real(query, sources, **options)

    monkeypatch.setattr(index_module, "retrieve", retrieve)
    monkeypatch.setattr(upkeep_module, "_QUIET_S", 0.0)
    return seen


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RepositoryIndex]:
    write(tmp_path, FILES)
    made = RepositoryIndex.open_workspace([tmp_path])
    made.build()
    made.settle(30)
    yield made
    made.close()


def test_while_a_word_is_typed_the_context_is_the_same(index: RepositoryIndex, tmp_path: Path, asked: list[str]):
    document, offset = open_document(tmp_path, "main.py", MAIN)
    index.update(document)
    index.settle(30)
    answers: list[list[Snippet]] = []
    for number, sign in enumerate(["", "r", "e", "f"]):
        document = document.apply(Edit(offset, offset, sign), document.version + 1)
        offset += len(sign)
        index.update(document)
        if number:
            index.settle(30)  # the index has read the document again: that alone changes nothing
        answers.append(index.snippets(document, offset, budget_tokens=500, count=count))
    assert len(asked) == 1
    assert "def refund" in show(answers[0])
    assert answers == [answers[0]] * 4


@pytest.mark.parametrize(
    "change", ["another word", "another place", "another budget", "a file", "another place edited"]
)
def test_what_else_changes_asks_anew(index: RepositoryIndex, tmp_path: Path, asked: list[str], change: str):
    document, offset = open_document(tmp_path, "main.py", MAIN)
    index.update(document)
    index.settle(30)
    index.snippets(document, offset, budget_tokens=500, count=count)
    budget = 500
    if change == "another word":
        document = document.apply(Edit(offset, offset, "x = "), 2)
        offset += 4
    elif change == "another place":
        offset = document.text.index("print")
    elif change == "another budget":
        budget = 50
    elif change == "a file":
        (tmp_path / "shop.py").write_text("def total(items, tax): ...\ndef refund(order): ...\n")
        index.refresh(tmp_path / "shop.py")
        index.settle(30)
    else:
        other, _ = open_document(tmp_path, "other.py", FILES["other.py"])
        index.update(other)
        index.settle(30)
    found = show(index.snippets(document, offset, budget_tokens=budget, count=count))
    assert len(asked) == 2
    if change == "a file":
        assert "def total(items, tax)" in found


def test_changes_of_the_asking_file_itself_do_not_count():
    changes = Changes()
    changes.note("a")
    before = changes.besides("a"), changes.besides("b")
    changes.note("a")
    assert changes.besides("a") == before[0]
    assert changes.besides("b") != before[1]
    for number in range(200):  # only some files are kept apart
        changes.besides(f"f{number}")
    changes.note("f199")
    assert changes.besides("f199") == changes.besides("f198") - 1


def test_an_import_that_is_used_meanwhile_is_not_idle_any_more():
    own = Outline((), (Import("a", "fresh", "fresh"), Import("a", "old", "old")))
    whole = WholeText()
    before = "from a import fresh, old\nold()\n"
    assert whole.idle(before, own) == {"fresh": 1.0}
    assert whole.idle(before + "fresh()\n", own) == {}
    assert whole.idle(before, own) == {"fresh": 1.0}


def test_a_package_that_is_opened_as_its_own_workspace_knows_its_name(tmp_path: Path):
    root = tmp_path / "shop"
    write(
        root,
        {
            "__init__.py": "",
            "cart.py": "def fill(items): ...\n",
            "inner/__init__.py": "",
            "inner/tax.py": "def vat(): ...\n",
        },
    )
    index = RepositoryIndex.open_workspace([root])
    index.build()
    text = "import shop.inner.tax\nfrom shop.cart import fill\n\n$0"
    document, offset = open_document(root, "main.py", text)
    found = index.snippets(document, offset, budget_tokens=500, count=count)
    index.close()
    sources = {snippet.path: {piece.source for piece in snippet.pieces} for snippet in found}
    assert sources == {"cart.py": {"import"}, "inner/tax.py": {"module"}}
