"""What classes with the same base set again: of the hundred members of a base, most subclasses need the same few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from coderls.repo_context.customs import beside
from coderls.repo_context.languages import by_path
from coderls.repo_context.outline import Definition
from coderls.repo_context.scope import Ref, Scope

#: Classes that are looked at; those of the file itself, of files with a class of the same name, and of its folder.
_MAX_KIN = 40


def shares(scope: Scope, own: Ref) -> dict[str, float]:
    """How many of the classes with a base of `own` define each member that any of them does, from 0 to 1.

    In the file itself those count too that share another class above them.
    """
    bases = frozenset(scope.definition(own).bases)
    if not bases:
        return {}
    counts: Counter[str] = Counter()
    number = 0
    for path in _files(scope, own):
        definitions = scope.definitions(path)
        kin = {index for index, item in enumerate(definitions) if not bases.isdisjoint(item.bases)}
        if path == scope.path:
            kin = (kin | _cousins(scope, own)) - {own[1]}
        for names in _members(definitions, kin):
            counts.update(names)
            number += 1
        if number >= _MAX_KIN:
            break
    return {name: count / (number + 1) for name, count in counts.items()}


def _cousins(scope: Scope, own: Ref) -> set[int]:
    """Classes of the file with a class above them that is above `own` too."""
    above = {ref for ref, _ in scope.lineage(own)[1:]}
    classes = [index for index, item in enumerate(scope.own.definitions) if item.bases][:_MAX_KIN]
    lineages = ((index, scope.lineage((scope.path, index))[1:]) for index in classes) if above else ()
    return {index for index, lineage in lineages if any(ref in above for ref, _ in lineage)}


def _files(scope: Scope, own: Ref) -> Sequence[str]:
    """Files that likely hold classes of the kind: this one, those with a class of this name, and those beside it."""
    family = scope.language.resolve
    named = [
        path
        for path in scope.shelf.defining(scope.definition(own).name)
        if (language := by_path(path)) is not None and language.resolve is family
    ]
    return list(dict.fromkeys((scope.path, *named, *beside(scope.shelf, scope.path))))


def _members(definitions: Sequence[Definition], classes: Collection[int]) -> Iterator[set[str]]:
    """The names of the members of each of these classes."""
    found = {index: set[str]() for index in classes}
    for item in definitions if found else ():
        if item.parent in found:
            found[item.parent].add(item.name)
    yield from found.values()
