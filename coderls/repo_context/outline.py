"""What one file defines and imports: the values that the index keeps.

As bytes (`to_bytes`, `from_bytes`: what is kept of a file on disk) an outline is UTF-8 JSON, a list of columns:
names, kinds (one digit each, the place in KINDS), start lines, end lines, texts, parents, owners, bases (names joined
by a space), types; then modules, names and aliases of the imports, and their rows. `FORMAT` is its version: it goes
up with every change of these columns or of what the languages find, and a record that was written with another one
is made again from the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from operator import lt
from typing import Any

from coderls.repo_context.languages.language import ALL, Import

#: Version of what `to_bytes` writes, and of what stands in it.
FORMAT = 6
#: Kinds of definitions. Where two patterns of a query find the same one, the first kind wins. What is in a
#: namespace counts as if it stood by itself.
KINDS = ("wrapper", "namespace", "class", "function", "method", "type", "constant", "attribute")
#: Kinds that hold other definitions.
CONTAINERS = ("namespace", "class")
_MAX_NAMED_IMPORTS = 100


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition of a file, without its body.

    Lines count from 0 and `end_line` is the first line not included. `text` is its signature with the
    indentation of the file. `parent` is the index of the definition around it in the same outline, or -1;
    `owner` is the name of the type that it belongs to, or "". `type` is the type of a constant or attribute, or
    what a function returns, as `written_types` says.
    """

    name: str
    kind: str
    start_line: int
    end_line: int
    text: str
    parent: int
    owner: str
    bases: tuple[str, ...] = ()
    type: str = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """What one file defines and imports, in the order of its text; `import_rows` are the lines of its imports."""

    definitions: tuple[Definition, ...]
    imports: tuple[Import, ...]
    import_rows: tuple[int, ...] = ()


def places_of(definitions: Sequence[Definition]) -> Mapping[str, Sequence[int]]:
    """The indices of the definitions of each name."""
    found: dict[str, list[int]] = {}
    for index, definition in enumerate(definitions):
        found.setdefault(definition.name, []).append(index)
    return found


def members_of(definitions: Sequence[Definition]) -> Mapping[str, Sequence[int]]:
    """The indices of what belongs to a type, by the name of that type."""
    found: dict[str, list[int]] = {}
    for index, definition in enumerate(definitions):
        if definition.owner:
            found.setdefault(definition.owner, []).append(index)
    return found


def named_imports(outline: Outline | None) -> tuple[tuple[str, str], ...]:
    """Modules and names of the first named imports of a file."""
    imports = outline.imports[:_MAX_NAMED_IMPORTS] if outline else ()
    return tuple(dict.fromkeys((entry.module, entry.name) for entry in imports if entry.name not in ("", ALL)))


@dataclass(frozen=True, slots=True)
class Binding:
    """A parameter or local variable and its type (see `written_types`), good from `line` up to before `end_line`.

    The object that a method works on is one too, as `self` or `this`, over the lines of its class.
    """

    name: str
    type: str
    line: int
    end_line: int


def to_bytes(outline: Outline) -> bytes:
    """The record of `outline` for a store; `from_bytes` reads it."""
    definitions, imports = outline.definitions, outline.imports
    columns = [
        [item.name for item in definitions],
        "".join(str(KINDS.index(item.kind)) for item in definitions),
        [item.start_line for item in definitions],
        [item.end_line for item in definitions],
        [item.text for item in definitions],
        [item.parent for item in definitions],
        [item.owner for item in definitions],
        [" ".join(item.bases) for item in definitions],
        [item.type for item in definitions],
        [entry.module for entry in imports],
        [entry.name for entry in imports],
        [entry.alias for entry in imports],
        outline.import_rows,
    ]
    # ASCII only, so that lone surrogates, which editors can send, survive.
    return json.dumps(columns, separators=(",", ":")).encode("ascii")


def from_bytes(record: bytes) -> Outline:
    """The outline of a record of `to_bytes`. Raises ValueError for anything else."""
    try:
        columns = json.loads(record)
        *defined, modules, names, aliases, rows = columns
        _check(defined)
        definitions = tuple(
            Definition(
                sys.intern(name),
                KINDS[int(kind)],
                start,
                end,
                text,
                parent,
                sys.intern(owner),
                tuple(bases.split()),
                type_,
            )
            for name, kind, start, end, text, parent, owner, bases, type_ in zip(*defined, strict=True)
        )
        imports = tuple(Import(*entry) for entry in zip(modules, names, aliases, strict=True))
        return Outline(definitions, imports, tuple(rows))
    except (TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"this is no record of an outline: {error}") from error


def _check(columns: list[Any]) -> None:
    """Raises ValueError where lines, texts or parents are not what `to_bytes` writes: parents stand before."""
    _, _, starts, ends, texts, parents, _, _, types = columns
    plain = set(map(type, chain(starts, ends, parents))) <= {int} and set(map(type, chain(texts, types))) <= {str}
    if not plain or not all(map(lt, parents, count())) or min(parents, default=-1) < -1:
        raise ValueError("a column holds something else")
