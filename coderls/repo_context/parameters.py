"""The parameters in a signature as it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from coderls.repo_context.languages.language import Language

_OPEN, _CLOSE = "([{<", ")]}>"
_MARKS = re.compile(
    r"^(?:@\w+(?:\([^)]*\))?\s*|(?:public|private|protected|readonly|override|final|const|mut)\s+|[*&.])*"
)
_NAME = re.compile(r"#?[^\W\d][\w$]*")
_TYPE = re.compile(r"\??\s*:\s*")
#: What methods call the object that they work on, where it is a parameter.
_SELVES = frozenset(("self", "cls", "this"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter and its type as it is written, "" where none is. `many`: it takes all arguments from here on."""

    name: str
    type: str
    many: bool = False


@lru_cache(maxsize=4_000)
def parameters(text: str, name: str, language: Language) -> tuple[Parameter, ...]:
    """Those of the signature `text` of `name`, without the object that a method works on.

    Where a language writes the type first, the type is all of a parameter: whoever looks for classes in it finds them.
    """
    head = re.search(rf"(?<![\w$]){re.escape(name)}\b[^(\n]*\(", text)
    if head is None:
        return ()
    found = [_parameter(part.strip()) for part in split_at_commas(inside(text, head.end())[0]) if part.strip()]
    return tuple(item for number, item in enumerate(found) if number or item.name not in _SELVES)


def _parameter(part: str) -> Parameter:
    marks = _MARKS.match(part)
    start = marks.end() if marks else 0
    many = "..." in part[:start] or "*" in part[:start]
    name = _NAME.match(part, start)
    if name is None:  # a pattern such as `{ a, b }: Options`
        _, _, type_ = part.rpartition("}:")
        return Parameter("", _without_default(type_), many)
    typed = _TYPE.match(part, name.end())
    if typed is None:
        bare = part[start:].partition("=")[0].strip()
        return Parameter(name.group(), "" if bare == name.group() else bare, many)
    return Parameter(name.group(), _without_default(part[typed.end() :]), many)


def _without_default(type_: str) -> str:
    at = re.search(r"(?<![=<>!])=(?![=>])", type_)
    return (type_[: at.start()] if at else type_).strip()


def inside(text: str, start: int) -> tuple[str, int]:
    """What is in the bracket that was opened before `start`, and where it closes; -1 when it never does."""
    depth, quote = 1, ""
    for place in range(start, len(text)):
        sign = text[place]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'`":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if not depth:
                return text[start:place], place
    return "", -1


def split_at_commas(text: str) -> list[str]:
    """At the commas outside of brackets."""
    parts, depth, start, quote = [], 0, 0, ""
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'`":
            quote = sign
        elif sign in _OPEN:
            depth += 1
        elif sign in _CLOSE and text[place - 1 : place + 1] not in ("=>", "->"):
            depth -= 1
        elif sign == "," and depth <= 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
