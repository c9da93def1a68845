"""What the text around the cursor says by itself: names and how near they are, receivers, the headers around it.

Plain text and regular expressions: it is asked at every keystroke, for text that rarely parses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

#: Characters before and after the cursor that count as near.
BEFORE, AFTER = 6_000, 2_500
#: Lines from the cursor at which a name counts half.
_HALF = 12
#: Receivers are looked for in so many lines before and after the cursor.
_LINES_BEFORE, _LINES_AFTER = 40, 15
_MAX_RECEIVERS = 40
_MAX_HEADERS, _MAX_HEADER = 6, 1_000  # number, characters of each
#: Headers are looked for so far back (characters).
_HEADERS_BEFORE = 60_000

_NAME = re.compile(r"[^\W\d]\w+")
#: `a.b.c`, `a?.b`, `a->b`, `a::b`.
_CHAIN = re.compile(r"(?<![\w.])[^\W\d]\w*(?:(?:\(\))?(?:\.|\?\.|!\.|->|::)[#$]?[^\W\d]\w*)+")
_ARGUMENTS = re.compile(r"\([^()]+\)")
_JOINT = re.compile(r"\?\.|!\.|->|::|\.")
_LAST_JOINT = re.compile(r"(?:\?\.|!\.|->|::|\.)\Z")
_LAST_CHAIN = re.compile(r"(?<!\w)[^\W\d]\w*(?:\(\))?(?:(?:\.|\?\.|!\.|->|::)[#$]?[^\W\d]\w*(?:\(\))?)*\Z")
#: A chain before the cursor is looked for so far back (characters).
_LONGEST_CHAIN = 200
_HEADER = re.compile(
    r"(?:.*\b)?(?:class|def|function|func|fn|interface|struct|enum|trait|impl|module|namespace)\b|.*[{(:]\s*$|.*=>"
)
_FUNCTION = re.compile(
    r"\b(?:def|function|func|fn)\s*\*?\s*(?:\([^)]*\)\s*)?([^\W\d]\w*)"
    r"|^\s*(?:(?:public|private|protected|static|async|override|readonly|get|set|export|virtual|final)\s+)*"
    r"(?!if\b|for\b|while\b|switch\b|catch\b|return\b|with\b|elif\b)([^\W\d]\w*)\s*(?:<[^>]*>)?\([^)]*\)?[^=;]*\{\s*$"
)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+")
#: Words of names that say nothing.
_COMMON = frozenset(
    ("get", "set", "Get", "Set", "self", "this", "def", "return", "from", "import", "None", "the", "and")
)
_CLASS = re.compile(
    r"\b(?:class|interface|struct|enum|trait|impl|module|object)\s+(?:<[^>]*>\s*)?([^\W\d]\w*(?:::\w+)*)"
)

Near = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`names` near the cursor with their closeness (1 at the cursor, towards 0), likewise the dotted `receivers`.

    `headers` are the lines that enclose the cursor, the innermost first; `classes` the names of the classes in them.
    `in_class_body`: members are written here, not statements. `words` are parts of the names around, by weight, and
    `function` is the name of the innermost function. `behind`: what stands before the dot that the cursor is behind, as
    in `receivers`; "" where there is no dot.
    """

    names: Near
    receivers: Near
    headers: tuple[str, ...]
    classes: tuple[str, ...]
    in_class_body: bool
    function: str = ""
    words: Near = field(default_factory=dict)
    behind: str = ""


@lru_cache(maxsize=20_000)
def words_of(name: str) -> tuple[str, ...]:
    """The words in a name, in lower case: `getFieldName` and `get_field_name` give field and name."""
    return tuple(dict.fromkeys(part.lower() for part in _PART.findall(name) if len(part) > 2 and part not in _COMMON))


def look_around(text: str, offset: int) -> Surroundings:
    """The surroundings of `offset`. The word that is being typed is left out: the context must not change with it."""
    start, end = word_at(text, offset)
    before = text[max(0, start - BEFORE) : start].split("\n")
    after = text[end : end + AFTER].split("\n")
    headers = _headers(text, start)
    function = next(filter(None, map(function_in, headers)), "")
    classes = tuple(match.group(1).rpartition("::")[2] for header in headers if (match := _CLASS.search(header)))
    return Surroundings(
        names=_names(before, after, headers),
        receivers=_receivers(before[-_LINES_BEFORE:], after[:_LINES_AFTER]),
        headers=headers,
        classes=classes,
        in_class_body=bool(headers and _CLASS.search(headers[0])),
        function=function,
        words=_words(before, after, function, classes),
        behind=_behind(before[-1]),
    )


def word_at(text: str, offset: int) -> tuple[int, int]:
    """Where the word that holds or touches `offset` begins and ends; `offset` twice where there is none."""
    start = end = offset
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return start, end


def function_in(header: str) -> str:
    """The name of the function whose header this is; "" for other headers."""
    match = _FUNCTION.search(header)
    return (match.group(1) or match.group(2) or "") if match else ""


def near_text(text: str, offset: int) -> str:
    """The code around the cursor that is not shown again."""
    return text[max(0, offset - BEFORE) : offset + AFTER]


def closeness(lines: int) -> float:
    """Of something so many lines away."""
    return 1.0 / (1.0 + lines / _HALF)


def _names(before: list[str], after: list[str], headers: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for distance, line in [*enumerate(reversed(before)), *enumerate(after)]:
        near = closeness(distance)
        for name in _NAME.findall(line):
            if found.get(name, 0.0) < near:
                found[name] = near
    for number, header in enumerate(headers):  # parameters and bases matter however long the body is
        near = closeness(6 * number + 6)
        for name in _NAME.findall(header):
            if found.get(name, 0.0) < near:
                found[name] = near
    return found


def _words(before: list[str], after: list[str], function: str, classes: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for distance, line in [*enumerate(reversed(before[-6:])), *enumerate(after[:4])]:
        for name in _NAME.findall(line):
            for word in words_of(name):
                found[word] = max(found.get(word, 0.0), 0.8 - 0.1 * distance)
    for weight, name in ((1.0, function), *((0.5, name) for name in classes[:1])):
        for word in words_of(name):
            found[word] = max(found.get(word, 0.0), weight)
    return found


def _receivers(before: list[str], after: list[str]) -> dict[str, float]:
    """`a` and `a.b` of each `a.b.c`, with `.` for whatever joins them."""
    found: dict[str, float] = {}
    for distance, line in [*enumerate(reversed(before)), *enumerate(after)]:
        near = closeness(distance)
        bare = _ARGUMENTS.sub("()", line)
        chains = [match.group() for match in _CHAIN.finditer(bare)]
        if distance == 0 and line is before[-1] and (behind := _behind(line)):
            chains.append(f"{behind}.x")  # what is typed now is a member of this
        for chain in chains:
            parts = _JOINT.split(chain)
            for size in range(1, min(len(parts), 5)):
                way = ".".join(parts[:size])
                if found.get(way, 0.0) < near:
                    found[way] = near
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:_MAX_RECEIVERS])


def _behind(line: str) -> str:
    """`a.b` of a line that ends in `a.b.`, with `.` for whatever joins them."""
    bare = _ARGUMENTS.sub("()", line[-_LONGEST_CHAIN:]).rstrip()
    joint = _LAST_JOINT.search(bare)
    chain = _LAST_CHAIN.search(bare, 0, joint.start()) if joint else None
    return ".".join(_JOINT.split(chain.group())) if chain else ""


def _headers(text: str, offset: int) -> tuple[str, ...]:
    """Lines less and less indented, upwards from the cursor, that look as if they opened something."""
    begin = max(0, offset - _HEADERS_BEFORE)
    lines = text[begin:offset].split("\n")
    current = lines.pop() if lines else ""
    indent = _width(current) if current.strip() else len(current.expandtabs(4))
    found: list[str] = []
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        bare = line.lstrip()
        if not bare or bare[0] in "#)]}" or bare.startswith(("//", "*", "/*")):
            continue
        width = _width(line)
        if width >= indent:
            continue
        indent = width
        if _HEADER.match(line):
            found.append(" ".join(lines[number : number + _rows(lines, number)])[:_MAX_HEADER])
        if not width or len(found) >= _MAX_HEADERS:
            break
    return tuple(found)


def _rows(lines: list[str], number: int) -> int:
    """How many lines a header takes: until its brackets are closed."""
    depth = 0
    for count, line in enumerate(lines[number : number + 12], 1):
        depth += sum(line.count(sign) for sign in "([") - sum(line.count(sign) for sign in ")]")
        if depth <= 0:
            return count
    return 1


def _width(line: str) -> int:
    whole = line.expandtabs(4) if "\t" in line[:20] else line
    return len(whole) - len(whole.lstrip())
