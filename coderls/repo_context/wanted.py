"""What goes into the slot at the cursor: what is called there, and the properties of the object that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from coderls.repo_context.languages import by_path
from coderls.repo_context.outline import Binding
from coderls.repo_context.parameters import Parameter, parameters
from coderls.repo_context.scope import Ref, Scope
from coderls.repo_context.slot import Slot

#: How much less a class above another one counts, and a member than its class.
_LESS = 0.8
_CONSTRUCTORS = ("__init__", "constructor", "__new__", "new")
#: Things that one name may call.
_MAX_CALLED = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """A definition, the way that leads to it (as in `rank.WEIGHTS`), and its strength up to 1."""

    ref: Ref
    way: str
    strength: float


def wanted(scope: Scope, slot: Slot, own: Sequence[Ref], bindings: Sequence[Binding]) -> Iterator[Wanted]:
    """What `slot` asks for; `own` are the classes around it, the innermost first."""
    called = list(_called(scope, slot.called, own, bindings)) if slot.called else []
    for ref, strength in called:
        yield Wanted(ref, "called", strength)
    if slot.at_name and slot.called and not slot.in_object:  # keywords: those of a class without a constructor
        yield from _fields(scope, [ref for ref, _ in called if scope.definition(ref).kind == "class"], slot)
    classes: list[Ref] = []
    for type_, path in _types(scope, slot, [ref for ref, _ in called]):
        classes += scope.classes_of(type_, path, bindings if path == scope.path else ())
    for key in slot.keys:
        members = [member for ref in classes if (member := scope.member(ref, key))]
        classes = [ref for member in members for ref in scope.classes_of(scope.definition(member).type, member[0])]
    if slot.at_name and slot.in_object:
        yield from _fields(scope, classes, slot)
        return
    for ref in dict.fromkeys(classes):
        yield Wanted(ref, "argument", 1.0)
        yield from (Wanted((ref[0], number), "argument", _LESS) for number in scope.members(ref))


def _types(scope: Scope, slot: Slot, called: Iterable[Ref]) -> Iterator[tuple[str, str]]:
    """Types of what the slot takes, as written, each with the file that it is written in."""
    if not slot.called:
        yield slot.type or f"={slot.value}", scope.path
    for ref in called:
        definition, language = scope.definition(ref), by_path(ref[0])
        if definition.kind == "class":  # `class Tree extends React.Component<Props>`
            yield definition.text.partition("extends")[2] if slot.in_object else "", ref[0]
        elif language is not None:
            found = _at(parameters(definition.text, definition.name, language), slot.argument)
            yield from ((item.type, ref[0]) for item in found)


def _called(scope: Scope, way: str, own: Sequence[Ref], bindings: Sequence[Binding]) -> Iterator[tuple[Ref, float]]:
    """What `way` calls: functions; for a class what makes its objects, and the class itself where nothing does."""
    before, _, name = way.rpartition(".")
    if way == "super":
        found = [above for above, _ in scope.lineage(own[0])[1:2]] if own else []
    elif before in ("super", "super()"):
        above = [ref for ref, _ in scope.lineage(own[0])[1:]] if own else []
        found = [member for ref in above[:1] if (member := scope.member(ref, name))]
    else:
        found = scope.targets(way, scope.path, bindings)
    for ref in found[:_MAX_CALLED]:
        makers = list(_makers(scope, ref)) if scope.definition(ref).kind in ("class", "type") else []
        yield from makers or [(ref, 1.0)]


def _makers(scope: Scope, ref: Ref) -> Iterator[tuple[Ref, float]]:
    """The constructors of a class and of those above it: one may hand its keywords on to the next."""
    for (path, index), distance in scope.lineage(ref):
        for number in scope.members((path, index)):
            if scope.definitions(path)[number].name in _CONSTRUCTORS:
                yield (path, number), _LESS**distance


def _at(found: Sequence[Parameter], argument: int | str) -> Sequence[Parameter]:
    """The parameter that gets an argument."""
    if isinstance(argument, str):
        return [item for item in found if item.name == argument]
    if argument < len(found):
        return found[argument : argument + 1]
    return [item for item in found[-1:] if item.many]


def _fields(scope: Scope, classes: Sequence[Ref], slot: Slot) -> Iterator[Wanted]:
    """The properties of objects of these classes that are not there yet."""
    for ref in dict.fromkeys(classes):
        for (path, index), distance in scope.lineage(ref):
            for number in scope.members((path, index)):
                if scope.definitions(path)[number].name not in slot.taken:
                    yield Wanted((path, number), "field", _LESS**distance)
