"""Slips in one line of code, each undone in every way that may be meant: what `syntax_slips.py` tries.

Each function yields forms of a line and says what it did, the likelier first. They know no syntax; a parser judges.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterator
from itertools import pairwise

from coderls.fim.brackets import balance
from coderls.fim.languages import language

#: A form of a line, or a text, and what was done to it.
Changed = tuple[str, str]

PAIRS = {"(": ")", "[": "]", "{": "}"}
_TOKEN = re.compile(r"\w+|\"[^\"\n]*\"|'[^'\n]*'|[^\w\s]")
HEADER = re.compile(r"^\s*(?:async\s+)?(?:if|elif|else|for|while|def|class|try|except|finally|with|match|case)\b")
#: What other languages write, and what Python does.
_FOREIGN = (
    (r"\belse\s+if\b|\belseif\b|\belsif\b", "elif"),
    (r"&&", "and"),
    (r"\|\|", "or"),
    (r"!(?!=)\s*", "not "),
    (r"(\w+)\+\+", r"\1 += 1"),
    (r"(\w+)--", r"\1 -= 1"),
    (r"\bnull\b|\bnil\b|\bundefined\b", "None"),
    (r"\btrue\b", "True"),
    (r"\bfalse\b", "False"),
    (r"\bthis\b", "self"),
    (r"^(\s*)(?:function|func|fn|fun)\b", r"\1def"),
    (r"^(\s*)(?:const|let|var|int|float|string|auto)\s+(?=\w+\s*=)", r"\1"),
    (r"^(\s*)(?:const|let|vars?)\s+(\w+)\s*;?(?=\s*(?://.*|#.*)?$)", r"\1\2 = None"),
    (r"\bnew\s+(?=\w+\()", ""),
    (r"\bcatch\b", "except"),
    (r"\bthrow\b", "raise"),
    (r"\s*\{\s*$", ":"),
    (r"//+", "#"),
    (r"/\*+", "#"),
    (r"^(\s*)\*+/?", r"\1#"),
    (r"\*/", ""),
    (r";\s*$", ""),
    (r"=>", "="),
    (r"=<", "<="),
    (r"=!", "!="),
    (r"===", "=="),
    (r"!==", "!="),
    (r"<>", "!="),
    (r"\b\d+(?=[A-Za-z_]\w)", ""),
)
#: What Python 2 wrote.
_OLD = (
    (r"^(\s*)(print|exec)\s+(?!=)(.*?)(;?)$", r"\1\2(\3)\4"),
    (r"^(\s*except\s+[\w.()]+|\s*except\s*\([^()]*\))\s*,\s*(\w+)\s*:", r"\1 as \2:"),
    (r"^(\s*raise\s+[\w.]+)\s*,\s*(.+)$", r"\1(\2)"),
    (r"`([^`]*)`", r"repr(\1)"),
    (r"\b0+([1-7][0-7]*)\b(?![.xob])", r"0o\1"),
    (r"\b(\d+)[lL]\b", r"\1"),
)
#: A word as alike to a keyword as this (difflib's ratio) may be it.
_ALIKE = 0.7
_KEYWORDS = sorted({*keyword.kwlist, "match", "case", "print"})


def colons(line: str, language_id: str) -> Iterator[Changed]:
    """The colon of a header."""
    code, rest = without_comment(line)
    if HEADER.match(code) and not code.endswith(":"):
        yield f"{code.rstrip('{;, ')}:{rest}", "Add ':'"
        for match in re.finditer(r"\)", code):  # `if (x) return y`
            yield f"{code[: match.end()]}:{code[match.end() :]}{rest}", "Add ':'"


def semicolons(line: str, language_id: str) -> Iterator[Changed]:
    """The semicolon of a statement, or the brace of a block."""
    code, rest = without_comment(line, "//")
    if code and not code.endswith((";", "{", "}")):
        yield f"{code};{rest}", "Add ';'"
    yield f"{code} {{{rest}", "Add '{'"


def comparisons(line: str, language_id: str) -> Iterator[Changed]:
    """`=` where `==` is meant, and the other way round."""
    singles = [match.start() for match in re.finditer(r"(?<![=!<>:+\-*/%&|^@])=(?!=)", line)]
    for at in singles:
        yield f"{line[:at]}=={line[at + 1 :]}", "Change '=' to '=='"
    if len(singles) > 1:
        yield re.sub(r"(?<![=!<>:+\-*/%&|^@])=(?!=)", "==", line), "Change '=' to '=='"
    for match in re.finditer(r"==", line):
        yield f"{line[: match.start()]}={line[match.end() :]}", "Change '==' to '='"


def brackets(line: str, language_id: str) -> Iterator[Changed]:
    """The missing bracket at each place from the right, or one bracket less, or another kind of bracket."""
    code, rest = without_comment(line, language(language_id).comment[0])
    body = code[:-1].rstrip() if code.endswith(":") else code
    tail = code[len(body) :] + rest
    own = balance(body, language_id)
    missing = "".join(PAIRS[one] for one in reversed(own.open))
    places = [len(body), *(match.end() for match in reversed(list(_TOKEN.finditer(body))))]
    if missing:
        yield f"{body}{missing}{tail}", f"Add {missing!r}"
        for closer in dict.fromkeys(missing):
            for place in places[:24]:
                yield f"{body[:place]}{closer}{body[place:]}{tail}", f"Add {closer!r}"
    brackets = [match.start() for match in re.finditer(r"[()\[\]{}]", body)]
    for place in reversed(brackets):
        yield f"{body[:place]}{body[place + 1 :]}{tail}", f"Take away {body[place]!r}"
    if own.extra:
        opener = {closer: one for one, closer in PAIRS.items()}[own.extra[0]]
        for match in _TOKEN.finditer(body):
            yield f"{body[: match.start()]}{opener}{body[match.start() :]}{tail}", f"Add {opener!r}"
    for place in brackets:
        for other in "()[]{}":
            if other != body[place]:
                yield f"{body[:place]}{other}{body[place + 1 :]}{tail}", f"Change {body[place]!r} to {other!r}"


def quotes(line: str, language_id: str) -> Iterator[Changed]:
    """The other quote at each place from the right, or one quote less, or of the other kind."""
    for quote in "\"'":
        places = [match.start() for match in re.finditer(quote, line)]
        if len(places) % 2 == 0:
            continue
        ends = [match.start() for match in re.finditer(r"[)\],:}\s]|$", line) if match.start() > places[-1]]
        words = [match.end() for match in re.finditer(r"\w+", line)]
        for place in dict.fromkeys([*ends, *words, *(match.start() for match in re.finditer(r"\w+", line))]):
            yield f"{line[:place]}{quote}{line[place:]}", f"Add {quote!r}"
        for place in places:
            yield f"{line[:place]}{line[place + 1 :]}", f"Take away {quote!r}"
        other = "'" if quote == '"' else '"'
        for place in places:
            yield f"{line[:place]}{other}{line[place + 1 :]}", f"Change {quote!r} to {other!r}"


def foreign(line: str, language_id: str) -> Iterator[Changed]:
    """One thing of another language, and then all of them."""
    whole = line
    for pattern, replacement in _FOREIGN:
        changed = re.sub(pattern, replacement, line)
        if changed != line:
            yield changed, f"Change {_first(pattern, line)!r} to {_first_new(pattern, replacement, line)!r}"
        whole = re.sub(pattern, replacement, whole)
    if whole != line:
        yield whole, "Write it as Python does"


def _first(pattern: str, line: str) -> str:
    match = re.search(pattern, line)
    return match[0].strip() if match else ""


def _first_new(pattern: str, replacement: str, line: str) -> str:
    match = re.search(pattern, line)
    return match.expand(replacement).strip() if match else ""


def stray(line: str, language_id: str) -> Iterator[Changed]:
    """One word or sign less."""
    for match in reversed(list(_TOKEN.finditer(line))):
        rest = line[match.end() :]
        kept = f"{line[: match.start()]}{rest.removeprefix(' ')}"
        yield kept if rest.strip() else kept.rstrip(), f"Take away {match[0]!r}"


def old_python(line: str, language_id: str) -> Iterator[Changed]:
    """What was right in Python 2."""
    for pattern, replacement in _OLD:
        changed = re.sub(pattern, replacement, line)
        if changed != line:
            yield changed, f"Change {_first(pattern, line)!r} to {_first_new(pattern, replacement, line)!r}"


def keywords(line: str, language_id: str) -> Iterator[Changed]:
    """A keyword with letters that are wrong or missing, and one that is missing: `whlie x:`, `for i range(3):`."""
    for match in re.finditer(r"[^\W\d]\w+", line):
        word = match[0]
        if word in _KEYWORDS:
            continue
        for meant in difflib.get_close_matches(word, _KEYWORDS, n=2, cutoff=_ALIKE):
            yield f"{line[: match.start()]}{meant}{line[match.end() :]}", f"Change {word!r} to {meant!r}"
    changed = re.sub(r"\bfor\s+(\w+(?:\s*,\s*\w+)*)\s+(?:of\s+|:\s*)?(?!in\b|of\b|:)(?=[\w(\[{])", r"for \1 in ", line)
    if changed != line:
        yield changed, "Add 'in'"


def separators(line: str, language_id: str) -> Iterator[Changed]:
    """A comma between two things that stand beside one another; `:` for `=` in brackets, and the other way round."""
    tokens = list(_TOKEN.finditer(line))
    for left, right in pairwise(tokens):
        ends = left[0][-1].isalnum() or left[0][-1] in "_)]}\"'"
        begins = right[0][0].isalnum() or right[0][0] in "_([{\"'"
        if ends and begins and left.end() < right.start():
            yield f"{line[: left.end()]},{line[left.end() :]}", "Add ','"
    for match in re.finditer(r"(?<=[\w\"'\])])(\s*)(=|:)(?![=:])(\s*)", line):
        opened = balance(line[: match.start()], language_id).open
        other = {"=": ": ", ":": "="}[match[2]]
        if opened and opened[-1] == {"=": "{", ":": "("}[match[2]]:
            yield f"{line[: match.start()]}{other}{line[match.end() :]}", f"Change {match[2]!r} to {other.strip()!r}"


def docstrings(line: str, language_id: str) -> Iterator[Changed]:
    """Three quotes that are ended by fewer."""
    for quote in ('"""', "'''"):
        if line.count(quote) == 1 and not line.rstrip().endswith(quote):
            body = line.rstrip().rstrip(quote[0])
            yield f"{body}{quote}", f"End the string with {quote}"


def unbalanced(before: str, after: str, language_id: str) -> int:
    """How many lines were whole by themselves and have a bracket or quote without its partner now; 0 where lines came
    or went."""
    old, new = before.split("\n"), after.split("\n")
    if len(old) != len(new):
        return 0
    return sum(
        balance(one + "\n", language_id).faults == 0 < balance(other + "\n", language_id).faults
        for one, other in zip(old, new, strict=True)
        if one != other and one.strip()
    )


def without_comment(line: str, mark: str = "#") -> tuple[str, str]:
    """The line's code without blanks at its end, and the comment after it with the blanks before."""
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif line.startswith(mark, at):
            code = line[:at].rstrip()
            return code, line[len(code) :]
    code = line.rstrip()
    return code, line[len(code) :]
