"""TypeScript 5 for real, by its own server."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from coderls.document import Document
from coderls.repair.candidate import apply_edits
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.checkers.typescript import Tsc
from devtools.checker_tools import home

#: One server for all: it takes seconds to start.
pytestmark = pytest.mark.asyncio(loop_scope="module")
PROGRAM = home() / "typescript-5" / "node_modules" / ".bin" / "tsc"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tsc(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tsc]:
    if not PROGRAM.exists():
        pytest.skip("TypeScript 5 is not installed: python -m devtools.checker_tools")
    made = Tsc(PROGRAM, Surroundings.of(tmp_path_factory.mktemp("work"), trusted=False))
    yield made
    await made.aclose()


@pytest.fixture
def folder(tsc: Tsc, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own in the server's."""
    assert tsc.surroundings.folder is not None
    made = tsc.surroundings.folder / str(request.node.name)
    made.mkdir()
    return made


def opened(folder: Path, name: str, text: str, language_id: str = "typescript") -> Document:
    return Document((folder / name).as_uri(), language_id, 1, text, folder / name)


async def test_a_fault_its_place_and_its_fix(tsc: Tsc, folder: Path) -> None:
    text = 'export const s = "é😀"; s.lenght;\n'
    (folder / "a.ts").write_text("", encoding="utf-8")
    report = await tsc.check(opened(folder, "a.ts", text))
    assert report.failed is None
    [complaint] = report.diagnostics
    assert (text[complaint.start : complaint.end], complaint.rule) == ("lenght", "2551")
    assert text.replace("lenght", "length") in [apply_edits(text, fix.edits) for fix in report.fixes]
    mended = await tsc.check(opened(folder, "a.ts", text.replace("lenght", "length")))
    assert (mended.failed, mended.diagnostics) == (None, ())
    again = await tsc.check(opened(folder, "a.ts", text))
    assert again.diagnostics == report.diagnostics
    assert (folder / "a.ts").read_text(encoding="utf-8") == ""


async def test_syntax_errors_and_names_of_the_library(tsc: Tsc, folder: Path) -> None:
    broken = await tsc.check(opened(folder, "a.ts", "export const a = [1, 2\nconst b = 1;\n"))
    assert any("expected" in one.message for one in broken.diagnostics)
    unknown = await tsc.check(opened(folder, "a.ts", "export const t = docment.title;\n"))
    assert [one.message for one in unknown.diagnostics] == ["Cannot find name 'docment'. Did you mean 'document'?"]


async def test_the_project_and_what_is_open_and_not_saved(tsc: Tsc, folder: Path) -> None:
    (folder / "tsconfig.json").write_text('{"compilerOptions": {"strict": true}}', encoding="utf-8")
    (folder / "b.ts").write_text("export const one = 1;\n", encoding="utf-8")
    text = 'import { one } from "./b";\nexport const n: string = one;\n'
    by_disk = await tsc.check(opened(folder, "a.ts", text))
    assert [one.rule for one in by_disk.diagnostics] == ["2322"]
    unsaved = opened(folder, "b.ts", 'export const one = "1";\n')
    by_editor = await tsc.check(opened(folder, "a.ts", text), others=[unsaved])
    assert by_editor.diagnostics == ()
    assert [one.rule for one in (await tsc.check(opened(folder, "a.ts", text))).diagnostics] == ["2322"]


async def test_other_languages_of_it(tsc: Tsc, folder: Path) -> None:
    text = "// @ts-check\n/** @type {number} */\nexport const n = 'one';\n"
    [complaint] = (await tsc.check(opened(folder, "a.js", text, "javascript"))).diagnostics
    assert complaint.rule == "2322"
    shown = await tsc.check(opened(folder, "b.jsx", "export const a = <b>x</b>;\n", "javascriptreact"))
    assert (shown.failed, shown.diagnostics) == (None, ())
    nameless = Document("untitled:1", "typescript", 1, "let a: number = 'x';\n", None)
    assert [one.rule for one in (await tsc.check(nameless)).diagnostics] == ["2322"]


async def test_no_plugin_of_the_project_is_loaded(tsc: Tsc, folder: Path) -> None:
    options = {"compilerOptions": {"plugins": [{"name": "spy"}, {"name": "./spy.js"}]}, "files": ["a.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(options), encoding="utf-8")
    spy = f"require('fs').writeFileSync({json.dumps(str(folder / 'ran'))}, ''); module.exports = () => ({{}});\n"
    (folder / "node_modules" / "spy").mkdir(parents=True)
    for place in ("spy.js", "node_modules/spy/index.js"):
        (folder / place).write_text(spy, encoding="utf-8")
    (folder / "a.ts").write_text("export const a = 1;\n", encoding="utf-8")
    report = await tsc.check(opened(folder, "a.ts", "export const a: string = 1;\n"))
    assert [one.rule for one in report.diagnostics] == ["2322"]
    assert not (folder / "ran").exists()


async def test_one_that_may_load_plugins_by_path_is_not_started_in_a_strange_folder(tmp_path: Path) -> None:
    package = tmp_path / "tools" / "node_modules" / "typescript"
    for name, text in (
        ("package.json", '{"name": "typescript", "version": "4.7.4"}'),
        ("lib/tsserver.js", f"require('fs').writeFileSync({json.dumps(str(tmp_path / 'ran'))}, '')"),
        ("bin/tsc", ""),
    ):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    (tmp_path / "work").mkdir()
    checker = Tsc(package / "bin" / "tsc", Surroundings.of(tmp_path / "work", trusted=False))
    report = await checker.check(opened(tmp_path / "work", "a.ts", "export const a = 1;\n"))
    await checker.aclose()
    assert "4.7.4" in (report.failed or "")
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
async def test_the_package_is_found_beside_a_script(tmp_path: Path) -> None:
    if not PROGRAM.exists():
        pytest.skip("TypeScript 5 is not installed: python -m devtools.checker_tools")
    bins = tmp_path / "node_modules" / ".bin"
    bins.mkdir(parents=True)
    (tmp_path / "node_modules" / "typescript").symlink_to(PROGRAM.parent.parent / "typescript")
    (bins / "tsc").write_text('#!/bin/sh\nexec node "$(dirname "$0")/../typescript/bin/tsc" "$@"\n')
    (bins / "tsc").chmod(0o755)
    checker = Tsc(bins / "tsc", Surroundings.of(tmp_path, trusted=True))
    try:
        report = await checker.check(opened(tmp_path, "a.ts", "export const a: string = 1;\n"))
    finally:
        await checker.aclose()
    assert [one.rule for one in report.diagnostics] == ["2322"]
