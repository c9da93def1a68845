"""Which verified fixes are offered as next edit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from coderls.document import Document, Edit
from coderls.next_edit.history import History
from coderls.repair.candidate import apply_edits
from coderls.repair.diagnostic import Diagnostic
from coderls.session.fresh_fixes import Found, FreshFixes

TEXT = "first\nsecond\nthird\n"


def opened() -> tuple[Document, History]:
    document = Document("file:///a.py", "python", 1, TEXT)
    return document, History(document)


def after(document: Document, history: History, start: int, end: int, text: str) -> Document:
    changed = document.apply(Edit(start, end, text), document.version + 1)
    history.changed(changed)
    return changed


def about(document: Document, word: str, message: str) -> Diagnostic:
    start = document.text.index(word)
    return Diagnostic(start, start + len(word), message, source="ruff", rule="F1")


def proved(document: Document, one: Diagnostic, text: str = "mended") -> tuple[Diagnostic, Any]:
    edits = (Edit(one.start, one.end, text),)
    candidate = SimpleNamespace(edits=edits, text=apply_edits(document.text, edits))
    return one, SimpleNamespace(candidate=candidate, title="Mend it", proved_by="parse, ruff", evidence=("ruff: gone",))


def looked(fixes: FreshFixes, document: Document, history: History, *found: tuple[Diagnostic, Any]) -> list[Found]:
    fixes.looked(document, [one for one, _ in found], found, history.changes())
    return list(fixes.of(document))


def test_what_was_there_before_the_edits_is_not_offered() -> None:
    document, history = opened()
    fixes = FreshFixes()
    old = about(document, "third", "third is bad")
    assert looked(fixes, document, history, proved(document, old)) == []
    document = after(document, history, 0, 5, "other")
    new = about(document, "second", "second is bad")
    [found] = looked(fixes, document, history, proved(document, new), proved(document, old))
    assert (found.edit, found.kind) == (Edit(6, 12, "mended"), "repair")
    assert found.reason == "Mend it (verified: parse, ruff)"
    assert found.evidence == ("second is bad", "ruff: gone")


def test_it_stays_fresh_while_the_user_works_on() -> None:
    document, history = opened()
    fixes = FreshFixes()
    looked(fixes, document, history)
    for text in ("other", "another"):
        document = after(document, history, 0, document.text.index("\n"), text)
        assert fixes.of(document) == ()  # what was found is of the version before
        [found] = looked(fixes, document, history, proved(document, about(document, "second", "second is bad")))
        assert found.edit.new_text == "mended"


def test_without_an_earlier_look_the_changed_name_tells() -> None:
    document, history = opened()
    document = after(document, history, 0, 5, "other")
    named = about(document, "second", "`first` is not known")
    chance = about(document, "third", "third is bad")
    [found] = looked(FreshFixes(), document, history, proved(document, named), proved(document, chance))
    assert found.edit.start == named.start


def test_not_in_the_line_that_the_user_is_at_and_not_a_whole_rewriting() -> None:
    document, history = opened()
    fixes = FreshFixes()
    looked(fixes, document, history)
    document = after(document, history, 0, 5, "other")
    here = about(document, "other", "other is bad")
    far = about(document, "third", "third is bad")
    assert looked(fixes, document, history, proved(document, here), proved(document, far, "x" * 1000)) == []


def test_a_change_of_another_document_takes_it_back() -> None:
    document, history = opened()
    fixes = FreshFixes()
    looked(fixes, document, history)
    document = after(document, history, 0, 5, "other")
    assert looked(fixes, document, history, proved(document, about(document, "second", "second is bad")))
    fixes.forget()
    assert fixes.of(document) == ()
    assert looked(fixes, document, history, proved(document, about(document, "second", "second is bad")))
