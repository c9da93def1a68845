"""What no repair may be, whatever the checkers say of it.

A checker falls silent when the line that it complains about is gone, commented out, told to be ignored, or cast to
"any type". None of that is a repair. The guards look at text and tokens only, so they hold for every language.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from coderls.document import Document, Edit
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic, is_superfluous
from coderls.repair.nonsense import nonsense

#: A repair changes lines so near to the complaint, or adds imports.
NEAR_LINES = 20
#: And so many lines altogether.
MOST_LINES = 40
#: A line of code that has nothing so much alike (difflib's ratio) in the new text is gone.
_ALIKE = 0.4


@dataclass(frozen=True, slots=True)
class Rules:
    """Guards that can be turned off, so that a benchmark can tell what each one costs.

    near: changes lines near the complaint only. keep: does not delete the statement that is complained about.
    """

    near: bool = True
    keep: bool = True


_SUPPRESSIONS = re.compile(
    r"""
    \#\s*noqa | \#\s*nosec | \#\s*(?:type|mypy|pyre|pytype|ty)\s*:\s*ignore | \#\s*pyright\s*:  | \#\s*mypy\s*:
    | pylint\s*:\s*disable | \#\s*(?:ruff|flake8)\s*:\s*(?:noqa|disable|ignore) | no_type_check | pyre-(?:ignore|fixme)
    | eslint-disable | eslint-env | \beslint\s+[\w-]+\s*: | @ts-(?:ignore|nocheck|expect-error)
    | (?:biome|oxlint)-ignore
    | (?:jshint|jslint)\s+(?:ignore|[\w-]+\s*:) | tslint:disable | /\*\s*globals?\s | \$FlowFixMe | deno-lint-ignore
    | NOLINT | \#\s*pragma\s+(?:GCC|clang)\s+(?:diagnostic|system_header) | \#\s*pragma\s+warning | _Pragma\s*\(
    | //\s*nolint | //\s*lint:ignore | \#!?\[\s*(?:allow|expect)\s*\( | \bcfg_attr\s*\(
    | @SuppressWarnings | NOSONAR | @SuppressLint
    | rubocop:disable | @phpstan-ignore | @psalm-suppress | phpcs:(?:ignore|disable) | \#\s*pragma\s+warning\s+disable
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BLINDFOLDS = re.compile(
    r"""
    \bcast\s*\(\s*["']?(?:typing\.)?(?:Any|object)\b | (?::|->|\[|,|=|\|)\s*(?:typing\.)?Any\b | \bAny\s*\(
    | \bas\s+(?:any|unknown|never)\b | <\s*any\s*> | :\s*any\b | \bFunction\s+as\b
    | \.\s*\(\s*(?:any|interface\s*\{\s*\})\s*\) | \bunsafe\b | \btransmute\b | \binterface\s*\{\s*\}
    | \(\s*Object\s*\) | \(\s*void\s*\*\s*\)
    | \b(?:eval|exec|globals|locals|vars)\s*\( | \bgetattr\s*\(\s*[^,()]*,\s*["'] | \bsetattr\s*\( | __dict__
    | \bif\s*\(?\s*(?:False|0|false)\s*\)?\s*[:{] | \#\s*if\s+0\b | \bexcept\s*(?:\w+\s*)?:\s*pass\b | \bsuppress\s*\(
    | \bNotImplementedError\b | \b(?:todo|unimplemented)!\s*\( | \bUnsupportedOperationException\b
    """,
    re.VERBOSE,
)
_IMPORT = re.compile(
    r"\s*(?:import|from|use|using|#\s*include|require|package|const\s.*\brequire\(|export\s.*\bfrom)\b"
)
_WORD = re.compile(r"[^\W\d]\w*|\d[\w.]*")
_FILLERS = frozenset({"pass", "continue", "break", "return", "None", "null", "nil", "undefined", "begin", "end"})
_HASH_COMMENTS = frozenset({"python", "ruby", "shellscript", "perl", "r", "yaml", "toml", "php", "elixir", "julia"})
_STRING = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
_HASH = re.compile(rf"({_STRING})|#[^\n]*")
_SLASHES = re.compile(rf"({_STRING}|`(?:[^`\\]|\\.)*`)|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)


def objection(document: Document, target: Diagnostic, candidate: Candidate, rules: Rules) -> str:
    """Why this candidate is no repair of `target`, as a sentence; "" if nothing speaks against it."""
    if candidate.text == document.text:
        return "It changes nothing."
    old = "".join(document.text[edit.start : edit.end] for edit in candidate.smallest)
    new = "".join(edit.new_text for edit in candidate.smallest)
    if _more(_SUPPRESSIONS, old, new):
        return "It tells the checker to look away."
    if _more(_BLINDFOLDS, _without_imports(old), _without_imports(new)):
        return "It hides the fault from the checker (a cast to any type, code that never runs, or its kind)."
    if _only_comments(document, target, old, new):
        return "It changes comments only."
    wrong = nonsense(document, target, candidate)
    if wrong:
        return wrong
    gone = _gone(document, target, candidate) if rules.keep else ""
    far = _far(document, target, candidate) if rules.near and not gone else ""
    return f"It deletes the statement: {gone}" if gone else far


def code_of(text: str, language_id: str) -> str:
    """`text` without its comments; strings stay."""
    pattern = _HASH if language_id in _HASH_COMMENTS else _SLASHES
    return pattern.sub(lambda match: match.group(1) or "", text)


def _more(pattern: re.Pattern[str], before: str, after: str) -> bool:
    return len(pattern.findall(after)) > len(pattern.findall(before))


def _without_imports(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not _IMPORT.match(line))


def _only_comments(document: Document, target: Diagnostic, old: str, new: str) -> bool:
    language = document.language_id
    if _indented(code_of(old, language)) != _indented(code_of(new, language)) or code_of(new, language) == new:
        return False  # where white space changed, indentation may be all that was wrong
    return not _in_comment(document, target)


def _indented(code: str) -> list[str]:
    return [line.rstrip() for line in code.splitlines() if line.strip()]


def _in_comment(document: Document, target: Diagnostic) -> bool:
    start, end = document.line_span(document.line_of(target.start))
    line = document.text[start:end]
    return (
        len(code_of(line, document.language_id)) <= target.start - start and code_of(line, document.language_id) != line
    )


def _gone(document: Document, target: Diagnostic, candidate: Candidate) -> str:
    """The line of code at the complaint that has no successor; "" if each has one, or none is needed."""
    if is_superfluous(target):
        return ""
    language = document.language_id
    if language == "python" and _loose_strings(candidate.text) > _loose_strings(document.text) >= 0:
        return "it becomes a string that nobody reads"
    lines = _complained_lines(document, target)
    new = [line for edit in candidate.smallest for line in _code_lines(edit.new_text, language)]
    whole = " ".join(new)
    for edit in candidate.smallest:
        first, last = document.line_of(edit.start), document.line_of(max(edit.start, edit.end - 1))
        for number in range(first, last + 1):
            start, end = document.line_span(number)
            old = code_of(document.text[start:end], language).strip()
            if edit.start == edit.end or not _WORD.search(old):
                continue
            concerns = number in lines or not _has_meaning(new)
            if concerns and not any(_alike(old, line) for line in (*new, whole)):
                return old
    return ""


def _complained_lines(document: Document, target: Diagnostic) -> range:
    """The lines of the complaint; a syntax error is often noticed on the line after it."""
    first = document.line_of(target.start)
    last = max(first, document.line_of(target.end))
    start, end = document.line_span(first)
    early = not document.text[start : target.start].strip() and document.text[start:end].strip() != ""
    return range(max(0, first - 1 if early and "syntax" in target.rule else first), min(last, first + 3) + 1)


def _code_lines(text: str, language: str) -> list[str]:
    return [line.strip() for line in code_of(text, language).splitlines() if line.strip()]


def _has_meaning(lines: list[str]) -> bool:
    return any(word not in _FILLERS for line in lines for word in _WORD.findall(line))


def _alike(old: str, new: str) -> bool:
    if old in new:
        return True
    words = {word for word in _WORD.findall(old) if word not in _FILLERS}
    if words and words <= set(_WORD.findall(new)):
        return True
    return difflib.SequenceMatcher(None, old, new, autojunk=False).ratio() >= _ALIKE


def _loose_strings(text: str) -> int:
    """String statements of a Python text; -1 for one that does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return -1
    loose = (node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    return sum(isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) for node in loose)


def _far(document: Document, target: Diagnostic, candidate: Candidate) -> str:
    low = document.line_of(target.start) - NEAR_LINES
    high = document.line_of(target.end) + NEAR_LINES
    changed = 0
    for edit, first, last, size in _extents(document, candidate):
        lines = [line for line in edit.new_text.splitlines() if line.strip()]
        if edit.start == edit.end and lines and all(_IMPORT.match(line) for line in lines):
            continue  # an import goes to the top
        if last < low or first > high:
            return f"It changes line {first + 1}, which is far from the complaint."
        changed += size
    return f"It changes {changed} lines." if changed > MOST_LINES else ""


def _extents(document: Document, candidate: Candidate) -> Iterator[tuple[Edit, int, int, int]]:
    for edit in candidate.smallest:
        first, last = document.line_of(edit.start), document.line_of(max(edit.start, edit.end - 1))
        removed = 0 if edit.start == edit.end else last - first + 1
        yield edit, first, last, max(removed, len(edit.new_text.splitlines()))
