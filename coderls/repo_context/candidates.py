"""Definitions of other files that a completion may need: behind the imports, and of names near the cursor.

Every retriever looks at a bounded number of things, so that a strange repository cannot make it slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from coderls.repo_context.files import Shelf
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import ALL, Import, Language
from coderls.repo_context.outline import Definition

#: How often a name is followed from one file's imports to the next.
MAX_HOPS = 3
_MAX_CANDIDATES = 4_000
_MAX_IMPORTS = 400
_MAX_NEAR_NAMES = 150
_MAX_SIBLINGS = 60
#: Shorter signatures are alike by chance (characters).
_TELLING = 24

Near = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Definition number `index` of `path`; `weight` says how close the way to it is, `source` which way that was."""

    path: str
    index: int
    definition: Definition
    source: str
    weight: float


@dataclass(frozen=True, slots=True)
class Asker:
    """The file that asks: `near` are the names around the cursor with their closeness, from 0 to 1."""

    path: str
    language: Language
    imports: Sequence[Import]
    near: Near


def find(shelf: Shelf, asker: Asker) -> list[Candidate]:
    """All candidates for `asker`, each definition once, in a fixed order. Its own file is never among them."""
    finder = _Finder(shelf, asker)
    for entry in asker.imports[:_MAX_IMPORTS]:
        finder.follow(entry)
    if asker.language.shares_folder:
        finder.add_siblings()
    finder.add_bases()
    finder.add_members()
    finder.add_near_names()
    return list(finder.found.values())


def copies_of(own: Sequence[Definition], shelf: Shelf) -> Callable[[str], bool]:
    """A test whether a file is a copy of the asking one (build folders, backups): it would leak its own text."""
    mine = {definition.text.strip() for definition in own if len(definition.text) > _TELLING}
    known: dict[str, bool] = {}

    def is_copy(path: str) -> bool:
        if path not in known:
            theirs = {d.text.strip() for d in shelf.definitions(path) if len(d.text) > _TELLING}
            shared = len(mine & theirs)
            known[path] = shared >= 3 and shared >= 0.6 * min(len(mine), len(theirs))
        return known[path]

    return is_copy


class _Finder:
    def __init__(self, shelf: Shelf, asker: Asker) -> None:
        self.shelf = shelf
        self.asker = asker
        self.found: dict[tuple[str, int], Candidate] = {}

    def follow(self, entry: Import) -> None:
        """Candidates behind one import."""
        paths = self.shelf.resolve(self.asker.language, entry.module, self.asker.path)
        if entry.name == ALL:
            for path in paths:
                self.add_whole_file(path, 1.0, "import", unused=0.1)
        elif not entry.name:
            for path in paths:
                self.add_whole_file(path, 1.0, "module", unused=0.1)
        elif not self.add_name(paths, entry.name, entry.alias, MAX_HOPS):
            self.add_submodule(entry.module, entry.name, self.asker.path)

    def add(self, path: str, index: int, source: str, weight: float) -> None:
        key = (path, index)
        old = self.found.get(key)
        if old.weight >= weight if old else len(self.found) >= _MAX_CANDIDATES:
            return
        if path == self.asker.path:
            return
        self.found[key] = Candidate(path, index, self.shelf.definitions(path)[index], source, weight)

    def add_name(self, paths: Iterable[str], name: str, alias: str, hops: int, weight: float = 1.0) -> bool:
        """The definitions of `name` in `paths`, or where those files have it from."""
        for path in paths:
            indices = _top_level(self.shelf, path, name, alias)
            for index in indices:
                self.add(path, index, "import", weight)
            if indices or (hops > 1 and self._add_reexport(path, name, hops, weight)):
                return True
        return False

    def _add_reexport(self, path: str, name: str, hops: int, weight: float) -> bool:
        language = by_path(path)
        outline = self.shelf.outlines.get(path)
        if language is None or outline is None:
            return False
        for entry in outline.imports[:_MAX_IMPORTS]:
            if entry.name == ALL or (entry.name and entry.alias == name):
                paths = self.shelf.resolve(language, entry.module, path)
                wanted = name if entry.name == ALL else entry.name
                if self.add_name(paths, wanted, name, hops - 1, weight):
                    return True
                if entry.name != ALL and self.add_submodule(entry.module, entry.name, path):
                    return True
        return False

    def add_submodule(self, module: str, name: str, importer: str) -> bool:
        """`from package import name`, where `name` is a module."""
        join = self.asker.language.join
        paths = self.shelf.resolve(self.asker.language, join(module, name), importer) if join else ()
        for path in paths:
            self.add_whole_file(path, 1.0, "module", unused=0.1)
        return bool(paths)

    def add_whole_file(self, path: str, weight: float, source: str, *, unused: float) -> None:
        """Everything at the top of a file: with full weight what is named near the cursor."""
        for index, definition in enumerate(self.shelf.definitions(path)):
            if not definition.owner and definition.kind != "namespace":
                used = definition.name in self.asker.near
                self.add(path, index, source, weight if used else unused * weight)

    def add_siblings(self) -> None:
        """Files of the same folder, for languages in which they see each other."""
        folder = self.asker.path.rpartition("/")[0]
        siblings = [path for path in self.shelf.inside(folder) if by_path(path) is self.asker.language]
        for path in siblings[:_MAX_SIBLINGS]:
            self.add_whole_file(path, 0.9, "folder", unused=0.05)

    def add_bases(self) -> None:
        """Base classes of the classes found so far, one step up."""
        for candidate in [item for item in self.found.values() if item.definition.bases and item.weight > 0.5]:
            paths = [candidate.path]
            if self.asker.language.shares_folder:
                paths += self.shelf.inside(candidate.path.rpartition("/")[0])[:_MAX_SIBLINGS]
            for base in candidate.definition.bases[:8]:
                self.add_name(paths, base, base, 2, candidate.weight * 0.4)

    def add_members(self) -> None:
        """Members of the classes found so far."""
        owners: dict[str, dict[str, float]] = {}
        for candidate in self.found.values():
            if candidate.definition.kind in ("class", "type"):
                classes = owners.setdefault(candidate.path, {})
                classes[candidate.definition.name] = max(candidate.weight, classes.get(candidate.definition.name, 0.0))
        for path, classes in owners.items():
            for index, definition in enumerate(self.shelf.definitions(path)):
                weight = classes.get(definition.owner) if definition.owner else None
                if weight is not None:
                    self.add(path, index, "member", weight * _member_weight(definition))

    def add_near_names(self) -> None:
        """Definitions of names near the cursor, however they came here: the fewer there are, the likelier."""
        family = self.asker.language.resolve
        nearest = sorted(self.asker.near.items(), key=lambda item: (-item[1], item[0]))[:_MAX_NEAR_NAMES]
        for name, _ in nearest:
            paths = [path for path in self.shelf.defining(name) if path != self.asker.path]
            for path in paths:
                language = by_path(path)
                if language is None or language.resolve is not family:
                    continue
                for index in self.shelf.places(path, name):
                    self.add(path, index, "near", 0.8 / len(paths))


def _top_level(shelf: Shelf, path: str, name: str, alias: str) -> list[int]:
    """Indices of what `name` can mean from outside. A default export is the one called as the importer calls it."""
    definitions = shelf.definitions(path)
    if name != "default":
        return [i for i in shelf.places(path, name) if not definitions[i].owner]
    own = [index for index in shelf.places(path, alias) if not definitions[index].owner]
    kinds = ("class", "function")
    return (
        own or [i for i, definition in enumerate(definitions) if definition.kind in kinds and not definition.owner][:1]
    )


def _member_weight(definition: Definition) -> float:
    if definition.name in ("__init__", "constructor", "new"):
        return 0.6
    if definition.name.startswith(("_", "#")):
        return 0.12
    return 0.3 if definition.kind == "attribute" else 0.45
