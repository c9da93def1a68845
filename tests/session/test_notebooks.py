from __future__ import annotations

from pathlib import Path

from coderls.document import Document
from coderls.session.notebooks import Cell, Notebooks

BOOK = "file:///books/my%20book.ipynb"


def documents(*texts: str, language: str = "python") -> dict[str, Document]:
    return {f"cell:{number}": Document(f"cell:{number}", language, 1, text) for number, text in enumerate(texts)}


def test_cells_before_are_context_in_their_order() -> None:
    books, known = Notebooks(), documents("a = 1\n", "", "b = 2", "c = ")
    books.open(BOOK, [Cell(uri, True) for uri in known])
    found = books.before(known["cell:3"], known)
    assert [(each.path, each.text, each.source) for each in found] == [
        ("my book.ipynb, cell 1", "a = 1\n", "notebook"),
        ("my book.ipynb, cell 3", "b = 2", "notebook"),
    ]
    assert books.name_of(known["cell:3"], None) == "my book.ipynb"


def test_cells_that_were_moved_removed_or_are_of_another_language() -> None:
    books, known = Notebooks(), documents("a = 1\n", "b = 2\n", "c = ")
    books.open(BOOK, [Cell(uri, True) for uri in known])
    known["sql"] = Document("sql", "sql", 1, "SELECT 1")
    books.splice(BOOK, 0, 1, [Cell("sql", True), Cell("gone", True)])
    assert [each.text for each in books.before(known["cell:2"], known)] == ["b = 2\n"]
    assert books.before(known["cell:0"], known) == ()
    books.splice(BOOK, 50, 3, [])
    books.splice(BOOK, -3, -1, [])
    books.close(BOOK)
    assert books.before(known["cell:2"], known) == ()
    books.close("file:///never.ipynb")


def test_data_is_no_code_and_only_the_last_cells_are_looked_at() -> None:
    texts = ["x" * 30_000, *(f"a{number} = 1" for number in range(60)), "b = "]
    books, known = Notebooks(), documents(*texts)
    books.open(BOOK, [Cell(uri, True) for uri in known])
    found = books.before(known["cell:61"], known)
    assert len(found) == 40
    assert found[-1].text == "a59 = 1"


def test_other_documents_have_their_own_names() -> None:
    books = Notebooks()
    document = Document("file:///p/src/a.py", "python", 1, "", Path("/p/src/a.py"))
    assert books.name_of(document, Path("/p")) == "src/a.py"
    assert books.name_of(document, None) == "a.py"
    assert books.name_of(Document("untitled:Untitled-1", "python", 1, ""), None) == "Untitled-1"
    assert books.before(document, {}) == ()
