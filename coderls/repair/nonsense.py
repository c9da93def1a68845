"""What a reader sees to be wrong, although the checkers that are there may let it pass.

w(w, h)               a number is called, and with itself          where no type checker looks
print, "dir"          the statement has become a value that nobody reads
f(a=1, a=2)           Python would not even begin: it parses, and is refused all the same
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import warnings
from collections import Counter

from coderls.document import Document
from coderls.fim.python_syntax import first_fault
from coderls.repair.candidate import Candidate
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.region import enclosing

_CALL = re.compile(r"(?<![\w.])([^\W\d]\w*)[ \t]*\(")
_DEFINES = re.compile(r"(?:\bdef|\bclass|\bfunction|\bfunc|\bfn|\bfun|\bnew|\bstruct|\bmacro_rules!)\s+$")
#: A word that is followed by what it works on, as in `print "a"`; and a line of something longer.
_COMMAND = re.compile(r"\s*[^\W\d]\w*[ \t]+[\w\"'(\[{]|[^#\n]*,[ \t\r]*$")
_PLAIN = r"(?:int|str|float|bool|bytes|number|string|boolean|double|char|long|list|dict|set|tuple|List|Dict|Set|Tuple)"
#: One letter may be a prefix of a string.
_WORD = re.compile(r"\w\w")
_LONGEST = 200_000
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def nonsense(document: Document, target: Diagnostic, candidate: Candidate) -> str:
    """What is wrong with a candidate whatever the checkers say, as a sentence; "" for nothing."""
    called = called_anew(candidate)
    tree = _tree(document, candidate) if called or _commands(candidate) else None
    really = None if tree is None else {name for node in ast.walk(tree) for name in _called_by(node)}
    for name, arguments in called.items():
        if really is not None and name not in really:
            continue  # it stands in a comment or a string
        region = enclosing(document, target.start, target.end)
        if any(re.search(rf"(?<![\w.]){re.escape(name)}\b(?!\s*(?:\(|=(?!=)))", text) for text in arguments):
            return f"It calls {name!r} with itself."
        if not is_known_callable(document, name) and _is_value(region.text(document), name):
            return f"It calls {name!r}, which is no function there."
    idle = "" if tree is None else _idle(tree, candidate)
    return idle or (_refused(candidate) if document.language_id == "python" else "")


def called_anew(candidate: Candidate) -> dict[str, list[str]]:
    """Names that a candidate calls where they were not called before, with what follows each opening bracket."""
    old = Counter(
        name for edit in candidate.smallest for name in _CALL.findall(candidate.original[edit.start : edit.end])
    )
    found: dict[str, list[str]] = {}
    for edit in candidate.smallest:
        for match in _CALL.finditer(edit.new_text):
            defined = _DEFINES.search(edit.new_text[: match.start()])
            if not keyword.iskeyword(match[1]) and not defined:
                found.setdefault(match[1], []).append(_inside(edit.new_text, match.end()))
    return {name: calls for name, calls in found.items() if len(calls) > old[name]}


def is_known_callable(document: Document, name: str) -> bool:
    """Whether the document shows that a name can be called: it defines, imports or calls it."""
    if document.language_id == "python" and callable(getattr(builtins, name, None)):
        return True
    word = re.escape(name)
    return bool(
        re.search(
            rf"\b(?:def|class|function|func|fn|fun|struct|define)\s+(?:\([^)\n]*\)\s*)?{word}\b"
            rf"|\b{word}\s*(?::[^=\n]*)?=\s*(?:lambda\b|function\b|async\b|partial\b|\([^)\n]*\)\s*=>|\w+\s*=>)"
            rf"|\bimport\b[^\n]*\b{word}\b|(?<![\w.]){word}[ \t]*\(|\b{word}\s*:\s*(?:Callable|\()",
            document.text,
        )
    )


def _is_value(text: str, name: str) -> bool:
    """Whether a part of a program uses a name as a number, a text or a collection."""
    word = re.escape(name)
    return bool(
        re.search(
            rf"(?<![\w.]){word}\s*:\s*{_PLAIN}\b|\b{_PLAIN}\s+\**{word}\b|\bfor\s+\(?(?:\w+\s*,\s*)*{word}\b"
            rf"|(?<![\w.]){word}\s*=\s*(?:[\d\"'\[{{]|[frb]\"|True\b|False\b|None\b|true\b|false\b|null\b|nil\b)"
            rf"|(?<![\w.]){word}\s*(?:\[|(?:[-+/%<>]|\*\*?|//)=?\s*[\w(])|[\w)]\s*[-+/%<>]\s*{word}\b(?!\s*[(.])"
            rf"|(?<![\w.]){word}\.(?:upper|lower|strip|split|append|extend|items|keys|values|push|length|startswith)\b"
            rf"|\b(?:len|range|int|float|sum|abs)\(\s*{word}\s*[,)]",
            text,
        )
    )


def _inside(text: str, start: int) -> str:
    """What stands between a bracket that ends before `start` and the one that closes it."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return text[start:at]
    return text[start:]


def _tree(document: Document, candidate: Candidate) -> ast.Module | None:
    """The candidate as Python's own parser reads it; None for what is not Python, or does not parse."""
    if document.language_id != "python" or len(candidate.text) > _LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(candidate.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _refused(candidate: Candidate) -> str:
    """In Python: a text that has the form of a program and cannot be run, where the one before it could."""
    fault = first_fault(candidate.text)
    if fault is None or not fault.parsed or first_fault(candidate.original) is not None:
        return ""
    return f"Python would refuse it: {fault.said}."


def _called_by(node: ast.AST) -> list[str]:
    return [node.func.id] if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else []


def _commands(candidate: Candidate) -> bool:
    """Whether it changes a line that tells a word what to work on."""
    changed = (candidate.original[edit.start : edit.end] for edit in candidate.smallest)
    return any(_COMMAND.match(line) for old in changed for line in old.splitlines())


def _idle(tree: ast.Module, candidate: Candidate) -> str:
    """In Python: a statement that did something and is now a value that nobody reads."""
    moved, changed = 0, dict[int, str]()
    for edit in candidate.smallest:
        first = candidate.text.count("\n", 0, edit.start + moved) + 1
        old = candidate.original[edit.start : edit.end]
        if any(_COMMAND.match(line) for line in old.splitlines()):
            changed.update(dict.fromkeys(range(first, first + max(1, edit.new_text.count("\n"))), old))
        moved += len(edit.new_text) - len(old)
    openings = {id(node.body[0]) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED) and node.body}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Expr) or node.lineno not in changed:
            continue
        is_docstring = id(node) in openings and _was_none_but(node.value, changed[node.lineno])
        if _does_nothing(node.value) and not is_docstring:
            return "It leaves a value that nobody reads of the statement."
    return ""


def _was_none_but(value: ast.expr, old: str) -> bool:
    """Whether a string, which is read as a docstring, was that in the old lines as well: no word stood before it."""
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return False
    text = value.value.split("\n")[0]
    return not any(text in line and _WORD.search(line.replace(text, "", 1)) for line in old.splitlines())


def _does_nothing(value: ast.expr) -> bool:
    prose = isinstance(value, ast.Constant) and value.end_lineno != value.lineno
    return isinstance(value, (ast.Constant, ast.Tuple, ast.Name, ast.Compare, ast.BinOp, ast.BoolOp)) and not prose
