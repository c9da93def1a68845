"""What the shape of the code promises, where a linter does not see it."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "coderls"
LONGEST_FILE = 400

#: module -> the only places (files or folders under coderls/) that may import it
HOMES = {
    "torch": ("engine/model/",),
    "transformers": ("engine/model/", "engine/chat.py"),
    "tree_sitter": ("repo_context/parse.py",),
    "pygls": ("server/", "lsp_convert.py"),
    "lsprotocol": ("server/", "lsp_convert.py"),
    "uvicorn": ("engine/",),
    "starlette": ("engine/",),
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Top-level names of everything that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


@pytest.mark.parametrize("module", HOMES)
def test_a_module_is_imported_at_home_only(module: str) -> None:
    users = {name(path) for path in sources() if module in imports(path)}
    strangers = {user for user in users if not user.startswith(HOMES[module])}
    assert not strangers


def test_there_is_no_pickle() -> None:
    banned = {"pickle", "marshal", "shelve", "dill", "joblib"}
    assert not {name(path): found for path in sources() if (found := banned & imports(path))}
    loads = [name(path) for path in sources() if re.search(r"torch\.load\(|trust_remote_code", path.read_text("utf-8"))]
    assert not loads


def imported_by(code: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter has after running `code`."""
    report = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return set(done.stdout.splitlines()[-1].split())


def test_the_language_server_never_imports_the_heavy_ones() -> None:
    heavy = {"torch", "transformers", "huggingface_hub", "gguf", "uvicorn", "starlette", "tqdm"}
    assert not heavy & imported_by("import coderls.cli, coderls.server")


def test_the_command_line_imports_nothing_before_it_knows_the_command() -> None:
    light = imported_by("import coderls.cli")
    assert not {"torch", "pygls", "lsprotocol", "httpx", "numpy", "tokenizers", "tree_sitter", "tqdm"} & light


def test_the_front_loads_torch_not_even_when_everything_of_it_is_imported() -> None:
    fronts = [
        "coderls." + name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path in sources()
        if not name(path).startswith("engine/model/") and path.name not in ("__main__.py",)
    ]
    assert not {"torch", "transformers"} & imported_by("\n".join(f"import {front}" for front in fronts if front))


def test_the_files_that_take_longest_are_there() -> None:
    from tests.conftest import LONGEST

    tests = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    assert [start for start in LONGEST if not any(test.startswith(start) for test in tests)] == []


def test_files_are_short_enough_to_be_one_thing() -> None:
    long = {name(path): lines for path in sources() if (lines := path.read_text("utf-8").count("\n")) > LONGEST_FILE}
    assert not long


def tracked() -> list[Path]:
    """Files of the repository as git has it; of the folder, where this is no repository."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = [ROOT / part for part in done.stdout.split("\0") if part]
    return [path for path in found or PACKAGE.rglob("*") if path.is_file()]


def test_no_path_of_a_developers_machine() -> None:
    machine = re.compile(r"/(?:wor[k]|roo[t]|far[m])/|/home/(?!user\b|you\b|me\b)\w+/")
    text = {path: path.read_bytes() for path in tracked() if path.suffix not in (".safetensors", ".gz")}
    found = {
        path.relative_to(ROOT).as_posix(): match.group()
        for path, data in text.items()
        if path.name != "tokenizer.json" and (match := machine.search(data.decode("utf-8", "replace")))
    }
    assert not found


def test_readme_lists_every_option() -> None:
    from devtools.readme import settings_table

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert settings_table() in readme, "run `python -m devtools.readme` to bring the table up to date"


def test_readme_says_what_fits_where() -> None:
    from devtools.fits import fits_table

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert fits_table() in readme, "run `python -m devtools.readme` to bring the table up to date"


def test_readme_lists_every_checker() -> None:
    from devtools.readme import checkers_table

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert checkers_table() in readme, "run `python -m devtools.readme` to bring the table up to date"


def test_every_setting_is_an_option() -> None:
    from devtools.readme import unlisted

    assert unlisted() == []


def test_readme_lists_every_command() -> None:
    from coderls.cli import COMMANDS

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [command for command in COMMANDS if f"coderls {command}" not in readme] == []


def test_the_documents_have_no_dead_links() -> None:
    links = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
    named = {
        f"{document.name}: {link}": (document.parent / link).exists()
        for document in ROOT.glob("*.md")
        for link in links.findall(document.read_text(encoding="utf-8"))
    }
    assert not [link for link, found in named.items() if not found]


def test_the_code_map_names_what_is_there() -> None:
    """Every file or folder of the package that ARCHITECTURE.md's code map names exists, and none is missing."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = text[text.index("## Code map") :]
    block = block[: block.index("\n## ", 4)]
    named = set(re.findall(r"^\| `([\w./]+)`", block, re.MULTILINE))
    there = {
        path.name + ("/" if path.is_dir() else "")
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or path.is_dir()
    }
    there -= {"__init__.py", "__main__.py", "__pycache__/"}
    assert {entry for entry in named if not (PACKAGE / entry).exists() and not (ROOT / entry).exists()} == set()
    assert there - named == set()


def test_the_engine_starts_without_an_http_client() -> None:
    assert not {"httpx", "rich", "numpy", "torch"} & imported_by("import coderls.cli.engine, coderls.engine.fake")


def test_the_http_client_comes_without_its_command_line() -> None:
    client = (
        "from coderls.engine.client import Endpoint, EngineClient; EngineClient(Endpoint(url='http://127.0.0.1:9'))"
    )
    assert not {"rich", "click"} & imported_by(client)


def test_the_server_starts_without_what_it_needs_later() -> None:
    late = {"sqlite3", "difflib", "tempfile", "numpy", "httpx", "tokenizers", "tree_sitter", "watchfiles"}
    assert not late & imported_by("import coderls.server")
