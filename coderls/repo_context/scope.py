"""What names mean in a file: definitions of its own, of what it imports, and of the bases of its classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coderls.repo_context.files import Shelf
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import ALL, Import, Language
from coderls.repo_context.outline import Binding, Definition, Outline, members_of, places_of

#: How often a name is followed from one file's imports to the next.
MAX_HOPS = 4
#: Classes above a class that are looked at.
_MAX_LINEAGE = 16
_MAX_IMPORTS = 400
_MAX_REFS = 4
#: Steps from a type to a type.
_MAX_STEPS = 8
_WORD = re.compile(r"[^\W\d][\w$]*(?:\.[^\W\d][\w$]*)*")
_STEP = re.compile(r"([@#$]?[\w$]+)((?:\(\)|\[\])*)$")
_CLASSES = ("class", "type")

#: Path and index of a definition.
Ref = tuple[str, int]


@dataclass
class Scope:
    """Answers for one request. `path` is the open file, `own` its outline, which goes before what the shelf has.

    `own_places` and `own_members` are the `places_of` and `members_of` its definitions, which may have been found
    before.
    """

    shelf: Shelf
    path: str
    language: Language
    own: Outline
    own_places: Mapping[str, Sequence[int]] = field(default_factory=dict)
    own_members: Mapping[str, Sequence[int]] = field(default_factory=dict)
    _aliases: dict[str, dict[str, list[Import]]] = field(default_factory=dict)
    _lineages: dict[Ref, list[tuple[Ref, int]]] = field(default_factory=dict)
    _definitions: dict[str, Sequence[Definition]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._definitions[self.path] = self.own.definitions
        if not self.own_places:
            self.own_places, self.own_members = places_of(self.own.definitions), members_of(self.own.definitions)

    def outline(self, path: str) -> Outline | None:
        """The outline of a file."""
        return self.own if path == self.path else self.shelf.outline(path)

    def definition(self, ref: Ref) -> Definition:
        """The definition that a reference names."""
        return self.definitions(ref[0])[ref[1]]

    def definitions(self, path: str) -> Sequence[Definition]:
        """All definitions of a file."""
        known = self._definitions.get(path)
        if known is None:
            known = self._definitions[path] = self.shelf.definitions(path)
        return known

    def top_level(self, path: str, name: str, alias: str = "") -> list[int]:
        """Indices of what `name` of `path` can mean from outside. A default export is what its importer calls it."""
        definitions = self.definitions(path)
        if name != "default":
            return [index for index in self._places(path, name) if not definitions[index].owner]
        local = [entry.name for entry in self._by_alias(path).get("default", ()) if not entry.module]
        named = [i for key in ("default", *local, alias) for i in self._places(path, key) if not definitions[i].owner]
        kinds = ("class", "function")
        return named or [i for i, item in enumerate(definitions) if item.kind in kinds and not item.owner][:1]

    def exported(self, paths: Sequence[str], name: str, alias: str = "", hops: int = MAX_HOPS) -> list[Ref]:
        """`name` of `paths`, or of where those files have it from."""
        for path in paths:
            found = [(path, index) for index in self.top_level(path, name, alias)]
            if found or (hops > 1 and (found := self._imported(path, name, hops))):
                return found
        # What stands in a class there: `import a.Outer.Inner`, `import static a.Tools.cut`.
        # Not behind re-exports, where a name has better meanings.
        if hops < MAX_HOPS - 1:
            return []
        return [(path, index) for path in paths for index in self._places(path, name)][:_MAX_REFS]

    def visible(self, path: str, name: str) -> list[Ref]:
        """What a bare `name` means inside of `path`."""
        own = [(path, index) for index in self.top_level(path, name)]
        if own:
            return own
        found = self._imported(path, name, MAX_HOPS)
        language = by_path(path)
        if not found and language is not None and language.shares_folder:
            beside = self.shelf.inside(path.rpartition("/")[0])
            paths = [other for other in self.shelf.defining(name) if other != path and other in beside]
            found = [(other, index) for other in paths for index in self.top_level(other, name)]
        return found[:_MAX_REFS]

    def modules(self, path: str, alias: str) -> Sequence[str]:
        """Files that `alias` names as a module inside of `path`."""
        language = self.language if path == self.path else by_path(path)
        if language is None:
            return ()
        for entry in self._by_alias(path).get(alias, ()):
            if not entry.name:
                return self.shelf.resolve(language, entry.module, path)
            inner = language.join(entry.module, entry.name) if language.join and entry.name != ALL else ""
            if inner and (paths := self.shelf.resolve(language, inner, path)):
                return paths
        return ()

    def members(self, ref: Ref) -> Sequence[int]:
        """Indices of the members of a class in its file, or of what is in a namespace."""
        path, index = ref
        definitions = self.definitions(path)
        owner = definitions[index]
        if owner.kind == "namespace":
            return [number for number, item in enumerate(definitions) if item.parent == index]
        return self.own_members.get(owner.name, ()) if path == self.path else self.shelf.members(path, owner.name)

    def member(self, ref: Ref, name: str) -> Ref | None:
        """A member of a class or of its bases."""
        for (path, index), _ in self.lineage(ref):
            definitions = self.definitions(path)
            for number in self.members((path, index)):
                if definitions[number].name == name:
                    return path, number
        return None

    def lineage(self, ref: Ref) -> list[tuple[Ref, int]]:
        """A class and the classes above it with their distance, the nearest first."""
        found = self._lineages.get(ref)
        if found is None:
            found = self._lineages[ref] = [(ref, 0)]
            seen = {ref}
            for current, distance in found:  # grows while it is read
                for base in self.definition(current).bases:
                    for above in self._base(current, base):
                        if above not in seen and len(found) < _MAX_LINEAGE and self._is_class(above):
                            seen.add(above)
                            found.append((above, distance + 1))
        return found

    def _base(self, ref: Ref, name: str) -> list[Ref]:
        """What the base `name` of a class is: `class Model(models.Model)` is not its own."""
        text = self.definition(ref).text
        if f".{name}" in text and (dotted := re.search(rf"[\w.]+\.{re.escape(name)}\b", text)):
            return self._named(dotted.group(), ref[0]) or self.visible(ref[0], name)
        return self.visible(ref[0], name)

    def classes_of(self, type_: str, path: str, bindings: Sequence[Binding] = (), steps: int = _MAX_STEPS) -> list[Ref]:
        """The classes that a type of `written_types` means in `path`; `bindings` are those at the cursor."""
        if not type_ or steps <= 0:
            return []
        if type_.startswith("="):
            return self._follow(type_[1:], path, bindings, steps)
        found: list[Ref] = []
        for word in _WORD.findall(type_)[:8]:
            for ref in self._named(word, path):
                kind = self.definition(ref).kind
                if kind == "class" or (kind == "type" and self.members(ref)):
                    found.append(ref)
                elif kind in ("type", "constant") and self.definition(ref).type != type_:
                    found += self.classes_of(self.definition(ref).type, ref[0], (), steps - 2)
        return list(dict.fromkeys(found))[:_MAX_REFS]

    def targets(self, way: str, path: str, bindings: Sequence[Binding] = ()) -> list[Ref]:
        """The definitions that `a.b().c` names in `path`, whatever they are: functions, methods, classes."""
        before, _, name = way.rpartition(".")
        if not before:
            return self.visible(path, name)
        classes = self.classes_of(f"={before}", path, bindings)
        found = [member for ref in classes if (member := self.member(ref, name))]
        return found or self.exported(self.modules(path, before), name)

    def _named(self, word: str, path: str) -> list[Ref]:
        """What `a.b.C` means: of a module, or just C."""
        *outer, name = word.split(".")
        if outer:
            paths = self.modules(path, ".".join(outer)) or self.modules(path, outer[-1])
            return self.exported(paths, name)
        return self.visible(path, name)

    def _follow(self, way: str, path: str, bindings: Sequence[Binding], steps: int) -> list[Ref]:
        """The classes at the end of `a.b().c[]`."""
        current: list[Ref] = []
        modules: Sequence[str] = ()
        for number, part in enumerate(way.split(".")):
            match = _STEP.match(part)
            if match is None:
                return []
            name, suffix = match.groups()
            targets: list[Ref] = []
            if number:
                if modules:
                    targets = self.exported(modules, name)
                targets += [found for ref in current if (found := self.member(ref, name))]
                modules = ()
            else:
                types = [item.type for item in bindings if item.name == name]
                if types:
                    current = self.classes_of(types[-1], path, (), steps - 1)
                    continue
                targets = self.visible(path, name)
                modules = () if targets else self.modules(path, name)
            current = [ref for target in targets[:_MAX_REFS] for ref in self._value(target, suffix, steps)]
            if not current and not modules:
                return []
        return list(dict.fromkeys(current))[:_MAX_REFS]

    def _value(self, ref: Ref, suffix: str, steps: int) -> list[Ref]:
        """The classes of what a definition is, or gives when it is called."""
        definition = self.definition(ref)
        if definition.kind in ("class", "namespace"):
            return [ref]
        if definition.kind == "function" and "()" not in suffix:
            return []
        inner: list[Binding] = []
        if definition.owner and definition.type.startswith("="):  # `self.x` in the class that it is written in
            inner = [Binding(by.self_name if (by := by_path(ref[0])) else "self", definition.owner, 0, 1 << 30)]
        return self.classes_of(definition.type, ref[0], inner, steps - 2)

    def _is_class(self, ref: Ref) -> bool:
        return self.definition(ref).kind in _CLASSES

    def _places(self, path: str, name: str) -> Sequence[int]:
        return self.own_places.get(name, ()) if path == self.path else self.shelf.places(path, name)

    def _by_alias(self, path: str) -> dict[str, list[Import]]:
        aliases = self._aliases.get(path)
        if aliases is None:
            aliases = self._aliases[path] = {}
            outline = self.outline(path)
            for entry in outline.imports[:_MAX_IMPORTS] if outline else ():
                aliases.setdefault(ALL if entry.name == ALL else entry.alias, []).append(entry)
        return aliases

    def _imported(self, path: str, name: str, hops: int) -> list[Ref]:
        """What an import of `path` brings in as `name`."""
        language = self.language if path == self.path else by_path(path)
        if language is None or hops <= 0:
            return []
        aliases = self._by_alias(path)
        for entry in aliases.get(name, ()):
            paths = self.shelf.resolve(language, entry.module, path) if entry.name and entry.module else ()
            if not entry.module and language.exports_locals:  # `export { entry.name as name }`
                paths = (path,)
            if found := self.exported(paths, entry.name, name, hops - 1):
                return found
        for entry in aliases.get(ALL, ()):
            if found := self.exported(self.shelf.resolve(language, entry.module, path), name, "", hops - 1):
                return found
        return []
