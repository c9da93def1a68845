"""Outlines, bindings and import resolution of small texts, as lines that a snapshot can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coderls.repo_context import parse
from coderls.repo_context.languages import by_path, is_settings_file
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import Outline


class Tree:
    """The files of a workspace folder, as `languages.language.Files` wants them, read from a dict of texts."""

    name = "project"

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files

    def _sources(self) -> list[str]:
        return sorted(path for path in self.files if by_path(path) is not None)

    def has(self, path: str) -> bool:
        return path in self.files and by_path(path) is not None

    def ending(self, path: str) -> Sequence[str]:
        return [name for name in self._sources() if name == path or name.endswith("/" + path)]

    def inside(self, folder: str) -> Sequence[str]:
        return [name for name in self._sources() if name.rpartition("/")[0] == folder]

    def settings(self, name: str, start: str) -> tuple[str, str] | None:
        folders = [folder for folder, _ in self.every(name) if not folder or f"{start}/".startswith(f"{folder}/")]
        folder = max(folders, key=len, default=None)
        return None if folder is None else (folder, self.files[f"{folder}/{name}".lstrip("/")])

    def settings_text(self, path: str) -> str | None:
        return self.files.get(path) if is_settings_file(path.rpartition("/")[2]) else None

    def every(self, name: str) -> Sequence[tuple[str, str]]:
        found = [path for path in self.files if is_settings_file(name) and path.rpartition("/")[2] == name]
        return sorted((path.rpartition("/")[0], self.files[path]) for path in found)

    def folders(self, path: str) -> Sequence[str]:
        folders = {name.rpartition("/")[0] for name in self._sources()}
        return sorted(name for name in folders if name == path or name.endswith("/" + path))

    def declaring(self, namespace: str) -> Sequence[str]:
        return [
            path
            for path in self._sources()
            if any(
                d.kind == "namespace" and d.name == namespace for d in outline_of(path, self.files[path]).definitions
            )
        ]


def language_of(path: str, text: str = "") -> Language:
    language = by_path(path, text)
    assert language is not None
    return language


def outline_of(path: str, text: str) -> Outline:
    outline = parse.outline(language_of(path, text), text, limit_s=30)
    assert outline is not None
    return outline


def defined(path: str, text: str) -> str:
    """Every definition: its text, and behind it kind, owner, bases and type where there are some."""
    lines = []
    for item in outline_of(path, text).definitions:
        notes = [item.kind, item.name]
        notes += [f"of {item.owner}"] if item.owner else []
        notes += [f"({', '.join(item.bases)})"] if item.bases else []
        notes += [f"-> {item.type}"] if item.type else []
        lines.append(f"{item.text.strip()}  | {' '.join(notes)}")
    return "\n".join(lines)


def imported(path: str, text: str) -> list[tuple[str, str, str]]:
    return [(entry.module, entry.name, entry.alias) for entry in outline_of(path, text).imports]


def bound(path: str, text: str) -> list[str]:
    """Every binding, with the lines it is good for."""
    found = parse.bindings(language_of(path, text), text, limit_s=30)
    return [f"{item.name}: {item.type} [{item.line}-{item.end_line}]" for item in found]


def leads(files: Mapping[str, str], importer: str, module: str) -> list[str]:
    """The files that `module` means in `importer`; the importer itself needs no text."""
    everything = {importer: "", **files}
    return list(language_of(importer).resolve(module, importer, Tree(everything)))
