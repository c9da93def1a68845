"""What silences a checker is no repair."""

from __future__ import annotations

import pytest

from coderls.document import Document
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.guards import Rules, code_of, objection

PYTHON = "def f(items):\n    total = 0\n    for item in items:\n        total += item.prise\n    return total\n"


def judged(
    text: str, old: str, new: str, language: str = "python", *, message: str = "Wrong", rules: Rules | None = None
) -> str:
    """The objection to replacing `old` by `new`; the complaint is about the start of `old`."""
    document = Document("file:///a", language, 1, text)
    place = text.index(old)
    candidate = Candidate.of_text(text, text.replace(old, new, 1), "chat", "t")
    return objection(document, Diagnostic(place, place + len(old), message), candidate, rules or Rules())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("item.prise", "item.price"),
        ("total += item.prise", "if item:\n            total += item.price"),
        ("total += item.prise", "total = total + item.price"),
        ("for item in items:\n        total += item.prise", "total = sum(item.price for item in items)"),
        ("    return total", "    return total"),
    ],
)
def test_a_repair_is_let_through(old: str, new: str) -> None:
    assert judged(PYTHON, old, new) == ("" if old != new else "It changes nothing.")


@pytest.mark.parametrize(
    ("language", "old", "new"),
    [
        ("python", "x = bad", "x = bad  # noqa: F821"),
        ("python", "x = bad", "x = bad  # type: ignore[name-defined]"),
        ("python", "x = bad", "x = bad  # pyright: ignore"),
        ("python", "x = bad", "x = bad  # pylint: disable=E0602"),
        ("python", "x = bad", "# mypy: ignore-errors\nx = bad"),
        ("typescript", "x = bad", "// @ts-ignore\nx = bad"),
        ("typescript", "x = bad", "// @ts-expect-error later\nx = bad"),
        ("javascript", "x = bad", "x = bad // eslint-disable-line"),
        ("javascript", "x = bad", "/* global bad */\nx = bad"),
        ("c", "x = bad", "x = bad; // NOLINT"),
        ("c", "x = bad", "#pragma GCC diagnostic ignored \"-Wall\"\nx = bad"),
        ("go", "x = bad", "x = bad //nolint:all"),
        ("rust", "x = bad", "#[allow(unused)]\nx = bad"),
        ("rust", "x = bad", "#![allow(dead_code)]\nx = bad"),
        ("java", "x = bad", '@SuppressWarnings("all")\nx = bad'),
    ],
)  # fmt: skip
def test_a_comment_for_the_checker_is_no_repair(language: str, old: str, new: str) -> None:
    assert "look away" in judged("y = 1\nx = bad\n", old, new, language)


@pytest.mark.parametrize(
    ("language", "old", "new"),
    [
        ("python", "bad.x", "cast(Any, bad).x"),
        ("python", "bad.x", "typing.cast(typing.Any, bad).x"),
        ("python", "v = bad.x", "v: Any = bad.x"),
        ("python", "bad.x", "getattr(bad, 'x')"),
        ("python", "bad.x", "eval('bad.x')"),
        ("python", "v = bad.x", "if False:\n    v = bad.x"),
        ("python", "v = bad.x", "try:\n    v = bad.x\nexcept Exception: pass"),
        ("python", "v = bad.x", "raise NotImplementedError"),
        ("typescript", "bad.x", "(bad as any).x"),
        ("typescript", "bad.x", "(bad as unknown as Good).x"),
        ("rust", "bad.x", "unsafe { bad.x }"),
        ("rust", "bad.x", "todo!()"),
        ("java", "bad.x", "((Object) bad).x"),
        ("c", "bad.x", "(void *) bad.x"),
    ],
)
def test_a_blindfold_is_no_repair(language: str, old: str, new: str) -> None:
    assert "hides the fault" in judged("y = 1\nv = bad.x\n", old, new, language)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        total += item.prise\n", ""),
        ("        total += item.prise\n", "        pass\n"),
        ("        total += item.prise\n", "        # total += item.prise\n"),
        ("        total += item.prise\n", "        continue\n"),
        ("        total += item.prise\n", '        "total += item.prise"\n'),
        ("    for item in items:\n        total += item.prise\n", ""),
    ],
)
def test_deleting_the_statement_is_no_repair(old: str, new: str) -> None:
    assert "deletes the statement" in judged(PYTHON, old, new)
    assert "deletes" not in judged(PYTHON, old, new, rules=Rules(keep=False))


def test_what_is_not_needed_may_go() -> None:
    assert judged("import os\nx = 1\n", "import os\n", "", message="`os` imported but unused") == ""


def test_a_comment_repairs_nothing_but_comments() -> None:
    assert "comments only" in judged("x = bad\n", "x = bad", "x = bad  # is good")
    assert judged("#comment\nx = 1\n", "#comment", "# comment", message="Block comment should start with `# `") == ""


def test_a_repair_is_near() -> None:
    text = "import os\n" + "x = 1\n" * 60 + "y = bad\n"
    there = Diagnostic(len(text) - 4, len(text) - 1, "Undefined name `bad`")
    document = Document("file:///a.py", "python", 1, text)
    far = Candidate.of_text(text, text.replace("x = 1", "bad = 1", 1), "chat", "t")
    assert "far from" in objection(document, there, far, Rules())
    assert objection(document, there, far, Rules(near=False)) == ""
    imported = Candidate.of_text(text, "import bad\n" + text, "chat", "t")
    assert objection(document, there, imported, Rules()) == ""


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("python", "x = '#no' # yes", "x = '#no' "),
        ("c", 'x = "//no"; // yes\ny /* a\nb */ z', 'x = "//no"; \ny  z'),
        ("javascript", "`//no` // yes", "`//no` "),
    ],
)
def test_comments_are_told_from_strings(language: str, text: str, code: str) -> None:
    assert code_of(text, language) == code
