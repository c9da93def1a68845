"""Each checker for real: what it complains about, where, and that it is content with the mended text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coderls.document import Document
from coderls.repair.candidate import Candidate, apply_edits
from coderls.repair.checkers import Checker, Report, find_checkers
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.verify import Baseline, Rules, verify
from coderls.repo_context.parse import parse_file
from tests.repair.checkers.conftest import FindTool

ESLINT = 'export default [{ rules: { "no-undef": "error", "no-extra-semi": "error" } }];\n'
CARGO = '[package]\nname = "ex"\nversion = "0.1.0"\nedition = "2021"\n'


@dataclass(frozen=True)
class Case:
    """A file with a fault, marked by its own text; `also` are other files of the project."""

    checker: str
    path: str
    language: str
    text: str
    fault: str
    says: str
    mended: str
    rule: str = ""
    exact: bool = True
    also: tuple[tuple[str, str], ...] = ()


CASES = (
    Case("parse", "a.py", "python", "x = 1\nif x = 2:\n    pass\n", " = 2", "invalid syntax", " == 2", exact=False),
    Case("parse", "a.php", "php", "<?php\n$x = (1;\n", "(1", "syntax error", "(1)", exact=False),
    Case("ruff", "a.py", "python", 's = "é😀"; print(s, nmae)\n', "nmae", "Undefined name `nmae`", "s", "F821"),
    Case(
        "pyright", "a.py", "python", 's = "é😀"; print(s.uper())\n', "uper", 'attribute "uper"', "upper",
        "reportAttributeAccessIssue",
    ),
    Case("mypy", "a.py", "python", 'n: int = 1\nn = "one"\n', '"one"', "Incompatible types", "2", "assignment",
        also=(("mypy.ini", "[mypy]\n"),)),
    Case("tsc", "a.ts", "typescript", 'const s = "é😀"; s.lenght;\nexport {};\n', "lenght", "lenght", "length", "2551"),
    Case(
        "eslint", "a.js", "javascript", 'const s = "é😀"; s.at(nmae);\n', "nmae", "'nmae' is not defined", "0",
        "no-undef", also=(("eslint.config.mjs", ESLINT),),
    ),
    Case(
        "go vet", "main.go", "go", 'package main\n\nfunc main() {\n\ts := "é😀"; print(s, nmae)\n}\n', "nmae",
        "undefined: nmae", "s", exact=False, also=(("go.mod", "module ex\n\ngo 1.21\n"),),
    ),
    Case(
        "cargo check", "src/main.rs", "rust", 'fn main() {\n    let s = "é😀"; print!("{}", s.lenn());\n}\n', "lenn",
        "no method named `lenn`", "len", "E0599", also=(("Cargo.toml", CARGO),),
    ),
    Case(
        "cc", "a.c", "c", 'int f(void) {\n    const char *s = "é😀"; return s[0] + nmae;\n}\n', "nmae", "undeclared",
        "1",
    ),
    Case("cc", "b.c", "c", '#include "gone.h"\nint x;\n', '"gone.h"', "gone.h: No such", "<stdio.h>", exact=False),
    Case(
        "javac", "A.java", "java", 'class A {\n    int f() { String s = "é😀"; return nmae; }\n}\n', "nmae",
        "cannot find symbol: variable nmae", "s.length()", exact=False,
    ),
)  # fmt: skip


def project(folder: Path, case: Case) -> Document:
    """The case's files on disk, the one with the fault empty: the editor has not saved it yet."""
    for name, text in (*case.also, (case.path, "")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / case.path
    return Document(path.as_uri(), case.language, 1, case.text, path)


async def reports(checker: Checker, *documents: Document) -> list[Report]:
    """What it says of each, one after the other."""
    try:
        return [await checker.check(document, limit_s=100) for document in documents]
    finally:
        await checker.aclose()


def one(checkers: tuple[Checker, ...], name: str) -> Checker:
    """The checker of that name."""
    return next(checker for checker in checkers if checker.name == name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.checker} {case.path}")
async def test_a_fault_is_found_and_its_repair_is_seen(case: Case, tmp_path: Path, need: FindTool) -> None:
    if case.checker != "parse":
        need(case.checker)
    document = project(tmp_path, case)
    mended = Document(document.uri, case.language, 2, case.text.replace(case.fault, case.mended), document.path)
    before = (tmp_path / case.path).read_bytes()
    checkers = find_checkers(tmp_path, trusted=True, parse=parse_file)
    first, second, third = await reports(one(checkers, case.checker), document, mended, document)
    assert first.failed is None
    complaint = next(each for each in first.diagnostics if case.says in each.message)
    assert complaint.rule == case.rule or not case.rule
    assert is_at(complaint, case)
    assert second.failed is None
    assert [each.message for each in second.diagnostics if each.severity == 1] == []
    assert complaint in third.diagnostics
    assert (tmp_path / case.path).read_bytes() == before


def is_at(complaint: Diagnostic, case: Case) -> bool:
    """Whether a complaint is about the marked text, or begins there where only a place is known."""
    start = case.text.index(case.fault)
    if case.exact:
        return case.text[complaint.start : complaint.end] == case.fault
    return complaint.start <= start + len(case.fault) and start <= max(complaint.end, complaint.start)


async def test_faults_of_other_files_do_not_keep_go_from_one(tmp_path: Path, need: FindTool) -> None:
    need("go vet")
    case = next(case for case in CASES if case.checker == "go vet")
    other = ("other.go", "package main\n\nfunc other() int {\n\treturn nowhere\n}\n")
    document = project(tmp_path, replace(case, also=(*case.also, other)))
    mended = replace(document, text=case.text.replace(case.fault, case.mended))
    (tmp_path / "main.go").write_text(mended.text, encoding="utf-8")
    checker = one(find_checkers(tmp_path, trusted=True, parse=parse_file), "go vet")
    first, second = await reports(checker, document, mended)
    assert (len(first.diagnostics), first.failed) == (1, None)
    assert (second.diagnostics, second.failed) == ((), None)
    (tmp_path / "other.go").write_text("package main\n\nfunc other( {\n", encoding="utf-8")
    [blind] = await reports(checker, mended)
    assert blind.failed is not None


#: A fault that is mended by another one, elsewhere in the file.
MOVED = (
    Case(
        "go vet", "main.go", "go",
        'package main\n\nfunc f(a int) { _ = a }\n\nfunc main() {\n\ts := "x"\n\tf(s)\n\tf(s)\n\tf(3)\n}\n', "f(a int)",
        "cannot use s", "f(a string)", also=(("go.mod", "module ex\n\ngo 1.21\n"),),
    ),
    Case(
        "cargo check", "src/main.rs", "rust",
        'fn f(_a: i32) {}\nfn main() {\n    let s = "x";\n    f(s);\n    f(s);\n    f(3);\n}\n', "_a: i32",
        "mismatched types", "_a: &str", "E0308", also=(("Cargo.toml", CARGO),),
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", MOVED, ids=lambda case: case.checker)
async def test_no_fault_of_types_hides_another(case: Case, tmp_path: Path, need: FindTool) -> None:
    need(case.checker)
    document = project(tmp_path, case)
    checker = one(find_checkers(tmp_path, trusted=True, parse=parse_file), case.checker)
    baseline = Baseline(document, limit_s=100)
    candidate = Candidate.of_text(case.text, case.text.replace(case.fault, case.mended), "chat", "t")
    try:
        target = next(each for each in (await baseline.report(checker)).diagnostics if case.says in each.message)
        verdict = await verify(baseline, target, candidate, [checker], rules=Rules(near=False))
    finally:
        await checker.aclose()
    assert "new complaint" in verdict.reason


async def test_a_project_that_has_ruff_fix_everything_is_checked_all_the_same(tmp_path: Path, need: FindTool) -> None:
    need("ruff")
    says_fix = (("pyproject.toml", "[tool.ruff]\nfix = true\n"),)
    document = project(
        tmp_path, Case("ruff", "a.py", "python", "import os\nprint(nmae)\n", "nmae", "", "", also=says_fix)
    )
    checkers = find_checkers(tmp_path, trusted=True, parse=parse_file)
    (report,) = await reports(one(checkers, "ruff"), document)
    assert not report.failed
    assert {diagnostic.rule for diagnostic in report.diagnostics} >= {"F401", "F821"}


FIXED = (
    (Case("ruff", "a.py", "python", "import os\nx = 'é😀'\n", "import os", "", ""), "x = 'é😀'\n"),
    (
        Case("eslint", "a.js", "javascript", 'const s = "é😀";;\ns.at(0);\n', ";;", "", ""),
        'const s = "é😀";\ns.at(0);\n',
    ),
    (
        Case("cc", "a.c", "c", "int printf(const char *, ...);\nint f(void) { return prinf(0); }\n", "prinf", "", ""),
        "printf(0)",
    ),
    (
        Case("cc", "b.c", "c", 'int f(void) { return strlen("é"); }\n', "strlen", "", ""),
        '#include <string.h>\nint f(void) { return strlen("é"); }\n',
    ),
    (Case("tsc", "a.ts", "typescript", 'export const n = "é😀".lenght;\n', "lenght", "", ""), '"é😀".length'),
    (Case("cargo check", "src/main.rs", "rust", "use std::fmt;\nfn main() {}\n", "use", "", ""), "fn main() {}\n"),
)


@pytest.mark.parametrize(("case", "fixed"), FIXED, ids=lambda value: getattr(value, "checker", ""))
async def test_the_checkers_own_fixes_come_as_edits(case: Case, fixed: str, tmp_path: Path, need: FindTool) -> None:
    need(case.checker)
    document = project(tmp_path, replace(case, also=(("eslint.config.mjs", ESLINT), ("Cargo.toml", CARGO))))
    checkers = find_checkers(tmp_path, trusted=True, parse=parse_file)
    (report,) = await reports(one(checkers, case.checker), document)
    results = [apply_edits(case.text, sorted(fix.edits, key=lambda edit: edit.start)) for fix in report.fixes]
    assert any(fixed in after and after != case.text for after in results)
