"""A file that is open beside the checked one counts as the editor has it, saved or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from coderls.document import Document
from coderls.repair.checkers import find_checkers
from coderls.repair.checkers.nearest_test import NearestTest
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repo_context.parse import parse_file
from tests.repair.checkers.conftest import FindTool


@dataclass(frozen=True)
class Case:
    """`text` is wrong beside `saved`, and right beside `unsaved`; both are what `other` holds."""

    checker: str
    language: str
    path: str
    text: str
    other: str
    saved: str
    unsaved: str
    also: tuple[tuple[str, str], ...] = ()


CASES = (
    Case("pyright", "python", "a.py", "import b\nb.new()\n", "b.py", "", "def new(): ...\n"),
    Case(
        "mypy", "python", "a.py", "import b\nb.new()\n", "b.py", "", "def new() -> None: ...\n",
        (("mypy.ini", "[mypy]\n"),),
    ),
    Case(
        "tsc", "typescript", "a.ts", 'import { one } from "./b";\nexport const n: string = one;\n', "b.ts",
        "export const one = 1;\n", 'export const one = "1";\n',
    ),
    Case(
        "go vet", "go", "a.go", "package ex\n\nfunc F() int { return one() }\n", "b.go", "package ex\n",
        "package ex\n\nfunc one() int { return 1 }\n", (("go.mod", "module ex\n\ngo 1.21\n"),),
    ),
    Case(
        "cargo check", "rust", "src/lib.rs", "mod b;\npub fn f() -> i32 { b::one() }\n", "src/b.rs", "",
        "pub fn one() -> i32 { 1 }\n",
        (("Cargo.toml", '[package]\nname = "ex"\nversion = "0.1.0"\nedition = "2021"\n'),),
    ),
    Case("cc", "c", "a.c", '#include "b.h"\nint f(void) { return ONE; }\n', "b.h", "", "#define ONE 1\n"),
    Case("cc", "c", "src/a.c", '#include "in/b.h"\nint f(void) { return ONE; }\n', "src/in/b.h", "", "#define ONE 1\n"),
    Case(
        "cc", "c", "src/a.c", '#include "in/b.h"\nint f(void) { return ONE + two() + four(); }\n', "src/in/b.h",
        '#pragma once\n#include "c.h"\n#include "../d.h"\nenum { ZERO };\n',
        '#pragma once\n#include "c.h"\n#include "../d.h"\nenum { ZERO, ONE };\n',
        (("src/in/c.h", '#pragma once\n#include "b.h"\nint two(void);\n'), ("src/d.h", "int four(void);\n")),
    ),
    Case(
        "javac", "java", "p/A.java", "package p;\nclass A { int f() { return B.ONE; } }\n", "p/B.java",
        "package p;\nclass B { }\n", "package p;\nclass B { static int ONE = 1; }\n",
    ),
)  # fmt: skip


def opened(folder: Path, name: str, text: str, language: str) -> Document:
    return Document((folder / name).as_uri(), language, 1, text, folder / name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.checker} {case.path}")
async def test_what_is_not_saved_is_seen(case: Case, tmp_path: Path, need: FindTool) -> None:
    need(case.checker)
    for name, text in ((case.path, case.text), (case.other, case.saved), *case.also):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = find_checkers(tmp_path, trusted=True, parse=parse_file)
    checker = next(one for one in found if one.name == case.checker)
    document = opened(tmp_path, case.path, case.text, case.language)
    other = opened(tmp_path, case.other, case.unsaved, case.language)
    try:
        by_disk = await checker.check(document, limit_s=100)
        by_editor = await checker.check(document, limit_s=100, others=[other])
        again = await checker.check(document, limit_s=100)
    finally:
        await checker.aclose()
    assert [one.failed for one in (by_disk, by_editor, again)] == [None] * 3
    errors = [
        [one.message for one in report.diagnostics if one.severity == 1] for report in (by_disk, by_editor, again)
    ]
    assert errors[0]
    assert errors[1] == []
    assert errors[2] == errors[0]
    assert (tmp_path / case.other).read_text(encoding="utf-8") == case.saved


async def test_tests_see_it_too(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("ONE = 2\n", encoding="utf-8")
    (tmp_path / "test_a.py").write_text("import b\nassert b.ONE == 1\n", encoding="utf-8")
    document = opened(tmp_path, "a.py", "", "python")
    others = [opened(tmp_path, "b.py", "ONE = 1\n", "python"), opened(tmp_path, ".env", "TOKEN=1", "plaintext")]
    checker = NearestTest("python {test}", Surroundings.of(tmp_path, trusted=True))
    try:
        assert (await checker.check(document)).diagnostics
        assert (await checker.check(document, others=others)).diagnostics == ()
    finally:
        await checker.aclose()
