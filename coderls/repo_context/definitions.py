"""From the matches of a language's query to the outline of one file."""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from coderls.repo_context import written_types
from coderls.repo_context.languages.language import ALL, INNER, Import, Language
from coderls.repo_context.outline import CONTAINERS, KINDS, Definition, Outline

_MAX_SIGNATURE = 1_000
_MAX_LINE = 160
#: Attributes of one class; a table of data has more.
_MAX_ATTRIBUTES = 300
_MAX_LINES = 12
_END = re.compile(r"(?<!\w)end\Z")
_BLANK = string.whitespace + ";"
_SELF_TYPE = re.compile(r"\b(?:Self|self|this|static)\b(?!\.)")
_LAST_NAME = re.compile(r"^.*[.:\\]", re.DOTALL)
#: Bytes of a value that its type is read from.
_MAX_VALUE = 1_200
#: What a declarator with parameters makes of a constant or attribute.
_FUNCTION_KINDS = {"constant": "function", "attribute": "method"}
_VERSION = re.compile(r"v\d+")
_VERSION_END = re.compile(r"\.v\d+$")


class Node(Protocol):
    """The part of a tree-sitter node that is used here."""

    @property
    def start_byte(self) -> int: ...
    @property
    def end_byte(self) -> int: ...
    @property
    def start_point(self) -> tuple[int, int]: ...
    @property
    def end_point(self) -> tuple[int, int]: ...


Captures = Mapping[str, Sequence[Node]]
#: Where parameters of a name are, and what gives their types.
Parameters = dict[str, list[tuple[int, Captures]]]


@dataclass(slots=True)
class _Found:
    """A definition on its way: bytes `start` to `end`, its signature ends before `body` (-1: it has none).

    `kind` is "wrapper" for what belongs to the definition inside it, such as its decorators, and "returned" for what
    a function gives back.
    """

    name: str
    kind: str
    start: int
    end: int
    body: int
    start_line: int
    end_line: int
    owner: str = ""
    bases: tuple[str, ...] = ()
    returned: str = ""
    hoisted: bool = False
    typings: tuple[Captures, ...] = ()


def read_outline(language: Language, data: bytes, matches: Iterable[Captures]) -> Outline:
    """The outline of the file `data` (UTF-8) from all matches of `language.query`; a match may come twice."""
    found: dict[tuple[str, int], _Found] = {}
    bases: dict[int, dict[str, None]] = {}
    imports: dict[Import, None] = {}
    rows: set[int] = set()
    parameters: Parameters = {}
    for captures in matches:
        if not _as_required(data, captures):
            continue
        if "derived" in captures:
            names = bases.setdefault(captures["derived"][0].start_byte, {})
            names.update((_LAST_NAME.sub("", text_of(data, node).partition("<")[0]), None) for node in captures["base"])
        elif "param" in captures:
            node = captures["param"][0]
            parameters.setdefault(text_of(data, node), []).append((node.start_byte, captures))
        elif "returned" in captures:
            node = captures["returned"][0]
            found["", node.start_byte] = _Found(
                name="",
                kind="returned",
                start=node.start_byte,
                end=node.end_byte,
                body=-1,
                start_line=0,
                end_line=0,
                typings=(captures,),
            )
        elif "name" in captures or "wrapper" in captures or "declarator" in captures:
            if item := _definition(language, data, captures):
                _add(found, item)
        else:
            imports.update((entry, None) for entry in _imports(language, data, captures))
            for nodes in captures.values():
                rows.update(range(nodes[0].start_point[0], nodes[0].end_point[0] + 1))
    for item in found.values():
        if item.kind == "class":
            item.bases = tuple(bases.get(item.start, ()))
    ordered = sorted(found.values(), key=lambda item: (item.start, -item.end, item.kind != "wrapper"))
    return Outline(_nest(language, data, ordered, parameters), tuple(imports), tuple(sorted(rows)))


def _as_required(data: bytes, captures: Captures) -> bool:
    """A capture `@must.be.self` has to read `self`; `@must.be.a-b` has to read `a` or `b`."""
    for name, nodes in captures.items():
        if name.startswith("must.be.") and text_of(data, nodes[0]) not in name[len("must.be.") :].split("-"):
            return False
    return True


def _add(found: dict[tuple[str, int], _Found], new: _Found) -> None:
    key = (new.name, new.start)
    old = found.get(key)
    if old is None:
        found[key] = new
        return
    typings = old.typings + new.typings
    if new.kind == old.kind:
        old.body = max(old.body, new.body)
    elif KINDS.index(new.kind) < KINDS.index(old.kind):
        found[key] = new
    found[key].typings = typings


def _definition(language: Language, data: bytes, captures: Captures) -> _Found | None:
    kind = next(kind for kind in KINDS if kind in captures)
    node = captures[kind][0]
    body = captures.get("body")
    end_row, end_column = node.end_point
    found = _Found(
        name="",
        kind=kind,
        start=node.start_byte,
        end=node.end_byte,
        body=body[0].start_byte if body else -1,
        start_line=node.start_point[0],
        end_line=end_row + (1 if end_column else 0),
        hoisted="hoisted" in captures,
    )
    if "declarator" in captures and language.declared is not None:
        declared = language.declared(text_of(data, captures["declarator"][0]))
        if declared is None:
            return None
        found.name, found.owner, found.returned = sys.intern(declared.name), declared.owner, declared.returned
        if declared.is_function or declared.owner:
            found.kind = _FUNCTION_KINDS.get(kind, kind) if not declared.owner else "method"
    elif kind != "wrapper":
        found.name = sys.intern(text_of(data, captures["name"][0]).strip("\"':@"))
    if "owner" in captures:
        found.owner = text_of(data, captures["owner"][0])
    if "typed" in captures or "value" in captures:
        found.typings = (captures,)
    return found


def type_of(language: Language, data: bytes, captures: Captures) -> str:
    """The type that a match gives: as written, or the way of a value to it; "" where neither says anything."""
    found = ""
    if captures.get("typed"):
        found = written_types.annotation(text_of(data, captures["typed"][0]))
    if not found and captures.get("value"):
        found = written_types.expression(_beginning(data, captures["value"][0]), language.transparent_calls)
    elif not found and captures.get("each"):
        way = written_types.expression(_beginning(data, captures["each"][0]), language.transparent_calls)
        found = written_types.element(way)
    if "member" in captures:
        found = written_types.member(found, text_of(data, captures["member"][0]))
    return sys.intern(found)


def _beginning(data: bytes, node: Node) -> str:
    """As much of a value, which may be a long table, as its type is read from."""
    return data[node.start_byte : min(node.end_byte, node.start_byte + _MAX_VALUE)].decode("utf-8", "replace")


def _typed(language: Language, data: bytes, item: _Found) -> str:
    returned = written_types.annotation(item.returned)
    return returned or next((found for captures in item.typings if (found := type_of(language, data, captures))), "")


def _nest(language: Language, data: bytes, ordered: Sequence[_Found], parameters: Parameters) -> tuple[Definition, ...]:
    """Put members into their classes; leave out what is local to a function."""
    definitions: list[Definition] = []
    # What is around the current item, and its index in `definitions` (-1: it is not there).
    around: list[tuple[_Found, int]] = []
    members = _Members(definitions)
    for item in ordered:
        while around and (around[-1][0].end <= item.start or _beside(around[-1][0], item)):
            around.pop()
        while around and around[-1][0].kind == "wrapper" and item.kind != "wrapper":
            wrapper, _ = around.pop()
            item.start, item.start_line = wrapper.start, wrapper.start_line
        outer, parent = around[-1] if around else (None, -1)
        if item.kind == "returned":
            if parent >= 0 and not definitions[parent].type:
                definitions[parent] = _returning(definitions[parent], _typed(language, data, item))
            continue
        indent, function = None, None
        if item.hoisted and outer and outer.kind in ("function", "method"):
            # `self.x = ...` in a method is a member of the class around it.
            indent, function = _indent(data, outer.start), outer
            outer, parent = next((pair for pair in reversed(around) if pair[0].kind == "class"), (None, -1))
        if outer and outer.body == item.body >= 0:  # `typedef struct a {...} b`: the first name is enough
            continue
        type_ = partial(_member_type, language, data, item, function, parameters)
        kept = item.kind != "wrapper" and (outer is None or (outer.kind in CONTAINERS and parent >= 0))
        kept = kept and (item.kind != "attribute" or (outer is not None and members.add(parent, item.name, type_)))
        if language.joins_namespaces and item.kind == "namespace" and outer and outer.kind == "namespace":
            item.name = sys.intern(f"{outer.name}.{item.name}")
        around.append((item, len(definitions) if kept else -1))
        if kept:
            text = _signature(language, data, item, _indent(data, item.start) if indent is None else indent)
            definitions.append(_finish(item, _at_top(text) if outer is None else text, type_(), outer, parent))
    return tuple(definitions)


class _Members:
    """The attributes of each class, by their names: each once, however often it is assigned."""

    def __init__(self, definitions: list[Definition]) -> None:
        self._definitions = definitions
        self._known: dict[tuple[int, str], int] = {}
        self._counts: dict[int, int] = {}

    def add(self, parent: int, name: str, type_: Callable[[], str]) -> bool:
        """Whether the next definition may be attribute `name` of `parent`; one that is known may get a type."""
        known = self._known.get((parent, name))
        if known is not None:
            if not self._definitions[known].type:
                self._definitions[known] = replace(self._definitions[known], type=type_())
            return False
        count = self._counts.get(parent, 0)
        if count >= _MAX_ATTRIBUTES:
            return False
        self._known[parent, name] = len(self._definitions)
        self._counts[parent] = count + 1
        return True


def _at_top(text: str) -> str:
    """A signature without its indentation: it stands in an `if` or `try` of the module."""
    indent = text[: len(text) - len(text.lstrip())]
    return text.replace("\n" + indent, "\n").removeprefix(indent) if indent else text


def _beside(one: _Found, other: _Found) -> bool:
    """Whether both are declared together: `a, b int`."""
    together = (one.kind, one.start, one.end) == (other.kind, other.start, other.end)
    return together and one.kind in ("constant", "attribute")


def _member_type(language: Language, data: bytes, item: _Found, function: _Found | None, parameters: Parameters) -> str:
    """The type of an item; for `self.x = x`, where `x` is a parameter of the function around it, that of `x`."""
    found = _typed(language, data, item)
    for start, captures in parameters.get(found[1:], ()) if function and found.startswith("=") else ():
        if function and function.start <= start < item.start:
            return type_of(language, data, captures)
    return found


def _returning(definition: Definition, way: str) -> Definition:
    """A function without a written type, and what one of its `return`s gives back.

    A local variable says nothing outside, so that only calls, members and the object itself count.
    """
    if definition.kind not in ("function", "method"):
        return definition
    owner = definition.owner
    if way in ("=self", "=this"):
        way = owner
    elif way == "=cls()":
        way = f"={owner}()" if owner else ""
    elif "()" not in way and not way.startswith(("=self.", "=this.")):
        way = ""
    return replace(definition, type=sys.intern(way)) if way else definition


def _finish(item: _Found, text: str, type_: str, outer: _Found | None, parent: int) -> Definition:
    inside = outer is not None and outer.kind == "class"
    owner = item.owner or (outer.name if outer and inside else "")
    return Definition(
        name=item.name,
        kind="method" if item.kind == "function" and inside else item.kind,
        start_line=item.start_line,
        end_line=item.end_line,
        text=text,
        parent=parent,
        owner=sys.intern(owner.rpartition("::")[2]),
        bases=item.bases,
        type=_SELF_TYPE.sub(owner, type_) if owner and type_ else type_,
    )


def _signature(language: Language, data: bytes, item: _Found, indent: str) -> str:
    """The text before the body; the first line of what has none."""
    end = item.end if item.body < 0 else item.body
    whole = data[item.start : end].decode("utf-8", "replace").rstrip()
    if item.body >= 0:
        lines = whole.split("\n")
        while len(lines) > 1 and lines[-1].lstrip().startswith(language.comment):  # comments above the body
            lines.pop()
        whole = language.signature("\n".join(lines).rstrip(), item.name)
        if item.kind not in CONTAINERS:
            whole = whole.removesuffix(" =").rstrip(";")  # Ruby's `def f(x) = ...` and `def f; ...`
            whole += " ..." if whole.endswith("=>") else language.function_end  # an arrow function
    elif item.kind in CONTAINERS:
        whole = _without_end(whole)
    elif item.kind in ("constant", "attribute") or whole.count("\n") > _MAX_LINES:
        first, more, _ = whole.partition("\n")
        whole = first[:_MAX_LINE].rstrip() + (" ..." if more or len(first) > _MAX_LINE else "")
    if len(whole) > _MAX_SIGNATURE:
        whole = whole[:_MAX_SIGNATURE].rstrip() + " ..."
    return indent + whole.replace("\r", "")


def _without_end(text: str) -> str:
    """A class without a body, less its `end` and what stands around it.

    (A pattern for all of that takes time in the cube of the empty lines in it.)
    """
    rest = text.rstrip(_BLANK)
    return _END.sub("", rest).rstrip(_BLANK)


def _indent(data: bytes, start: int) -> str:
    """The white space before byte `start` on its line."""
    line = data.rfind(b"\n", 0, start) + 1
    before = data[line:start].decode("utf-8", "replace")
    return before[: len(before) - len(before.lstrip())]


def text_of(data: bytes, node: Node) -> str:
    """The text of `node`."""
    return data[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _imports(language: Language, data: bytes, captures: Captures) -> Sequence[Import]:
    def text(part: str) -> str:
        return text_of(data, captures[part][0]) if captures.get(part) else ""

    if "import" in captures:
        return language.read_import(text("import"))
    if "import.inner" in captures:
        return language.read_import(f"{INNER} {text('import.inner')}")
    module, name, alias = text("import.module"), text("import.name"), text("import.alias")
    if "import.submodule" in captures:
        module, name = "self", text("import.submodule")
    elif "import.default" in captures:
        name, alias = "default", text("import.default")
    elif "import.local" in captures:
        name, alias = text("import.local"), alias or "default"
    elif "import.all" in captures:
        return [Import(module, ALL, "")]
    if not module and "import.local" not in captures:
        return []
    return [Import(module, name, alias or name or _module_alias(module))]


def _module_alias(module: str) -> str:
    """`a/b/v2` and `a/b.v2` are known as `b` (Go); `a.b` as `a.b` (Python)."""
    parts = [part for part in module.split("/") if part]
    if len(parts) > 1 and _VERSION.fullmatch(parts[-1]):
        parts.pop()
    return _VERSION_END.sub("", parts[-1]) if len(parts) > 1 else module
