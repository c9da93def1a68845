"""Where source lies: installed Python packages, the standard library, Node packages, folders, source distributions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from training import licences

LANGUAGES = {
    ".py": "python", ".pyi": "python", ".ts": "typescript", ".tsx": "typescript", ".js": "javascript",
    ".mjs": "javascript", ".cjs": "javascript", ".c": "c", ".h": "c", ".rs": "rust", ".go": "go", ".java": "java",
}  # fmt: skip
#: Folders with others' code, made files, or data that looks like code.
_SKIPPED = re.compile(
    r"(^|/)(_?vendor(ed)?|third[_-]?party|extern(s|al)?|node_modules|dist|build|locales?|__pycache__|\.\w+|fixtures"
    r"|site-packages|lib2to3|encodings|idlelib|_distutils|testdata|templates|test_data|data|samples?)/",
)
_LICENCE_FILE = re.compile(r"(LICEN[CS]E|COPYING)[\w.-]*", re.IGNORECASE)


@dataclass(frozen=True)
class Project:
    """One project and the files of it that may be source. Paths are relative to `root`, with forward slashes."""

    name: str
    version: str
    licence: str
    origin: str
    root: Path
    files: tuple[str, ...]


def installed(site: Path) -> Iterator[Project]:
    """The permissive ones of the packages in a site-packages folder."""
    seen: set[str] = set()
    distributions = importlib.metadata.distributions(path=[str(site)])
    for distribution in sorted(distributions, key=_name):
        meta, name = distribution.metadata.json, _name(distribution)
        classifiers = [str(text) for text in meta.get("classifier", [])]
        licence = licences.of_metadata(
            str(meta.get("license_expression", "")), str(meta.get("license", "")), classifiers
        )
        if not name or name in seen or licence is None:
            continue
        seen.add(name)
        listed = [Path(str(file)).as_posix() for file in distribution.files or []]
        files = _sources(path for path in listed if not path.startswith(("..", "/")))
        if files:
            yield Project(name, distribution.version, licence, "installed package", site, files)


def _name(distribution: importlib.metadata.Distribution) -> str:
    name = distribution.metadata["Name"]
    return re.sub(r"[-_.]+", "-", name).lower() if name else ""


def standard_library() -> Project:
    """The library of the Python that runs this, without what is not written by people."""
    root = Path(sysconfig.get_paths()["stdlib"])
    version = sysconfig.get_python_version()
    return Project("python-stdlib", version, "PSF-2.0", "standard library", root, _sources(_walk(root)))


def node_packages(folder: Path) -> Iterator[Project]:
    """The permissive packages under a node_modules folder, nested ones too; each name once."""
    seen: set[str] = set()
    for path in sorted(folder.rglob("package.json")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            name, licence = str(facts["name"]), str(facts.get("license", ""))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if path.parent.parent.name != "node_modules" and not path.parent.parent.name.startswith("@"):
            continue
        files = _sources(_walk(path.parent))
        if files and name not in seen and licences.is_permissive(licence.strip("()")):
            seen.add(name)
            yield Project(f"npm-{name}", str(facts.get("version", "")), licence, "Node package", path.parent, files)


def folder(root: Path, name: str, version: str = "", origin: str = "folder") -> Project | None:
    """A folder of sources with a permissive LICENSE file in it; None where there is none such."""
    if not root.is_dir():
        return None
    for path in sorted(root.iterdir()):
        if path.is_file() and _LICENCE_FILE.fullmatch(path.name):
            licence = licences.of_text(path.read_text(encoding="utf-8", errors="replace"))
            if licence:
                return Project(name, version, licence, origin, root, _sources(_walk(root)))
    return None


def named(root: Path, name: str, licence: str) -> Project | None:
    """Source under `root` whose licence is known from whom it comes: a toolchain's library, headers of a system."""
    if not root.is_dir() or not licences.is_permissive(licence):
        return None
    return Project(name, "", licence, "named folder", root, _sources(_walk(root)))


def _walk(root: Path) -> Iterator[str]:
    for place, folders, names in os.walk(root):
        folders.sort()
        inside = Path(place).relative_to(root).as_posix()
        yield from (name if inside == "." else f"{inside}/{name}" for name in sorted(names))


def _sources(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if Path(path).suffix in LANGUAGES and not _SKIPPED.search(path))
