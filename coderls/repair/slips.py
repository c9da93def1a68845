"""Repairs of common slips, without any model: a name that is almost another one, a missing bracket, quote or colon.

Each function yields many small edits, the likelier first. Most are wrong: `mend_syntax` sieves them by the parser at
once, and what is left goes the way of all candidates, through `verify.py`.
"""

from __future__ import annotations

import builtins
import difflib
import importlib.util
import keyword
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic, is_superfluous, is_unknown
from coderls.repair.python_imports import import_edit
from coderls.repair.region import enclosing

#: So many candidates for one complaint about a name.
MOST_NAMES = 16
#: Names less alike than this are not tried for being alike (difflib's ratio).
_ALIKE = 0.5
#: And names as alike as this are almost the same.
ALMOST = 0.8
_WORD = re.compile(r"[^\W\d]\w*")
_QUOTED = re.compile(r"[\"'`‘’“”]([^\W\d][\w.]*)[\"'`‘’“”]")
#: Go's word for a name in another case: "undefined: strings.toUpper (but have ToUpper)".
_HAVE = re.compile(r"\(but (?:does )?have (?:field |method )?([^\W\d]\w*)\)")
#: What a message says is missing, after what it is missing in: "Module "util" has no attribute "Acount"".
_LACKS = re.compile(r"\bno (?:[a-z]+ )?(?:attribute|member|field|method|name|export|type) [\"'`‘“]([^\W\d]\w*)")
#: Where a message goes over to what may be meant.
_PERHAPS = re.compile(r"\b(?:maybe|did you mean|do you mean|perhaps you meant)\b|similar name", re.IGNORECASE)
_PYTHON_NAMES = frozenset(dir(builtins)) - {name for name in dir(builtins) if name.startswith("_")}
_PYTHON_MEMBERS = frozenset(
    name for kind in (str, list, dict, set, bytes) for name in dir(kind) if not name.startswith("_")
)
#: What is often used without having been imported.
_IMPORTS = {
    **dict.fromkeys(("Any", "Callable", "ClassVar", "Dict", "Generic", "Iterable", "Iterator", "List", "Literal",
                     "Mapping", "NamedTuple", "Optional", "Protocol", "Sequence", "Set", "Tuple", "Type", "TypeVar",
                     "Union", "TYPE_CHECKING"), "typing"),
    **dict.fromkeys(("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple", "ChainMap"), "collections"),
    **dict.fromkeys(("dataclass", "field", "replace"), "dataclasses"),
    **dict.fromkeys(("lru_cache", "cache", "cached_property", "partial", "reduce", "wraps"), "functools"),
    **dict.fromkeys(("accumulate", "chain", "combinations", "islice", "permutations", "product"), "itertools"),
    **dict.fromkeys(("heappush", "heappop", "heapify"), "heapq"),
    **dict.fromkeys(("bisect_left", "bisect_right", "insort"), "bisect"),
    **dict.fromkeys(("contextmanager", "suppress"), "contextlib"),
    **dict.fromkeys(("datetime", "timedelta", "timezone"), "datetime"),
    **dict.fromkeys(("ABC", "abstractmethod"), "abc"),
    "Path": "pathlib", "Enum": "enum", "Decimal": "decimal", "Fraction": "fractions", "Thread": "threading",
}  # fmt: skip


def mend_names(document: Document, diagnostic: Diagnostic, *, sure: bool) -> list[Candidate]:
    """Other names for the one that a checker does not know.

    `sure`: those that the checker itself names, that are almost the same, or only lack an import or their object.
    Otherwise those that are somewhat alike or near by: guesses, for a model to weigh.
    """
    found: dict[str, Candidate] = {}
    for edits, title in islice(_names(document, diagnostic, sure=sure), 4 * MOST_NAMES):
        candidate = Candidate(document.text, edits, "rule", title, guess=not sure)
        if candidate.text != document.text:
            found.setdefault(candidate.text, candidate)
    return list(found.values())[:MOST_NAMES]


def _names(document: Document, diagnostic: Diagnostic, *, sure: bool) -> Iterator[tuple[tuple[Edit, ...], str]]:
    place = word_at(document, diagnostic)
    if place is None:
        return
    start, end = place
    text = document.text
    word = text[start:end]
    is_member = text[:start].rstrip().endswith(".")
    if sure:
        yield from _about_self(document, start, end, is_member=is_member)
    near_by, others = _alike(document, diagnostic, start, end, is_member=is_member)
    if not is_member and document.language_id == "python" and is_unknown(diagnostic):
        if sure:
            yield from _imports(document, word)
        if _is_for_import(text, start, end):
            near_by, others = [], [*near_by, *others]
    if is_superfluous(diagnostic):  # what is used more often is the right spelling
        doubtful = [name for name in near_by if _count(text, name) <= _count(text, word)]
        near_by, others = [name for name in near_by if name not in doubtful], [*doubtful, *others]
    for name in near_by if sure else others:
        yield (Edit(start, end, name),), f"Change {word!r} to {name!r}"
        if is_member and text[end : end + 2] == "()" and (text[end - len(word) - 1] == "."):
            yield (Edit(start, end + 2, name),), f"Change {word + '()'!r} to {name!r}"


def nearness(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1; from ALMOST on one may be the other's misspelling.

    Case does not count, but in the first letter: `Item` is a class and `item` one of it. Two neighbours that have
    changed places are a slip whatever the length.
    """
    same_kind = one[:1].isupper() == other[:1].isupper()
    first, second = (one.lower(), other.lower()) if same_kind else (one, other)
    apart = [at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b]
    swapped = len(first) == len(second) > 2 and len(apart) == 2 and apart[1] == apart[0] + 1
    if swapped and first[apart[0]] == second[apart[1]] and first[apart[1]] == second[apart[0]]:
        return max(ALMOST, 1 - 1 / len(first))
    return difflib.SequenceMatcher(None, first, second).ratio()


def word_at(document: Document, diagnostic: Diagnostic) -> tuple[int, int] | None:
    """The name that is complained about: one that the message quotes and the line has, else the one at its place."""
    text = document.text
    line_start, line_end = document.line_span(document.line_of(diagnostic.start))
    low, high = min(diagnostic.start, line_end), min(max(diagnostic.end, diagnostic.start + 1), line_end)
    words = [(match.start() + line_start, match.end() + line_start)
             for match in _WORD.finditer(text[line_start:line_end])]  # fmt: skip
    inside = [(start, end) for start, end in words if start < high and low < end]
    message = _PERHAPS.split(diagnostic.message)[0]
    for quoted in (*_LACKS.findall(message), *_QUOTED.findall(message)):
        for start, end in (*inside, *words):
            if text[start:end] == quoted.rpartition(".")[2]:
                return start, end
    return inside[-1] if inside and not keyword.iskeyword(text[slice(*inside[-1])]) else None


def _about_self(document: Document, start: int, end: int, *, is_member: bool) -> Iterator[tuple[tuple[Edit, ...], str]]:
    """`x` where `self.x` is meant, and the other way round."""
    text, word = document.text, document.text[start:end]
    own = "self" if document.language_id == "python" else "this"
    receiver = re.search(rf"\b{own}\s*\.\s*$", text[max(0, start - 20) : start])
    if not is_member and own == "self" and re.search(rf"\bself\.{word}\b|\bdef {word}\(\s*self\b", text):
        yield (Edit(start, start, "self."),), f"Change {word!r} to {'self.' + word!r}"
    if not is_member and own == "this" and re.search(rf"\bthis\.{word}\b", text):
        yield (Edit(start, start, "this."),), f"Change {word!r} to {'this.' + word!r}"
    if receiver and (word in _PYTHON_NAMES or re.search(rf"(?<![.\w]){word}\b", text)):
        yield (Edit(start - len(receiver[0]), start, ""),), f"Change {own + '.' + word!r} to {word!r}"


def _imports(document: Document, word: str) -> Iterator[tuple[tuple[Edit, ...], str]]:
    if word in _IMPORTS:
        edit, line = import_edit(document.text, _IMPORTS[word], word), f"from {_IMPORTS[word]} import {word}"
        yield (edit,), f"Add '{line}'"
    elif word in sys.stdlib_module_names and not word.startswith("_"):
        yield (import_edit(document.text, word),), f"Add 'import {word}'"


def _is_for_import(text: str, start: int, end: int) -> bool:
    """Whether a name that nobody defines is surely one of the standard library: a class or function that is written
    so, or a module before one of its members."""
    word = text[start:end]
    if word in _IMPORTS:
        return word[0].isupper()
    member = re.match(r"\.([^\W\d]\w*)", text[end : end + 100])
    return member is not None and word in sys.stdlib_module_names and _has_member(word, member[1])


@lru_cache(maxsize=256)
def _has_member(module: str, name: str) -> bool:
    """Whether a module of the standard library has the word in its source; so it is taken for one without source.

    Nothing is imported.
    """
    spec = importlib.util.find_spec(module)
    place = Path(spec.origin) if spec is not None and spec.origin else None
    if place is None or place.suffix != ".py":
        return True
    try:
        source = place.read_text("utf-8", "replace")
    except OSError:
        return True
    return re.search(rf"\b{re.escape(name)}\b", source) is not None or place.with_name(f"{name}.py").is_file()


def _count(text: str, word: str) -> int:
    return len(re.findall(rf"\b{re.escape(word)}\b", text))


def _alike(
    document: Document, diagnostic: Diagnostic, start: int, end: int, *, is_member: bool
) -> tuple[list[str], list[str]]:
    """Names to try instead, the likeliest first: those that the message names or that are almost the same; and those
    that are somewhat alike or near by."""
    text, word = document.text, document.text[start:end]
    region = enclosing(document, start, end)
    before = r"\.\s*" if is_member else r"(?<![.\w])"
    everywhere = [m[1] for m in re.finditer(rf"{before}([^\W\d]\w*)", text[:start] + " " * (end - start) + text[end:])]
    near = set(re.findall(rf"{before}([^\W\d]\w*)", text[region.start : start]))
    line = slice(*document.line_span(document.line_of(start)))
    bound = set(re.findall(r"\bfor\s+\(?([^\W\d]\w*)", text[line]))  # in this line: nothing is nearer
    known = set(everywhere)
    if document.language_id == "python":
        known |= _PYTHON_MEMBERS if is_member else _PYTHON_NAMES
    if is_member:  # what is declared somewhere: only what is almost the same is tried of those
        known |= {name for name in set(_WORD.findall(text)) if nearness(word, name) >= ALMOST}
    known = {name for name in known if name != word and not keyword.iskeyword(name)}
    # What a message quotes is meant where it is about a name; another one's "expected" is a type.
    about_names = is_unknown(diagnostic) or is_superfluous(diagnostic)
    quoted = _QUOTED.findall(diagnostic.message) if about_names else []
    suggested = [name for name in quoted if name != word and name in known]
    meant = _PERHAPS.split(diagnostic.message, maxsplit=1)[1:]  # what another file has, this one need not
    if meant:
        suggested = [name.rpartition(".")[2] for name in _QUOTED.findall(meant[0]) if name != word]
    suggested += [name for name in _HAVE.findall(diagnostic.message) if name != word]

    def likeness(name: str) -> float:
        ratio = nearness(word, name)
        parts = re.split(r"_|(?<=[a-z])(?=[A-Z])", word)
        held = len(name) > 1 and (name in parts or word.endswith(name) or word.startswith(name))
        closer = 0.2 if name in bound else 0.1 if name in near else 0.0
        return max(ratio, 0.75 if held else 0.0) + (closer if word[:1].isupper() == name[:1].isupper() else 0.0)

    ranked = sorted(known, key=lambda name: (-likeness(name), name))
    alike = [name for name in ranked[: MOST_NAMES // 2] if likeness(name) >= _ALIKE]
    above = everywhere if is_member else re.findall(rf"{before}([^\W\d]\w*)", text[region.start : start])
    nearest = [name for name in reversed(above) if name in known]
    sure = list(dict.fromkeys([*suggested, *(name for name in alike if likeness(name) >= ALMOST)]))
    own = [name for name in alike if name in near]
    return sure, [name for name in dict.fromkeys([*own, *nearest[: MOST_NAMES // 2], *alike]) if name not in sure]
