"""Repairs of habits that come from other languages, and of slips that a type checker names: no model is needed.

    xs.push(x)              "push" is unknown for "list"           xs.append(x)
    name.length             "length" is unknown for "str"          len(name)
    ArrayList[int]          "ArrayList" is not defined             List[int], list[int]
    "n = " + n              "+" not supported for "str" and "int"  "n = " + str(n)
    count == 0              "count" is unbound, further down       count = 0
    self.helper(x)          "helper" is unknown for "Solution"     helper(x)

Written for Python: that is where people come from elsewhere most, and where a checker tells the types. Each candidate
is proved like any other.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from itertools import islice

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic, clamped
from coderls.repair.region import enclosing
from coderls.repair.slips import word_at

_MOST = 12
#: What other languages call what Python has, best first. {x} is the object, {0} the first argument, {*} all of them.
_MEMBERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("push", "push_back", "pushBack", "add", "addLast", "insertLast", "append", "offer", "enqueue"),
                    ("{x}.append({*})", "{x}.add({*})")),
    **dict.fromkeys(("addFirst", "pushFront", "push_front", "unshift", "appendLeft"),
                    ("{x}.appendleft({*})", "{x}.insert(0, {*})")),
    **dict.fromkeys(("addAll", "concat", "pushAll"), ("{x}.extend({*})", "{x}.update({*})", "{x} + {0}")),
    **dict.fromkeys(("pop_back", "removeLast", "pollLast"), ("{x}.pop()",)),
    **dict.fromkeys(("shift", "poll", "dequeue", "pop_front", "popFront", "removeFirst", "pollFirst"),
                    ("{x}.popleft()", "{x}.pop(0)")),
    **dict.fromkeys(("peek", "top", "back", "getLast", "peekLast"), ("{x}[-1]",)),
    **dict.fromkeys(("front", "getFirst", "peekFirst"), ("{x}[0]",)),
    **dict.fromkeys(("length", "size", "len", "count", "Count", "Length", "getLength", "__len"), ("len({x})",)),
    **dict.fromkeys(("isEmpty", "empty", "is_empty"), ("not {x}",)),
    **dict.fromkeys(("contains", "includes", "has", "has_key", "containsKey", "hasKey", "containsValue", "exists"),
                    ("{0} in {x}",)),
    **dict.fromkeys(("indexOf", "index_of", "IndexOf"), ("{x}.index({*})", "{x}.find({*})")),
    **dict.fromkeys(("find", "index"), ("{x}.index({*})", "{x}.find({*})")),
    **dict.fromkeys(("charAt", "get", "at", "elementAt", "nth"), ("{x}[{0}]",)),
    **dict.fromkeys(("put", "set", "insert"), ("{x}[{0}] = {1}", "{x}.add({0})")),
    **dict.fromkeys(("charCodeAt", "codePointAt"), ("ord({x}[{0}])",)),
    **dict.fromkeys(("substring", "substr", "slice"), ("{x}[{0}:{1}]", "{x}[{0}:]")),
    **dict.fromkeys(("delete", "erase", "removeAt"), ("{x}.remove({*})", "{x}.pop({*})", "{x}.discard({*})")),
    **dict.fromkeys(("toString", "to_string", "to_s", "str"), ("str({x})",)),
    **dict.fromkeys(("toUpperCase", "toUpper", "uppercase", "ToUpper"), ("{x}.upper()",)),
    **dict.fromkeys(("toLowerCase", "toLower", "lowercase", "ToLower"), ("{x}.lower()",)),
    **dict.fromkeys(("trim", "Trim", "stripped"), ("{x}.strip()",)),
    **dict.fromkeys(("trimStart", "trimLeft"), ("{x}.lstrip()",)),
    **dict.fromkeys(("trimEnd", "trimRight", "chomp"), ("{x}.rstrip()",)),
    **dict.fromkeys(("startsWith", "starts_with", "StartsWith", "hasPrefix"), ("{x}.startswith({*})",)),
    **dict.fromkeys(("endsWith", "ends_with", "EndsWith", "hasSuffix"), ("{x}.endswith({*})",)),
    **dict.fromkeys(("replaceAll", "gsub", "sub"), ("{x}.replace({*})",)),
    **dict.fromkeys(("toArray", "toList", "to_list", "toCharArray", "chars"), ("list({x})",)),
    **dict.fromkeys(("keySet", "getKeys"), ("{x}.keys()",)),
    **dict.fromkeys(("entrySet", "entries", "iteritems", "viewitems"), ("{x}.items()",)),
    **dict.fromkeys(("itervalues", "viewvalues"), ("{x}.values()",)),
    **dict.fromkeys(("iterkeys", "viewkeys"), ("{x}.keys()",)),
    **dict.fromkeys(("reversed", "reverse"), ("{x}[::-1]", "reversed({x})")),
    **dict.fromkeys(("sorted", "sort"), ("sorted({x})",)),
    **dict.fromkeys(("join", "sum", "min", "max", "map", "filter", "abs", "any", "all"), ("{m}({x})", "{m}({*}, {x})")),
    "joined": ("{0}.join({x})",),
    "getOrDefault": ("{x}.get({*})",),
    "next": ("next({x})",),
    "equals": ("{x} == {0}",),
    "clone": ("{x}.copy()", "{x}[:]"),
    "forEach": ("map({0}, {x})",),
}  # fmt: skip
_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("null", "nil", "NULL", "undefined", "nullptr", "none", "NONE"), ("None",)),
    **dict.fromkeys(("true", "TRUE"), ("True",)),
    **dict.fromkeys(("false", "FALSE"), ("False",)),
    **dict.fromkeys(("this", "Self"), ("self",)),
    **dict.fromkeys(("ArrayList", "LinkedList", "Vector", "vector", "Array", "array", "Slice"), ("List", "list")),
    **dict.fromkeys(("HashMap", "TreeMap", "Map", "Dictionary", "Hash", "unordered_map"), ("Dict", "dict")),
    **dict.fromkeys(("HashSet", "TreeSet", "unordered_set"), ("Set", "set")),
    **dict.fromkeys(("String", "string", "unicode", "basestring", "Str"), ("str",)),
    **dict.fromkeys(("Integer", "integer", "long", "Long", "Int"), ("int",)),
    **dict.fromkeys(("Boolean", "boolean", "Bool"), ("bool",)),
    **dict.fromkeys(("Double", "double", "Float", "Number"), ("float",)),
    "Error": ("Exception",),
    **dict.fromkeys(("println", "printf", "puts", "echo", "Print", "console"), ("print",)),
    **dict.fromkeys(("strlen", "length", "size", "sizeof", "count"), ("len",)),
    **dict.fromkeys(("parseInt", "atoi", "toInt"), ("int",)),
    **dict.fromkeys(("parseFloat", "toFloat"), ("float",)),
    **dict.fromkeys(("typeof", "gettype"), ("type",)),
    **dict.fromkeys(("Infinity", "INFINITY", "inf", "INF", "Inf"), ('float("inf")',)),
    **dict.fromkeys(("INT_MAX", "MAX_VALUE", "maxint"), ("sys.maxsize", 'float("inf")')),
    **dict.fromkeys(("INT_MIN", "MIN_VALUE"), ("-sys.maxsize", 'float("-inf")')),
    **dict.fromkeys(("NaN", "nan"), ('float("nan")',)),
    "xrange": ("range",), "raw_input": ("input",), "unichr": ("chr",), "Math": ("math",), "Object": ("object",),
    "instanceof": ("isinstance",), "Char": ("str",), "char": ("str",), "void": ("None",),
}  # fmt: skip
#: Of these those that no program has for variables.
_VALUES = frozenset({"null", "nil", "undefined", "nullptr", "none", "true", "false", "this"})
_ARGUMENTS = re.compile(r"\(((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\))*)\)")
#: The end of a line up to a dot: the object before it.
_OBJECT = re.compile(
    r"(?:[\w.]+|(?=[(\[]))(?:(?:\((?:[^()\n]|\([^()\n]*\))*\)|\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*\])[\w.]*)*$"
    r"|[\"'][^\"'\n]*[\"']$"
)
#: What a form of `_MEMBERS` leaves open.
_PART = re.compile(r"\{([xm*\d])\}")
_LONGEST = 300  # characters of a line that are looked at before a name

Made = tuple[Edit, str]


def mend_habits(document: Document, diagnostic: Diagnostic) -> list[Candidate]:
    """Candidates of one edit each, the likelier first; none where no habit is known for the complaint."""
    if document.language_id != "python":
        return []
    target = clamped(diagnostic, len(document.text))
    found: dict[str, Candidate] = {}
    for edit, title in islice(_made(document, target), 4 * _MOST):
        candidate = Candidate(document.text, (edit,), "rule", title)
        if candidate.text != document.text:
            found.setdefault(candidate.text, candidate)
    return list(found.values())[:_MOST]


def _made(document: Document, target: Diagnostic) -> Iterator[Made]:
    said = target.message
    place = word_at(document, target)
    if place is not None and re.search(r"attribute|member", said):
        yield from _members(document, *place)
    elif place is not None and re.search(r"not defined|undefined name|unbound", said, re.IGNORECASE):
        yield from _names(document, *place) if "nbound" not in said else ()
        yield from _never_set(document, *place)
    if re.search(r"Operator \"\+=?\" not supported|[Uu]nsupported operand types? for \+", said):
        yield from _called(document, target)
        yield from _as_text(document, target)
    if "not callable" in said or "__getitem__" in said:
        yield from _brackets(document, target)
    if re.search(r"must return value|Missing return statement", said):
        yield from _returned(document, target)
    if "self" in said and re.search(r"Self|self.? (?:parameter|argument)", f"{target.rule} {said}"):
        yield from _self(document, target)
    if "Coroutine" in said or "Awaitable" in said:
        yield from _awaited(document, target)


def _members(document: Document, start: int, end: int) -> Iterator[Made]:
    """Another name or form for `x.word` and `x.word(...)`; or `word(...)` for `self.word(...)`."""
    text, word = document.text, document.text[start:end]
    line = document.line_span(document.line_of(start))[0]
    line = max(line, start - _LONGEST)
    before = text[line:start].removesuffix(".")
    owner = _OBJECT.search(before) if text[start - 1 : start] == "." else None
    if owner is None or not owner[0]:
        return
    begin = line + owner.start()
    called = _ARGUMENTS.match(text, end, end + _LONGEST)
    finish = called.end() if called else end
    old = text[begin:finish]
    arguments = _split(called[1]) if called else []
    for form in _MEMBERS.get(word, ()):
        wanted = 1 + max((int(part) for part in _PART.findall(form) if part.isdigit()), default=-1)
        if wanted > len(arguments) or ("{*}" in form and not arguments):
            continue
        new = _written(form, owner[0], word, arguments)
        yield Edit(begin, finish, new), f"Change {old!r} to {new!r}"
    if owner[0] in ("self", "cls") and called:
        yield Edit(begin, start, ""), f"Change {owner[0] + '.' + word!r} to {word!r}"
    if re.search(rf"\bdef {word}\b", text) and not called:
        yield Edit(end, end, "()"), f"Change {word!r} to {word + '()'!r}"


def _written(form: str, owner: str, word: str, arguments: list[str]) -> str:
    """A form of `_MEMBERS` with all its parts, put in at once: arguments may have braces of their own."""
    parts = {"x": owner, "m": word, "*": ", ".join(arguments)}
    parts.update((str(number), argument) for number, argument in enumerate(arguments))
    return _PART.sub(lambda match: parts[match[1]], form)


def _names(document: Document, start: int, end: int) -> Iterator[Made]:
    """What Python calls it; a word that may as well be a variable only where it is called, or stands for a type."""
    word = document.text[start:end]
    plain = word.islower() and word not in _VALUES
    before = document.text[max(0, start - _LONGEST) : start]
    if plain and not document.text.startswith("(", end) and not re.search(r"(?::|->)\s*(?:\w+\[)*$", before):
        return
    for name in _NAMES.get(word, ()):
        yield Edit(start, end, name), f"Change {word!r} to {name!r}"


def _never_set(document: Document, start: int, end: int) -> Iterator[Made]:
    """`name == value` as a statement, above or below in the function: `=` was meant."""
    word, region = document.text[start:end], enclosing(document, start, end)
    pattern = rf"^[ \t]*(?:[\w.]+\s*,\s*)*{re.escape(word)}(?:\s*,\s*[\w.]+)*\s*(==)"
    for match in re.finditer(pattern, document.text[region.start : region.end], re.MULTILINE):
        at = region.start + match.start(1)
        yield Edit(at, at + 2, "="), "Change '==' to '='"


def _called(document: Document, target: Diagnostic) -> Iterator[Made]:
    """`()` behind a function that is an operand itself: `total += item.price` where `price` is a method."""
    if '"() -> ' in target.message:
        for match in re.finditer(r"(?<![\w.])[^\W\d][\w.]*(?![\w.(\[])", document.text[target.start : target.end]):
            at = target.start + match.end()
            yield Edit(at, at, "()"), f"Change {match[0]!r} to {match[0] + '()'!r}"


def _as_text(document: Document, target: Diagnostic) -> Iterator[Made]:
    """`str()` around what is not text in a sum of both, or a number of what is."""
    text = document.text
    parts = [(target.start + m.start(), target.start + m.end())
             for m in re.finditer(r"[^+=]+", text[target.start : target.end])]  # fmt: skip
    for start, end in parts:
        piece = text[start:end]
        inner = piece.strip()
        if inner and not re.match(r"[frbuFRBU]*[\"']", inner) and balanced(inner):
            at = start + piece.index(inner)
            for name in ("str", "int", "list"):
                yield Edit(at, at + len(inner), f"{name}({inner})"), f"Change {inner!r} to {f'{name}({inner})'!r}"


def _brackets(document: Document, target: Diagnostic) -> Iterator[Made]:
    """`x(i)` where `x[i]` is meant, `x[i]` where `x(i)` is, and `x()` for what is no function."""
    text = document.text
    line, line_end = document.line_span(document.line_of(target.start))
    for match in re.finditer(r"(?<=[\w\])])([(\[])([^()\[\]\n]*)([)\]])", text[line:line_end]):
        at, end = line + match.start(), line + match.end()
        if not target.start <= end or not at <= target.end:
            continue
        if match[1] + match[3] == "()":
            new = f"[{match[2]}]" if match[2].strip() else ""
        elif match[1] + match[3] == "[]":
            new = f"({match[2]})"
        else:
            continue
        yield Edit(at, end, new), f"Change {match[0]!r} to {new!r}" if new else f"Take away {match[0]!r}"


def _returned(document: Document, target: Diagnostic) -> Iterator[Made]:
    """`return` before the last statement of a function, where that is only a value."""
    region = enclosing(document, target.start, target.end)
    lines = document.text[region.start : region.end].splitlines(keepends=True)
    offset = region.end
    for line in reversed(lines):
        offset -= len(line)
        if not line.strip() or line.strip().startswith("#"):
            continue
        code = line.strip()
        if re.match(r"[\w\"'\[({-]", code) and not re.match(r"\w+\s*(?:[+\-*/%|&^]|//|\*\*)?=(?!=)", code):
            at = offset + len(line) - len(line.lstrip())
            yield Edit(at, at, "return "), "Add 'return'"
        return


def _self(document: Document, target: Diagnostic) -> Iterator[Made]:
    """The first parameter of a method."""
    line, line_end = document.line_span(document.line_of(target.start))
    match = re.search(r"\bdef \w+\(\s*(\))?", document.text[line:line_end])
    if match:
        at = line + match.start(1) if match[1] else line + match.end()
        yield Edit(at, at, "self" if match[1] else "self, "), "Add 'self'"


def _awaited(document: Document, target: Diagnostic) -> Iterator[Made]:
    """`await` before the call that makes the coroutine: in the line, or where its variable was set."""
    line, line_end = document.line_span(document.line_of(target.start))
    owner = re.search(r"([^\W\d]\w*)\.\w*$", document.text[line : target.start + 1])
    region = enclosing(document, target.start, target.end)
    above = document.text[region.start : line]
    made = [*re.finditer(rf"^[ \t]*{owner[1]}\s*=", above, re.MULTILINE)] if owner else []
    if made:
        start, end = document.line_span(document.line_of(region.start + made[-1].start(0)))
        yield from _awaited_in(document, start, end)
    yield from _awaited_in(document, line, line_end)


def _awaited_in(document: Document, line: int, line_end: int) -> Iterator[Made]:
    for match in re.finditer(
        r"(?<![\w.])(?!await\b)([\w.]+)\((?:[^()\n]|\([^()\n]*\))*\)", document.text[line:line_end]
    ):
        at, end = line + match.start(), line + match.end()
        if document.text[:at].rstrip().endswith("await") or hasattr(builtins, match[1]):
            continue
        chained = document.text[end : end + 1] in (".", "[")
        new = f"(await {match[0]})" if chained else f"await {match[0]}"
        yield Edit(at, end, new), f"Add 'await' before {match[1]!r}"


def balanced(code: str) -> bool:
    """Whether each bracket in a piece of code has its partner in it."""
    depth = 0
    for char in code:
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _split(arguments: str) -> list[str]:
    """The arguments of a call, split at its own commas."""
    pieces, depth, last = [], 0, 0
    for at, char in enumerate(arguments):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            pieces.append(arguments[last:at].strip())
            last = at + 1
    return [piece for piece in (*pieces, arguments[last:].strip()) if piece]
