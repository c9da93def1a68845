"""What passes its checks only because they are weak: a guess, which is shown as one and never applied unseen.

Any name that is defined satisfies who complains about one that is not, any operand ends a sum, and a parser is content
with a statement that lost its operator. So a candidate is a guess unless something besides the checkers speaks for it:

    return totl      ->  return total     the spelling is near                   proved
    return volume    ->  return w         any name would do                      guess
    if a ==:         ->  if a == 1:       the value is invented                  guess
    return a +       ->  return a         what was begun is taken away           guess
    f(a              ->  f(a)             only signs that the grammar asks for   proved
    total = f()      ->  f()              and below: "totl" is not defined       guess

What speaks for a name: its spelling, the checker's own suggestion, or a model that clearly prefers it (`preferred`).
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from coderls.document import Document
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic, is_superfluous, is_unknown
from coderls.repair.line_slips import unbalanced
from coderls.repair.nonsense import called_anew, is_known_callable
from coderls.repair.region import enclosing
from coderls.repair.slips import ALMOST, nearness, word_at

#: A model prefers a name clearly that it gives this log-probability (70%), so much more than to the next one (a factor
#: of twelve), and that it writes by itself where nothing is said. (Looked at with the embedded model: the name that is
#: meant has -0.1 and 3.5 more than the next; a parameter that only happens to be there -0.2 and 1.8, or it is not what
#: the model writes.)
_LIKELY, _MARGIN = -0.36, 2.5
#: See `_alike` (difflib's ratio).
_SOMEWHAT = 0.6
_WORD = re.compile(r"[^\W\d]\w*|\d[\w.]*")
_TOKEN = re.compile(r"\w+|[()\[\]{},;:'\"]|[^\w\s()\[\]{},;:'\"]+")
_OPERATOR = re.compile(r"[-+*/%=<>&|^~!@.?]+|and|or|not|in|is")
#: Names in a function that are neither its own, nor members of something.
_IN_REACH = re.compile(r"(?<![\w.])(?<!def )(?<!func )(?<!fn )(?<!function )(?<!class )[^\W\d]\w*")
#: A member that is not there yet: nothing, or nothing of its own, follows the dot.
_OPEN_MEMBER = re.compile(r"(?:[^\W\d]\w*|[)\]}\"'?])\s*(?:\.|->|::)\s*(?:$|[;,)\]}:]|//|#)")
_IMPORT_LINE = re.compile(r"\s*(?:import|from|use|using|#\s*include|export\s.*\bfrom|const\s.*\brequire\()")
#: That a module cannot be found says nothing of its name: it may be installed where the checker does not look.
_MODULE = re.compile(r"stub|could not be resolved|[Cc]annot find module|module named")
_CLOSER = re.compile(r"[)\]}]")
_CLOSERS = re.compile(r"[)\]};:\s]+")
_COMMENT_SIGNS = frozenset({"//", "/*", "*/", "/**", "#", "<!--", "-->"})
#: Words of other languages that mean nothing in Python.
_FOREIGN = frozenset({"const", "let", "var", "vars", "new", "function", "func", "fn", "fun", "int", "float", "string",
                      "auto", "void", "then", "do", "end", "begin"})  # fmt: skip
_KEYWORDS = (frozenset(keyword.kwlist) - {"None", "True", "False"}) | _FOREIGN | frozenset(
    {"case", "match", "switch", "default", "catch", "throw", "export", "extends", "implements", "interface", "public",
     "private", "protected", "static", "final", "this", "self", "cls", "package", "use", "using", "pub", "mut", "impl",
     "struct", "enum", "type", "defer", "go", "chan", "range", "namespace", "template", "typename"}
)  # fmt: skip
#: What may come around a value that is there already: the type checker says which of them fits.
_CONVERSIONS = frozenset({"str", "int", "float", "list", "tuple", "set", "String", "Number", "string"})


def leaves_open(candidate: Candidate) -> bool:
    """Whether a bracket is closed in a line that ended with a comma: what was to follow is still missing.

    (So it is below such a line, where nothing follows at all.)
    """
    for edit in candidate.smallest:
        new = edit.new_text.splitlines()
        before, after = candidate.original[: edit.start].rstrip(), candidate.original[edit.end :].strip()
        if edit.start == edit.end and before.endswith(",") and not after and _CLOSERS.fullmatch(edit.new_text):
            return True
        for number, line in enumerate(candidate.original[edit.start : edit.end].splitlines()):
            same = new[number] if number < len(new) else ""
            if line.rstrip().endswith(",") and len(_CLOSER.findall(same)) > len(_CLOSER.findall(line)):
                return True
    return False


def unbalances(document: Document, candidate: Candidate) -> bool:
    """Whether a line that was whole by itself has a bracket without its partner now: the fault is elsewhere."""
    return any(
        unbalanced(candidate.original[edit.start : edit.end], edit.new_text, document.language_id)
        for edit in candidate.smallest
    )


def takes_away(candidate: Candidate) -> bool:
    """Whether words or operators of the user's only go away: what had been begun is not finished by that."""
    for kind, old, new, before, after in _changes(candidate):
        if kind == "replace" and _loses_names(old, new):
            return True
        if kind != "delete" or new:
            continue
        for at, token in enumerate(old):
            around = (*([before] if at == 0 else [old[at - 1]]), *([after] if at == len(old) - 1 else [old[at + 1]]))
            counts = token[0].isalnum() or token[0] == "_" or _OPERATOR.fullmatch(token)
            if counts and token not in _FOREIGN and token not in _COMMENT_SIGNS and token not in around:
                return True
    return False


def _loses_names(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether names give way to signs alone: `.items.` to `..`."""
    return any(map(_is_name, old)) and not any(token[0].isalnum() or token[0] == "_" for token in new)


def _is_name(token: str) -> bool:
    return (token[0].isalpha() or token[0] == "_") and token not in _FOREIGN


def ends_member_by_deletion(candidate: Candidate) -> bool:
    """Whether `x.`, whose member is still to be written, is made to parse by taking something away."""
    if len("".join(candidate.text.split())) >= len("".join(candidate.original.split())):
        return False
    lines = (line for edit in candidate.smallest for line in candidate.original[edit.start : edit.end].splitlines())
    return any(_OPEN_MEMBER.search(line) for line in lines)


def may_be_meant(document: Document, candidate: Candidate, complaints: Sequence[Diagnostic]) -> bool:
    """Whether a candidate takes away a name that another complaint misses: it is unused because of a slip there.

    (`result = f()` above `return reslt`, or `import numpy as pn` above `np.zeros(3)`: without the misspelling both
    complaints were not.)
    """
    old = Counter(_words(candidate.original[edit.start : edit.end] for edit in candidate.smallest))
    new = Counter(_words(edit.new_text for edit in candidate.smallest))
    gone = {word for word in old - new if word.isidentifier()}
    if not gone:
        return False
    for one in complaints:
        place = word_at(document, one) if is_unknown(one) else None
        if place is None or document.text[slice(*place)] in gone:
            continue
        region = enclosing(document, *place)
        if region.whole and any(region.start <= edit.start < region.end for edit in candidate.smallest):
            return True
        if any(_alike(document.text[slice(*place)], name) for name in gone):
            return True
    return False


def brings_unknown(
    document: Document, target: Diagnostic, candidate: Candidate, complaints: Sequence[Diagnostic]
) -> str:
    """The name that a candidate brings and that a checker says does not exist; "" for none.

    A name that is missing in this file may well be in the one that an import line asks; what that line is told not to
    be there is nowhere to be had under this name. What is not used is never renamed to a name that is missing.
    """
    in_imports = all(_IMPORT_LINE.match(_line_at(document, edit.start)) for edit in candidate.exact)
    missing = set(_missing(document, complaints, elsewhere=not in_imports or is_superfluous(target)))
    if not missing:
        return ""
    old = Counter(_words(candidate.original[edit.start : edit.end] for edit in candidate.smallest))
    new = Counter(_words(edit.new_text for edit in candidate.smallest))
    own = word_at(document, target)  # to define it is another matter
    allowed = {document.text[slice(*own)]} if own is not None else set[str]()
    if not is_superfluous(target):
        lines = (line for edit in candidate.smallest for line in edit.new_text.splitlines())
        allowed.update(_words(line for line in lines if _IMPORT_LINE.match(line)))
    return next((name for name in new - old if name in missing and name not in allowed), "")


def _missing(document: Document, complaints: Sequence[Diagnostic], *, elsewhere: bool) -> Iterator[str]:
    """The names that complaints about import lines, and about what stands `elsewhere`, say nobody knows.

    Not members: one object may lack what another has.
    """
    for one in complaints:
        place = word_at(document, one) if is_unknown(one) and not _MODULE.search(one.message) else None
        if place is None or document.text[: place[0]].rstrip().endswith((".", "->", "::")):
            continue
        if elsewhere or _IMPORT_LINE.match(_line_at(document, place[0])):
            yield document.text[slice(*place)]


def _line_at(document: Document, offset: int) -> str:
    return document.text[slice(*document.line_span(document.line_of(offset)))]


def invents(candidate: Candidate) -> bool:
    """Whether an infill brings names, values or operators that nothing asks for, or has lost some of the user's."""
    old = Counter(_words(candidate.original[edit.start : edit.end] for edit in candidate.smallest))
    new = Counter(_words(edit.new_text for edit in candidate.smallest))
    gone, came = list((old - new).elements()), list((new - old).elements())
    for word in list(gone):
        meant = next((name for name in came if is_near(word, name)), None)
        if meant is not None:
            gone.remove(word)
            came.remove(meant)
    if gone or any(word not in _CONVERSIONS for word in came):
        return True
    operators = (
        token for kind, _, tokens, _, _ in _changes(candidate) for token in tokens if kind == "insert" and token != "."
    )
    return takes_away(candidate) or any(_OPERATOR.fullmatch(token) and token != "in" for token in operators)


def swaps_unknown(document: Document, target: Diagnostic, candidate: Candidate) -> bool:
    """Whether a name that nobody knows has given way to something that neither its spelling nor its being the only name
    of the function speaks for."""
    place = word_at(document, target) if is_unknown(target) else None
    if place is None:
        return False
    word = document.text[slice(*place)]
    old = Counter(_words(candidate.original[edit.start : edit.end] for edit in candidate.smallest))
    new = Counter(_words(edit.new_text for edit in candidate.smallest))
    came = set(new - old)
    if old[word] <= new[word] or any(is_near(word, name) for name in came):
        return False
    region = enclosing(document, *place)
    in_reach = set(_IN_REACH.findall(region.text(document))) - _KEYWORDS - {word}
    return not (region.whole and len(in_reach) == 1 and came == in_reach)


def preferred(document: Document, weighed: Sequence[Candidate], filled: Sequence[Candidate]) -> str | None:
    """The text with the name that a model clearly prefers; None where it does not, or where the name cannot be meant.

    `weighed` are names with their log-probability, `filled` is what the model writes by itself, the likeliest first.
    """
    ranked = sorted((one for one in weighed if one.logprob is not None), key=lambda one: -(one.logprob or 0.0))
    if not ranked or not filled:
        return None
    best = ranked[0]
    likely = best.logprob or 0.0
    margin = likely - (ranked[1].logprob or 0.0) if len(ranked) > 1 else _MARGIN
    clear = likely >= _LIKELY and margin >= _MARGIN and filled[0].text == best.text
    fits = all(is_known_callable(document, name) for name in called_anew(best))
    return best.text if clear and fits else None


def is_near(one: str, other: str) -> bool:
    """Whether a name is almost the other one: a slip of the pen, or another case inside."""
    return nearness(one, other) >= ALMOST


def _alike(one: str, other: str) -> bool:
    """Whether one may be a misspelling of the other, where one is unused and one unknown: less is needed for that."""
    same_letters = sorted(one.lower()) == sorted(other.lower())
    return same_letters or difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio() >= _SOMEWHAT


def _words(texts: Iterator[str]) -> Iterator[str]:
    return (word for text in texts for word in _WORD.findall(text) if word not in _KEYWORDS)


def _changes(candidate: Candidate) -> Iterator[tuple[str, list[str], list[str], str, str]]:
    """Each stretch of tokens that is not the same: how it changes, before, after, and the old tokens around it."""
    for edit in candidate.smallest:
        old, new = _TOKEN.findall(candidate.original[edit.start : edit.end]), _TOKEN.findall(edit.new_text)
        for kind, low, high, new_low, new_high in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if kind != "equal":
                around = old[low - 1] if low else "", old[high] if high < len(old) else ""
                yield kind, old[low:high], new[new_low:new_high], *around
