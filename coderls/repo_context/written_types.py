"""Types as they stand in a text: an annotation, or an expression that another file can follow to one.

A type is one short string, so that an outline can be kept as text:

    Client              an annotation, without white space, quotes, pointer and reference marks
    list[Client]|None   the same; whoever follows it looks for the names that it knows
    =Client()           an expression: names with `.` between them, whatever the language writes there
    =self.pool.get()    `()` after what is called or constructed
    =self.users[]       `[]` for one element of it: an index, or the variable of a loop over it

The empty string says that nothing is known.
"""

from __future__ import annotations

import re

#: A longer type, or way to one, is of no use for a completion (characters).
MAX_LENGTH = 120
#: Longer expressions are not read at all (characters).
_MAX_EXPRESSION = 400
_SPACE = re.compile(r"\s+")
_MARKS = re.compile(
    r"^(?:\s*(?::|->|\*|&+(?:'\w+)?|\b(?:const|mut|final|volatile|readonly|static|struct|enum|dyn|impl|ref|in|out|params)\b))+\s*"
)
_BEFORE_VALUE = re.compile(r"(?:(?:await|yield|move|return)\b|&mut\b|&|\*|<-|\()\s*")
_NEW = re.compile(r"new\b\s*(?=[\w$\\])")
_NAME = re.compile(r"\\?[@$]{0,2}[^\W\d]\w*")
_JOIN = re.compile(r"\s*(?:\?\.|!\.|&\.|\.(?!\.)|\?->|->|::|\\)\s*(?=[@$#]*[^\W\d]|<)")
_CAST = re.compile(r"\s+(?:as|satisfies)\s+(?!const\b)([^;]+)$")
_REST = re.compile(r"\s*(?:$|[;)]|\?\?|\|\||or\b|if\b|\?[^.])")
_CLOSERS = {"(": ")", "[": "]", "{": "}", "<": ">"}


def annotation(text: str) -> str:
    """A type as written: `: &mut Store<T>` gives `Store<T>`, `"Client"` gives `Client`."""
    if len(text) > _MAX_EXPRESSION:
        return ""
    bare = _MARKS.sub("", text.strip()).strip().strip("\"'`").rstrip("*& ")
    bare = _SPACE.sub("", bare)
    return bare if len(bare) <= MAX_LENGTH else ""


def expression(text: str, transparent: frozenset[str] = frozenset()) -> str:
    """The way to the type of an expression, or "": `await new Client(1)` gives `=Client()`.

    `transparent` names calls that give back what they are called on, about: Rust's `unwrap`.
    """
    text = text[:_MAX_EXPRESSION].strip()
    if cast := _CAST.search(text):
        return annotation(cast.group(1))
    at = 0
    while match := _BEFORE_VALUE.match(text, at):
        at = match.end()
    made = _NEW.match(text, at)
    if made:
        at = made.end()
    steps: list[str] = []
    while match := _NAME.match(text, at):
        at, suffix = _after_name(text, match.end(), match.group())
        steps.append(match.group().lstrip("\\$@") + suffix)
        join = _JOIN.match(text, at)
        if join is None:
            break
        at = join.end()
    if not steps or not _REST.match(text, at):
        return ""
    if made and not steps[-1].endswith("()"):
        steps[-1] += "()"
    while len(steps) > 1 and steps[-1].removesuffix("()") in transparent:
        steps.pop()
    way = "=" + ".".join(steps)
    return way if len(way) <= MAX_LENGTH and way[1:] not in _LITERALS else ""


_LITERALS = frozenset(("None", "True", "False", "null", "nil", "true", "false", "undefined", "nullptr", "NULL"))


def element(way: str) -> str:
    """One element of what `way` leads to: for `for x in way`."""
    return f"{way}[]" if way.startswith("=") else way


def _after_name(text: str, at: int, name: str) -> tuple[int, str]:
    """What follows a name: where it ends, and `()` or `[]` for it."""
    suffix = ""
    while at < len(text):
        sign = text[at]
        if text.startswith("::<", at):
            at = _skip(text, at + 2)
        elif sign == "<":
            end = _skip(text, at)
            if end <= at or not re.match(r"\s*(?:[({]|::|\.)", text[end:]):
                return at, suffix
            at = end
        elif sign in "([":
            end = _skip(text, at)
            suffix += "()" if sign == "(" else "[]"
            at = end
        elif sign in "!?" and text[at + 1 : at + 2] in ("", ".", ";", ")", "["):
            at += text[at + 1 : at + 2] != "."  # `a!.b` and `a?.b` are joins; Rust's `f()?` and `a!` end here
            if text[at : at + 1] in "!?":
                return at, suffix
        elif (brace := re.match(r"\s*\{", text[at:])) and name[:1].isupper() and not suffix:
            at = _skip(text, at + brace.end() - 1)
            suffix = "()"
        else:
            break
    return at, suffix[:6]


def _skip(text: str, at: int) -> int:
    """The offset behind the bracket that closes the one at `at`; the end of the text where none does."""
    opener = text[at]
    closer = _CLOSERS[opener]
    depth = 0
    quote = ""
    for place in range(at, len(text)):
        sign = text[place]
        if quote:
            quote = "" if sign == quote and text[place - 1] != "\\" else quote
        elif sign in "\"'`" and opener != "<":
            quote = sign
        elif sign == opener:
            depth += 1
        elif sign == closer:
            depth -= 1
            if not depth:
                return place + 1
    return len(text)
