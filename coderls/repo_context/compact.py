"""Long signatures in short: the names of the parameters, without types and defaults.

For what is only perhaps needed: that there is an `add_column` matters more than the types of its twelve parameters.
"""

from __future__ import annotations

import re
from functools import lru_cache

from coderls.repo_context.languages.language import Language
from coderls.repo_context.parameters import inside, split_at_commas

#: Signatures of so many characters stay as they are.
SHORT = 70
_MAX_PARAMETERS = 6
#: Languages in which a parameter's name comes before its type.
_NAME_FIRST = frozenset(("python", "typescript", "tsx", "javascript", "rust", "go"))
#: Decorators that say how a thing is used.
_TELLING = re.compile(
    r"@(?:\w+\.)*(?:property|cached_property|classmethod|staticmethod|\w+\.setter|overload|contextmanager)\b"
)
_HEAD = re.compile(r"^(?P<head>[^(\n]*)\(", re.MULTILINE)
_PARAMETER = re.compile(
    r"^(?:@\w+(?:\([^)]*\))?\s*)*(?:(?:public|private|protected|readonly)\s+)*(?P<name>(?:\*{1,2}|\.\.\.)?[\w$]+\??|[*/])"
)


@lru_cache(maxsize=20_000)
def compact(text: str, language: Language) -> str:
    """`text` in short, or as it is where that is not shorter."""
    if len(text) <= SHORT or language.name not in _NAME_FIRST:
        return text
    indent = text[: len(text) - len(text.lstrip())]
    rows = text.split("\n")
    kept = []
    while len(rows) > 1 and rows[0].lstrip().startswith("@"):
        row = rows.pop(0)
        if _TELLING.match(row.lstrip()):
            kept.append(row)
        while rows and not re.match(r"\s*(?:@|async\b|def\b|class\b|export\b|public\b|private\b|\w)", rows[0]):
            rows.pop(0)
    rest = "\n".join(rows)
    match = _HEAD.search(rest)
    if match is None or rest[: match.start()].strip():
        return text
    inner, end = inside(rest, match.end())
    if end < 0:
        return text
    names = [found.group("name") for part in split_at_commas(inner) if (found := _PARAMETER.match(part.strip()))]
    shown = names[:_MAX_PARAMETERS] + (["..."] if len(names) > _MAX_PARAMETERS else [])
    tail = rest[end:].rstrip()
    result = re.match(r"\)\s*(?:->|:)\s*[A-Za-z_\"'\[{][\w.$\[\]|, <>\"']{0,40}(?=\s*(?::|\{|$|;|=>))", tail)
    closing = (result.group() if result else ")") + _ending(tail, language.function_end)
    short = "\n".join([*kept, f"{indent}{match.group('head').strip()}({', '.join(shown)}{closing}"])
    return short if len(short) < len(text) else text


def _ending(tail: str, function_end: str) -> str:
    for sign in (": ...", "=> ...", " {}", ";"):
        if tail.endswith(sign):
            return sign if sign[0] in ":;" else " " + sign.strip()
    return function_end
