"""The types of the objects near the cursor, so that their members can be offered.

From annotations, constructors, assignments and return types where they are written; else from the name of the
object itself: `old_request` is likely a `Request`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import Binding
from coderls.repo_context.parameters import parameters
from coderls.repo_context.scope import Ref, Scope
from coderls.repo_context.surroundings import Surroundings, closeness, function_in
from coderls.repo_context.written_types import annotation

#: Classes that one name may stand for by chance.
_MAX_NAMESAKES = 3
_MAX_BOUND = 30
#: A line that no file has.
_ALL = 1 << 30
#: How sure a type is that was guessed from the name of a variable.
_GUESSED = 0.5
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")


@dataclass(frozen=True, slots=True)
class Receiver:
    """An object near the cursor: how it is written, a class of it, how near and how sure (both up to 1)."""

    way: str
    ref: Ref
    near: float
    sure: float


def find_receivers(scope: Scope, around: Surroundings, bindings: Sequence[Binding], line: int) -> list[Receiver]:
    """Objects that are used near `line`, and those in scope there, with their classes."""
    valid = valid_at(bindings, line)
    ways: dict[str, float] = dict(around.receivers)
    for item in valid[-_MAX_BOUND:]:
        if item.type:
            near = 0.5 * closeness(line - item.line) if item.name != scope.language.self_name else 0.5
            ways[item.name] = max(near, ways.get(item.name, 0.0))
    found: dict[Ref, Receiver] = {}
    for way, near in ways.items():
        for ref, sure in _classes(scope, way, valid):
            old = found.get(ref)
            if old is None or old.near * old.sure < near * sure:
                found[ref] = Receiver(way, ref, near, sure)
    return sorted(found.values(), key=lambda item: (-item.near * item.sure, item.ref))


def classes_behind(
    scope: Scope, around: Surroundings, bindings: Sequence[Binding], line: int
) -> list[tuple[Ref, float]]:
    """The classes of what stands before the dot at the cursor, and how sure they are (up to 1)."""
    valid = valid_at(bindings, line)
    return _classes(scope, around.behind, valid) if around.behind else []


def valid_at(bindings: Sequence[Binding], line: int) -> list[Binding]:
    """Those that are good at `line`: names of other functions mean other things."""
    return [item for item in bindings if item.line <= line < item.end_line]


def header_bindings(around: Surroundings, language: Language, line: int) -> list[Binding]:
    """Parameters of the functions around the cursor, and what a method works on, as good from `line` on."""
    found = [Binding(language.self_name, name, line, _ALL) for name in around.classes[:1] if language.self_name]
    for header in reversed(around.headers):
        name = function_in(header)
        typed = ((item.name, annotation(item.type)) for item in (parameters(header, name, language) if name else ()))
        found += [Binding(each, type_, line, _ALL) for each, type_ in typed if each and type_]
    return found


def own_classes(scope: Scope, around: Surroundings) -> list[Ref]:
    """The classes that the cursor is in, as definitions of the open file; the innermost first."""
    return [
        (scope.path, index)
        for name in around.classes
        for index in [i for i, item in enumerate(scope.own.definitions) if item.name == name and item.kind == "class"][
            :1
        ]
    ]


def _classes(scope: Scope, way: str, bindings: Sequence[Binding]) -> list[tuple[Ref, float]]:
    typed = scope.classes_of("=" + way, scope.path, bindings)
    if typed:
        return [(ref, 1.0) for ref in typed]
    name = way.rpartition(".")[2]
    if name in (scope.language.self_name, "self", "cls", "this", "super"):
        return []
    return [(ref, _GUESSED) for ref in _namesakes(scope, name)]


def class_names(name: str) -> list[str]:
    """Classes that a variable may be named after: `old_request` gives OldRequest and Request."""
    parts = [part[:1].upper() + part[1:] for part in _PART.findall(name)]
    names = ["".join(parts[start:]) for start in range(len(parts))]
    plural = [tail[:-1] for tail in names if tail.endswith("s") and not tail.endswith("ss")]
    return [tail for tail in (*names, *plural) if len(tail) > 3]


def _namesakes(scope: Scope, name: str) -> list[Ref]:
    for tail in class_names(name):
        found = scope.visible(scope.path, tail)
        if not found:
            family = scope.language.resolve
            paths = [
                path
                for path in scope.shelf.defining(tail)
                if path != scope.path and (other := by_path(path)) and other.resolve is family
            ]
            if len(paths) > _MAX_NAMESAKES:
                continue
            found = [(path, index) for path in paths for index in scope.top_level(path, tail)]
        found = [ref for ref in found if scope.definition(ref).kind == "class"]
        if found:
            return found[:_MAX_NAMESAKES]
    return []
