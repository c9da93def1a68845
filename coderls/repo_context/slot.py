"""Where a value goes that is being written: an argument of a call, a property of an object, a prop of an element.

Read from the text around the cursor, by brackets and indentation: such text rarely parses, and is asked about at every
key. The rows that are indented less and less, upwards from the cursor, hold all brackets that are open there; what is
between them is taken to be closed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

#: Open brackets are looked for so far back (characters), in so many rows that are indented less and less.
_BEFORE, _MAX_ROWS = 60_000, 14
#: Rows that are looked at for them, and characters of one: the last ones.
_MAX_LOOKED_AT, _LONGEST = 2_000, 1_000
#: Brackets that are open at the cursor: those that are looked at, from the inside out.
_MAX_OPEN = 40
#: Rows around the cursor in which properties are looked for that are there already (characters after it).
_MAX_SIBLINGS, _AFTER = 40, 1_500
#: The tag of an element is looked for so far back (characters).
_TAG_BEFORE = 1_500
_OPENERS, _CLOSERS = "([{", ")]}"

_QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\\n]|\\.)*`")
_COMMENT = re.compile(r"(?:^|\s)(?://|#\s).*$")
_SIGN = re.compile(r"[(){}\[\],]")
_ARGUMENTS = re.compile(r"\([^()]+\)")
_GENERIC = re.compile(r"(?<=\w)<[\w\s.,|&\[\]]*>")
_JOINT = re.compile(r"\s*(?:\?\.|!\.|->|::|\.)\s*")
_CALLED = re.compile(r"(?<![\w$])[^\W\d][\w$]*(?:\(\))?(?:\s*(?:\?\.|!\.|->|::|\.)\s*#?[^\W\d][\w$]*(?:\(\))?)*\Z")
_DEFINES = re.compile(
    r"\b(?:def|function|func|fn|class|interface|struct|enum|trait|type|impl|record|namespace)[\s*]*\Z"
)
_CALLS_NOTHING = re.compile(
    r"if|elif|for|foreach|while|switch|match|catch|except|return|with|and|or|not|in|is|assert|yield|await|typeof|case|"
    r"when|throw|raise|else|do|try|function"
)
_KEY = re.compile(r"\s*[\"']?([\w$-]+)[\"']?\??\s*:(?!:)")
_KEYWORD = re.compile(r"\s*([^\W\d]\w*)\s*(?:=(?![=>])|:(?!:))")
_TYPED = re.compile(r"[\w$\])\"'][?!]?\s*:\s*([^:=\n]*(?:=>[^:=\n]*)?)=\Z")
_ASSIGNED = re.compile(r"((?:[^\W\d][\w$]*\.)+#?[^\W\d][\w$]*)\s*=\Z")
_MADE = re.compile(r"(?:^|[=(,:&*\[{>]|\breturn|\bnew)\s*((?:\w+(?:\.|::))*[A-Z]\w*)\Z")
_INDEXED = re.compile(r"[\w$)\]](?<!\breturn)(?<!\bin)\Z")
_RETURNS = re.compile(r"(?:\breturn|=>)\Z")
_FUNCTION = re.compile(r"\b(?:def|function|func|fn)\b|(?:=>|\)[^()]*)[{:]?\s*\Z")
_CONTROLS = re.compile(r"[\s}]*(?:if|elif|else|for|foreach|while|switch|match|case|try|catch|except|finally|with|do)\b")
_RESULT = re.compile(r"\)\s*(?::|->)\s*([^=]+?)\s*(?:=>)?\s*[{:(]*\s*\Z")
_TAKEN = re.compile(r"(?:^|[{(,])\s*[\"']?([\w$]+)[\"']?\??\s*(?:[:=(,]|$)")
_TAG = re.compile(r"(?<![\w$)])<([A-Z][\w.]*)((?:\s[^<>]*)?)\Z")
_PROP = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value. One of `called`, `type` and `value` says what it belongs to.

    `called` is a way (see `written_types`, without its `=`) to what is called, and `argument` the number or the name of
    its parameter; `type` is a type as written; `value` is a way to what gets the value. `keys` lead from there into an
    object, the outermost first. `at_name`: the name of a property or keyword comes next; `taken` are there already.
    `in_object`: between the brackets of an object, not straight between those of a call.
    """

    called: str = ""
    type: str = ""
    value: str = ""
    argument: int | str = 0
    keys: tuple[str, ...] = ()
    at_name: bool = False
    in_object: bool = False
    taken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Frame:
    """An open bracket: `before` it, `part` behind its last comma up to the next one, and how many commas it has."""

    sign: str
    before: str
    part: str
    commas: int


def slot_at(text: str, offset: int, *, has_elements: bool = False) -> Slot | None:
    """The slot at `offset`; None where statements are written, or nobody can tell. `has_elements`: as JSX has them."""
    if has_elements and (element := _element(text[max(0, offset - _TAG_BEFORE) : offset])):
        return element
    skeleton, width, siblings = _skeleton(text[max(0, offset - _BEFORE) : offset].split("\n"))
    frames = _frames(skeleton)
    if not frames:
        return None
    slot = _read(frames)
    if slot is None or not slot.at_name:
        return slot
    after = text[offset : offset + _AFTER].split("\n")
    siblings += _level(after[1:], width)
    taken = {match.group(1) for row in siblings if (match := _TAKEN.match(row))}
    taken.update(match.group(1) for match in _TAKEN.finditer(skeleton[len(frames[0].before) :]))
    return replace(slot, taken=frozenset(taken))


def _element(before: str) -> Slot | None:
    """The props of the element whose tag is open."""
    if "<" not in before:
        return None
    bare = _QUOTED.sub('""', before)
    for _ in range(3):
        bare = _PROP.sub("", bare)
    tag = _TAG.search(bare)
    if tag is None or tag[2].endswith("="):
        return None
    return Slot(called=tag[1], at_name=True, in_object=True, taken=frozenset(re.findall(r"([\w$]+)=", tag[2])))


def _skeleton(rows: list[str]) -> tuple[str, int, list[str]]:
    """The rows that are indented less and less, up from the last; its width; and the rows beside it, above it.

    A comma is added for each row between them that ends with one.
    """
    last = rows[-1]
    kept, siblings = [_bare(last)], list[str]()
    limit = own = len(last.expandtabs(4)) if not last.strip() else _width(last)
    joins, between = _joins(kept[0]), ""
    for row in reversed(rows[-_MAX_LOOKED_AT:-1]):
        start = row.lstrip()
        if not start or len(row) - len(start) > limit or start.startswith(("#", "//", "*", "/*")):
            continue
        width = _width(row)
        if width > limit:
            continue
        bare = _bare(row)
        if width == limit and not (joins and start[0] not in _CLOSERS):
            between = (bare if joins else "," * bare.endswith(",")) + between  # joins: one of many `}, {`
            if len(kept) == 1 and len(siblings) < _MAX_SIBLINGS:
                siblings.append(bare)
            continue
        kept.append(bare + between)
        limit, between, joins = width, "", _joins(bare)
        if len(kept) > _MAX_ROWS or not (width or joins):
            break
    return "\n".join(reversed(kept)), own, siblings


def _joins(row: str) -> bool:
    """Whether a row goes on with what stands above it at the same indentation."""
    return row.startswith((*_CLOSERS, ".", "?.", "->"))


def _level(rows: Sequence[str], width: int) -> list[str]:
    """The rows that stand at `width`, up to the first that is indented less."""
    found = []
    for row in rows[:_MAX_SIBLINGS]:
        if row.strip():
            if _width(row) < width:
                break
            if _width(row) == width:
                found.append(_bare(row))
    return found


def _frames(text: str) -> list[_Frame]:
    """The brackets that are open at the end of `text`, the innermost first: _MAX_OPEN, for each holds a text."""
    opened: list[list[int]] = []  # where each is, its commas, and where its last part begins
    for match in _SIGN.finditer(text):
        sign = match.group()
        if sign in _OPENERS:
            opened.append([match.start(), 0, match.end()])
        elif sign in _CLOSERS:
            del opened[-1:]
        elif opened:
            opened[-1][1:] = opened[-1][1] + 1, match.end()
    found, end = list[_Frame](), len(text)
    for start, commas, part in reversed(opened[-_MAX_OPEN:]):
        found.append(_Frame(text[start], text[:start].rstrip(), text[part:end], commas))
        end = start
    return found


def _read(frames: Sequence[_Frame]) -> Slot | None:
    """What the brackets say together, from the inside out."""
    keys: list[str] = []
    at_name = frames[0].sign != "[" and not frames[0].part.strip()
    in_object = frames[0].sign == "{"
    for frame in frames:
        if frame.sign == "(" and (called := _called(frame.before)):
            keyword = _KEYWORD.match(frame.part)
            argument = keyword.group(1) if keyword else frame.commas
            return Slot(called=called, argument=argument, keys=tuple(keys), at_name=at_name, in_object=in_object)
        if frame.sign == "{" and frame.part.strip().strip("."):
            key = _KEY.match(frame.part)
            if key is None:
                return None
            keys.insert(0, key.group(1))
        if frame.sign == "[" and _INDEXED.search(frame.before):
            return None
        if _leads_outwards(frame.before):
            continue
        known = _named(frame)
        return known and replace(known, keys=tuple(keys), at_name=at_name, in_object=in_object)
    return None


def _leads_outwards(before: str) -> bool:
    """Whether a value behind this belongs to the bracket around it."""
    if before.endswith("="):
        inner = before[max(before.rfind("("), before.rfind(",")) + 1 :]
        return _KEYWORD.fullmatch(inner.strip()) is not None and inner != before
    return before[-1:] in ("", "(", ",", "[", ":") or before.endswith("...")


def _named(frame: _Frame) -> Slot | None:
    """What stands before a bracket says itself what the value is."""
    before = frame.before
    if before.endswith("=") and not before.endswith(("==", "!=", "<=", ">=")):
        if typed := _TYPED.search(before):
            return Slot(type=typed.group(1).strip())
        assigned = _ASSIGNED.search(before)
        return Slot(value=assigned.group(1)) if assigned else None
    if _RETURNS.search(before):
        return _returned(before) if frame.sign != "{" or not before.endswith("=>") else None
    made = _MADE.search(before) if frame.sign == "{" else None
    return Slot(type=made.group(1)) if made and not _DEFINES.search(before[: made.start(1)]) else None


def _returned(before: str) -> Slot | None:
    """What the function around gives back, where that is written."""
    for number, row in enumerate(reversed(before.split("\n"))):
        if (number == 0 and not row.endswith("=>")) or _CONTROLS.match(row):
            continue
        if _FUNCTION.search(row) or row.startswith(")"):
            result = _RESULT.search(row)
            return Slot(type=result.group(1)) if result else None
    return None


def _called(before: str) -> str:
    """The way to what is called by a bracket behind `before`; "" where it calls nothing."""
    text = before[-400:]
    for _ in range(3):
        text = _GENERIC.sub("", _ARGUMENTS.sub("()", text))
    match = _CALLED.search(text)
    if match is None or _CALLS_NOTHING.fullmatch(match.group()) or _DEFINES.search(text[: match.start()]):
        return ""
    return ".".join(_JOINT.split(match.group()))


def _bare(row: str) -> str:
    """A row without what stands in quotes, its comment, and white space that says nothing."""
    row = row[-_LONGEST:]
    if "'" in row or '"' in row or "`" in row:
        row = _QUOTED.sub('""', row)
    if "//" in row or "#" in row:
        row = _COMMENT.sub("", row)
    return " ".join(row.split())


def _width(row: str) -> int:
    whole = row.expandtabs(4) if "\t" in row[:20] else row
    return len(whole) - len(whole.lstrip())
