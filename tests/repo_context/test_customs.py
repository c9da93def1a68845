from __future__ import annotations

from pathlib import Path

from coderls.repo_context.customs import Custom, beside, customs
from coderls.repo_context.files import Shelf
from coderls.repo_context.index import RepositoryIndex
from tests.repo_context.repository import CURSOR, ask, check, open_document, write

HEAD = 'import { operate } from "../util/lift";\n'
OPERATORS = {
    **{f"src/operators/op{n}.ts": HEAD + f"export function op{n}() {{}}\n" for n in range(6)},
    "src/operators/other.ts": 'import { rare } from "../util/rare";\nexport const other = rare;\n',
    "src/operators/notes.py": "from ..util import lift\n",
    "src/util/lift.ts": "export function operate(init: number): void {}\n",
    "src/util/rare.ts": "export function rare(): void {}\n",
}


def built(root: Path) -> RepositoryIndex:
    index = RepositoryIndex([root], keep=False)
    index.build()
    index.settle(30)
    return index


def test_what_most_files_of_the_folder_import_is_shown_to_a_new_one() -> None:
    found = check({**OPERATORS, "src/operators/fresh.ts": "export function fresh() {\n  return $0\n}\n"}, budget=60)
    assert "operate(init: number)" in found
    assert "rare" not in found


def test_it_says_which_retriever_found_it(tmp_path: Path) -> None:
    write(tmp_path, OPERATORS)
    index = built(tmp_path)
    found = ask(index, tmp_path, "src/operators/fresh.ts", "export function fresh() {\n  return $0\n}\n", 60)
    assert [piece.source for snippet in found for piece in snippet.pieces if piece.name == "operate"] == ["custom"]
    index.close()


def test_what_the_file_imports_already_is_not_found_twice(tmp_path: Path) -> None:
    write(tmp_path, OPERATORS)
    index = built(tmp_path)
    found = ask(index, tmp_path, "src/operators/fresh.ts", HEAD + "export function fresh() {\n  return $0\n}\n", 60)
    assert [piece.source for snippet in found for piece in snippet.pieces if piece.name == "operate"] == ["import"]
    index.close()


def test_files_of_the_language_and_the_folder_count_and_not_the_file_itself(tmp_path: Path) -> None:
    write(tmp_path, OPERATORS)
    index = built(tmp_path)
    shelf = index._shelves[0]
    assert list(beside(shelf, "src/operators/op0.ts")) == [f"src/operators/op{n}.ts" for n in range(1, 6)] + [
        "src/operators/other.ts"
    ]
    assert customs(shelf, "src/operators/op0.ts") == [Custom("../util/lift", "operate", 5 / 6)]
    assert not customs(shelf, "src/util/lift.ts")
    assert not customs(shelf, "nowhere/at/all.ts")
    index.close()


def test_an_edit_of_a_file_beside_counts_at_once(tmp_path: Path) -> None:
    write(tmp_path, OPERATORS)
    index = built(tmp_path)
    shelf = index._shelves[0]
    assert customs(shelf, "src/operators/op0.ts")[0].share == 5 / 6
    document, _ = open_document(tmp_path, "src/operators/other.ts", HEAD + "export const other = 1;\n" + CURSOR)
    index.update(document)
    index.settle(30)
    assert customs(shelf, "src/operators/op0.ts")[0].share == 1.0
    index.close()


def test_of_a_folder_with_many_files_some_from_all_over_are_looked_at(tmp_path: Path) -> None:
    write(tmp_path, {f"m{n:03}.py": f"from base import f{n % 2}\n" for n in range(100)})
    index = built(tmp_path)
    shelf = index._shelves[0]
    looked_at = beside(shelf, "m000.py")
    assert len(looked_at) <= 40
    assert looked_at[0] == "m001.py"
    assert looked_at[-1] > "m090.py"
    index.close()


def test_of_thousands_of_files_a_few_hundred_are_asked_about() -> None:
    class Asked(Shelf):
        asked = 0

        def is_outlined(self, path: str) -> bool:
            self.asked += 1
            return True

    shelf = Asked()
    shelf.announce(f"m{n:05}.py" for n in range(20_000))
    assert 30 <= len(beside(shelf, "m00000.py")) <= 40
    assert shelf.asked < 400
