"""Definitions of other files that a completion may need, and the ways on which each was found.

Every retriever looks at a bounded number of things, so that a strange repository cannot make it slow, and ends when
its time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coderls.repo_context.customs import customs
from coderls.repo_context.files import Shelf, telling_signatures
from coderls.repo_context.kin import shares
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import ALL, Import
from coderls.repo_context.outline import Binding, Definition
from coderls.repo_context.receivers import Receiver, classes_behind, find_receivers, own_classes, valid_at
from coderls.repo_context.recent import REACH, Region
from coderls.repo_context.scope import Ref, Scope
from coderls.repo_context.slot import Slot
from coderls.repo_context.surroundings import Surroundings
from coderls.repo_context.wanted import wanted

_MAX_CANDIDATES = 1_000
_MAX_IMPORTS = 400
#: Of the time: what else is looked for matters more than the imports that nothing near uses.
_IMPORTS_SHARE = 0.6
_MAX_NEAR_NAMES = 150
#: A name that is defined in more files than this is looked up only where something else leads to it.
_MAX_NAMESAKES = 6
_MAX_SIBLINGS = 60
_MAX_RECEIVERS = 24
_MAX_WHOLE_FILE = 400


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a scope of the open file, what is around its cursor at `line`, and the types of variables there.

    `idle` are the names that the file imports and does not use yet: one of them is likely wanted now. `set_here` are
    the members that the class around the cursor has itself.
    """

    scope: Scope
    around: Surroundings
    line: int
    is_copy: Callable[[str], bool]
    bindings: Sequence[Binding] = ()
    idle: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    recent: Sequence[Region] = ()
    twins: Sequence[str] = ()
    slot: Slot | None = None
    set_here: frozenset[str] = frozenset()


@dataclass(slots=True)
class Candidate:
    """Definition number `index` of `path`; `ways` are the retrievers that found it, with their strength up to 1."""

    path: str
    index: int
    definition: Definition
    ways: dict[str, float]


def find(asker: Asker, *, limit_s: float = 0.05) -> list[Candidate]:
    """All candidates, each definition once, in a fixed order. The open file's own are never among them.

    Retrievers that would begin after `limit_s` seconds are left out, and those that look into many files end then: a
    file that nobody looked into yet takes a millisecond.
    """
    finder = _Finder(asker, limit_s)
    for retrieve in (
        finder.imports,
        finder.own_lineage,
        finder.wanted,
        finder.receivers,
        finder.behind,
        finder.customs,
        finder.near_names,
        finder.held,
        finder.expected_names,
        finder.recent,
        finder.twins,
        finder.siblings,
        finder.bases,
        finder.members,
    ):
        if finder.is_late():
            break
        retrieve()
    return list(finder.found.values())


def copies_of(
    own: Sequence[Definition], shelf: Shelf, shares_lines: Callable[[str], bool] = lambda path: False
) -> Callable[[str], bool]:
    """A test whether a file is a copy of the asking one (build folders, backups): it would leak its own text.

    Where signatures are too few to tell, `shares_lines` is asked.
    """
    mine = telling_signatures(own)
    names = {definition.name for definition in own if not definition.owner}
    known: dict[str, bool] = {}

    def look(path: str) -> bool:
        theirs = shelf.telling(path)
        shared = len(mine & theirs)
        if shared >= 3 and shared >= 0.6 * min(len(mine), len(theirs)):
            return True
        definitions = shelf.definitions(path)
        same = sum(item.name in names for item in definitions if not item.owner)
        return bool(same) and same >= 0.5 * min(len(names), len(definitions)) and shares_lines(path)

    def is_copy(path: str) -> bool:
        if path not in known:
            known[path] = look(path)
        return known[path]

    return is_copy


class _Finder:
    def __init__(self, asker: Asker, limit_s: float) -> None:
        self.asker = asker
        self.began, self.limit_s = time.monotonic(), limit_s
        self.scope = asker.scope
        self.shelf = asker.scope.shelf
        self.language = asker.scope.language
        self.near = asker.around.names
        self.found: dict[Ref, Candidate] = {}

    def is_late(self, share: float = 1.0) -> bool:
        """Whether this share of the time is up."""
        return time.monotonic() > self.began + share * self.limit_s

    def add(self, ref: Ref, way: str, strength: float) -> None:
        """Note that `way` leads to a definition; of two strengths on one way the larger counts."""
        candidate = self.found.get(ref)
        if candidate is None:
            path, index = ref
            if path == self.scope.path or len(self.found) >= _MAX_CANDIDATES:
                return
            definition = self.scope.definitions(path)[index]
            if definition.kind == "namespace":
                return
            candidate = self.found[ref] = Candidate(path, index, definition, {})
        if candidate.ways.get(way, 0.0) < strength:
            candidate.ways[way] = strength

    def imports(self) -> None:
        """What the imports of the file name, single definitions or whole modules: those that are used near by first."""

        def use(entry: Import) -> float:
            return -self.near.get(entry.alias.partition(".")[0], 0.0) - self.asker.idle.get(entry.alias, 0.0)

        for entry in sorted(self.scope.own.imports[:_MAX_IMPORTS], key=use):
            if self.is_late(_IMPORTS_SHARE):
                return
            self._follow(entry)

    def _follow(self, entry: Import) -> None:
        scope = self.scope
        paths = self.shelf.resolve(self.language, entry.module, scope.path)
        if entry.name == ALL:
            self._add_whole_files(paths, "star", 0.3)
            return
        alias = entry.alias or entry.module.rpartition(".")[2].rpartition("/")[2]
        near = self.near.get(alias.partition(".")[0] if not entry.name else alias, 0.0)
        idle = self.asker.idle.get(entry.alias, 0.0)
        if not entry.name:
            self._add_module(paths, near, idle)
            return
        found = scope.exported(paths, entry.name, entry.alias)
        for ref in found:
            self.add(ref, "import", 1.0)
            if near:
                self.add(ref, "import used", near)
            if idle:
                self.add(ref, "import idle", idle)
            self._add_instance(ref, max(0.1, near, idle))
        if not found and (modules := scope.modules(scope.path, entry.alias)):
            self._add_module(modules, near, idle)

    def _add_instance(self, ref: Ref, strength: float) -> None:
        """What is in an imported namespace, and the members of an imported object."""
        scope, definition = self.scope, self.scope.definition(ref)
        if definition.kind == "namespace":
            for number in scope.members(ref):
                self.add((ref[0], number), "module", strength)
        elif definition.kind == "constant" and definition.type:
            for class_ref in scope.classes_of(definition.type, ref[0]):
                for (path, index), distance in scope.lineage(class_ref):
                    for number in scope.members((path, index)):
                        self.add((path, number), "instance", strength * 0.8**distance)

    def _add_module(self, paths: Sequence[str], near: float, idle: float) -> None:
        self._add_whole_files(paths, "module", max(0.1, near))
        if idle:
            self._add_whole_files(paths, "module idle", idle)
        for path in paths[:2]:  # what it has from elsewhere, as packages have all: only what is named here
            outline = self.scope.outline(path)
            for entry in outline.imports[:_MAX_IMPORTS] if outline else ():
                if entry.name == ALL:
                    language = by_path(path)
                    for inner in self.shelf.resolve(language, entry.module, path)[:1] if language else ():
                        self._add_whole_files([inner], "module", max(0.1, 0.5 * near))
                elif entry.alias in self.near or near > 0.2:
                    for ref in self.scope.exported([path], entry.alias):
                        self.add(ref, "module", max(0.1, near))

    def _add_whole_files(self, paths: Sequence[str], way: str, strength: float) -> None:
        for path in paths:
            for index, definition in enumerate(self.scope.definitions(path)[:_MAX_WHOLE_FILE]):
                if not definition.owner:
                    self.add((path, index), way, strength)

    def own_lineage(self) -> None:
        """Members of the bases of the class around the cursor: what `self` has, and what may be overridden."""
        around = self.asker.around
        for depth, ref in enumerate(own_classes(self.scope, around)[:2]):
            again = shares(self.scope, ref) if around.in_class_body and not depth else {}
            for base, distance in self.scope.lineage(ref)[1:]:
                self.add(base, "own base", 0.7**distance)
                for number in self.scope.members(base):
                    self.add((base[0], number), "own", 0.8 ** (distance - 1) * 0.5**depth)
                    name = self.scope.definitions(base[0])[number].name
                    if name in again and name not in self.asker.set_here:
                        self.add((base[0], number), "kin", again[name])

    def wanted(self) -> None:
        """What is called around the cursor, and the properties of the object that is written there."""
        if self.asker.slot is not None:
            own = own_classes(self.scope, self.asker.around)
            valid = valid_at(self.asker.bindings, self.asker.line)
            for item in wanted(self.scope, self.asker.slot, own, valid):
                self.add(item.ref, item.way, item.strength)

    def held(self) -> None:
        """Members of the objects that the class around the cursor holds."""
        scope = self.scope
        for own in own_classes(scope, self.asker.around)[:1]:
            self_name = [Binding(scope.language.self_name, scope.definition(own).name, 0, 1 << 30)]
            for (path, index), distance in scope.lineage(own):
                for number in scope.members((path, index)):
                    held = scope.definitions(path)[number]
                    if held.kind != "attribute" or not held.type:
                        continue
                    strength = (
                        max(0.1, self.near.get(held.name, 0.0), self.asker.idle.get(held.name, 0.0)) * 0.8**distance
                    )
                    for ref in scope.classes_of(held.type, path, self_name if path == scope.path else ()):
                        for (above, base), up in scope.lineage(ref):
                            for member in scope.members((above, base)):
                                self.add((above, member), "held", strength * 0.8**up)

    def receivers(self) -> None:
        """Members of the types of objects near the cursor."""
        own = set(own_classes(self.scope, self.asker.around))
        for receiver in find_receivers(self.scope, self.asker.around, self.asker.bindings, self.asker.line)[
            :_MAX_RECEIVERS
        ]:
            if receiver.ref not in own:
                self._add_receiver(receiver)

    def _add_receiver(self, receiver: Receiver) -> None:
        way = "receiver" if receiver.sure == 1.0 else "namesake"
        for (path, index), distance in self.scope.lineage(receiver.ref):
            strength = receiver.near * 0.8**distance
            self.add((path, index), way + " type", strength)
            for number in self.scope.members((path, index)):
                self.add((path, number), way, strength)

    def behind(self) -> None:
        """Members of what stands before the dot at the cursor; private ones where that is the object itself."""
        around, scope = self.asker.around, self.scope
        root = around.behind.partition(".")[0].removesuffix("()")
        inside = root in (scope.language.self_name, "self", "cls", "this", "super")
        for receiver, sure in classes_behind(scope, around, self.asker.bindings, self.asker.line):
            for (path, index), distance in scope.lineage(receiver):
                for number in scope.members((path, index)):
                    if inside or scope.definitions(path)[number].name[:1] not in ("_", "#"):
                        self.add((path, number), "behind", sure * 0.8**distance)

    def customs(self) -> None:
        """What files beside this one import, and this one does not yet: a folder has its customs."""
        for custom in customs(self.shelf, self.scope.path):
            paths = self.shelf.resolve(self.language, custom.module, self.scope.path)
            for ref in self.scope.exported(paths, custom.name):
                known = self.found.get(ref)
                if known is None or "import" not in known.ways:
                    self.add(ref, "custom", custom.share)

    def near_names(self) -> None:
        """Definitions of names near the cursor, however they came here: the fewer there are, the likelier."""
        nearest = sorted(self.near.items(), key=lambda item: (-item[1], item[0]))[:_MAX_NEAR_NAMES]
        self._add_by_name(nearest, "near")

    def expected_names(self) -> None:
        """Definitions of names that stand where other files have similar code."""
        self._add_by_name(sorted(self.asker.expected.items(), key=lambda item: (-item[1], item[0])), "similar")

    def _add_by_name(self, names: Sequence[tuple[str, float]], way: str) -> None:
        family = self.language.resolve
        for name, strength in names:
            if self.is_late():
                return
            paths = [path for path in self.shelf.defining(name) if path != self.scope.path]
            if len(paths) > _MAX_NAMESAKES:
                continue
            for path in paths:
                language = by_path(path)
                if language is None or language.resolve is not family:
                    continue
                for index in self.shelf.places(path, name):
                    self.add((path, index), way, strength / len(paths) ** 0.5)

    def recent(self) -> None:
        """What is defined where the user edited or looked last."""
        for age, region in enumerate(self.asker.recent):
            language = by_path(region.path)
            if language is None or language.resolve is not self.language.resolve or not region.line:
                continue
            for index, definition in enumerate(self.scope.definitions(region.path)):
                if definition.start_line <= region.line + REACH and region.line - REACH < definition.end_line:
                    strength = 0.85**age * (1.0 if region.edited else 0.5)
                    self.add((region.path, index), "recent", strength if definition.kind != "class" else 0.5 * strength)

    def twins(self) -> None:
        """What the code beside this test defines."""
        self._add_whole_files(self.asker.twins, "twin", 1.0)

    def siblings(self) -> None:
        """Files of the same folder, for languages in which they see each other."""
        if not self.language.shares_folder:
            return
        folder = self.scope.path.rpartition("/")[0]
        paths = [path for path in self.shelf.inside(folder) if by_path(path) is self.language]
        self._add_whole_files([path for path in paths[:_MAX_SIBLINGS] if path != self.scope.path], "folder", 1.0)

    def bases(self) -> None:
        """Classes above those that are named or used."""
        ways = ("import", "module", "receiver type", "namesake type")
        for ref, candidate in list(self.found.items()):
            if candidate.definition.bases and any(candidate.ways.get(way, 0.0) > 0.3 for way in ways):
                for above, distance in self.scope.lineage(ref)[1:4]:
                    self.add(above, "base", 0.6**distance)

    def members(self) -> None:
        """Members of the classes that were found by their names."""
        for ref, candidate in list(self.found.items()):
            if candidate.definition.kind in ("class", "type") and not candidate.definition.owner:
                used = self.near.get(candidate.definition.name, 0.0)
                for number in self.scope.members(ref):
                    self.add((ref[0], number), "member", max(0.1, used))
