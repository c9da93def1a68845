"""What names mean at a place of the open file: parameters, local variables and the object a method works on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from coderls.repo_context.definitions import Captures, Node, text_of, type_of
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import Binding, Outline


def read_bindings(
    language: Language, data: bytes, outline: Outline, matches: Iterable[Captures], *, first_line: int
) -> tuple[Binding, ...]:
    """Bindings of the text `data` from all matches of `language.query` and `.variables`, in the order of the text.

    `data` begins at line `first_line` of its file. What has no known type is left out, except where it hides
    something of the same name from outside.
    """
    scopes: list[tuple[int, int, int]] = []
    named: dict[int, tuple[Node, str]] = {}
    for captures in matches:
        if "scope" in captures:
            node = captures["scope"][0]
            scopes.append((node.start_byte, node.end_byte, node.end_point[0] + 1))
        for kind in ("param", "local"):
            if kind in captures:
                node = captures[kind][0]
                type_ = type_of(language, data, captures)
                if type_ or node.start_byte not in named:
                    named[node.start_byte] = (node, type_)
    scopes.sort()
    found = _selves(language, outline, first_line) if language.self_name else []
    last_line = data.count(b"\n") + 1
    for node, type_ in named.values():
        end_line = _end_line(scopes, node.start_byte)
        name = _name(language, text_of(data, node))
        if name and (type_ or end_line is not None):
            line = node.start_point[0] + first_line
            found.append(Binding(name, type_, line, (end_line or last_line) + first_line))
    return tuple(sorted(found, key=lambda item: item.line))


def _name(language: Language, text: str) -> str:
    """The name that is bound; "" for what is no variable."""
    if language.declared is None:
        return text
    declared = language.declared(text)
    return declared.name if declared and not declared.is_function else ""


def _selves(language: Language, outline: Outline, first_line: int) -> list[Binding]:
    """`self` in classes, and in methods that are written outside of theirs."""
    found = []
    for item in outline.definitions:
        outside = item.kind == "method" and (item.parent < 0 or outline.definitions[item.parent].kind == "namespace")
        if item.kind == "class" or outside:
            owner = item.owner if outside else item.name
            found.append(Binding(language.self_name, owner, item.start_line + first_line, item.end_line + first_line))
    return found


def _end_line(scopes: Sequence[tuple[int, int, int]], start: int) -> int | None:
    """Where the innermost scope around byte `start` ends; None where there is none."""
    for index in range(bisect_right(scopes, (start, 1 << 62, 0)) - 1, -1, -1):
        _, end, end_line = scopes[index]
        if end > start:
            return end_line
    return None
