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
#: No more of an expression is read (characters).
_MAX_EXPRESSION = 400
_SPACE = re.compile(r"\s+")
_MARK_WORDS = "const|mut|final|volatile|readonly|static|struct|enum|union|dyn|impl|ref|in|out|params"
_MARKS = re.compile(rf"\A(?:\s*(?::(?!:)|->|\*|\?(?=[\w\\])|&+(?:'\w+)?|(?:{_MARK_WORDS})\b(?=\s)))+\s*")
_BEFORE_VALUE = re.compile(r"(?:(?:await|yield|move|return|throw)\b|&mut\b|&|\*|<-)\s*")
_NEW = re.compile(r"new\b\s*(?=[\w$\\])")
_NAME = re.compile(r"\\?[@$#]{0,2}[^\W\d]\w*")
_JOIN = re.compile(r"\s*(?:\?\.|!\.|&\.|\.(?!\.)|\?->|->|::|\\)\s*(?=[@$#\\]*[^\W\d])")
_CAST = re.compile(r"\s(?:as|satisfies)\s+(?!const\b)([^;)]+)$")
_REST = re.compile(r"\s*(?:$|;|\?\?|\|\||or\b|if\b)")
_ASSERTED = re.compile(r"\.\(([^()]+)\)\s*$")
_CAST_TO = re.compile(r"\(\s*([A-Z]\w*(?:[.:]{1,2}\w+)*(?:<[^()]*>)?[\s*&]*|[a-z]\w*\s*\*+\s*)\)\s*[\w(@$\"]")
_ALLOCATED = re.compile(r"(?:make|new)\(\s*([^,()]+)")
_MADE_BY_TYPE = re.compile(r"(?:std::)?(?:\w+_cast|make_unique|make_shared)\s*<")
_AFTER_GENERIC = re.compile(r"\s*(?:[({\[]|::|\.)")
_BODY = re.compile(r"\s*\{")
_NAMELESS = re.compile(r"\{|=>|^(?:void|any|unknown|None|auto|var)$")
_PLAIN_TYPE = re.compile(r"[\w.]+")
_CLOSERS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_LITERALS = frozenset(
    ("None", "True", "False", "null", "nil", "NULL", "true", "false", "undefined", "nullptr", "import()")
)


def annotation(text: str) -> str:
    """A type as written: `: &mut Store<T>` gives `Store<T>`, `"Client"` gives `Client`."""
    if len(text) > _MAX_EXPRESSION:
        return ""
    bare = _MARKS.sub("", text.strip()).strip("\"'`").rstrip("*& ")
    bare = _SPACE.sub("", bare)
    return bare if len(bare) <= MAX_LENGTH and not _NAMELESS.search(bare) else ""


def expression(text: str, transparent: frozenset[str] = frozenset()) -> str:
    """The way to the type of an expression, or "": `await new Client(1)` gives `=Client()`.

    `transparent` names calls that give back what they are called on, about: Rust's `unwrap`.
    """
    text = text[:_MAX_EXPRESSION].strip()
    if not text or text[0] in "\"'`[{0123456789-":
        return ""
    if cast := _CAST.search(text) or _ASSERTED.search(text) or _CAST_TO.match(text) or _ALLOCATED.match(text):
        return annotation(cast.group(1))
    if made := _MADE_BY_TYPE.match(text):
        return annotation(text[made.end() : _skip(text, made.end() - 1) - 1])
    steps, end = _steps(text)
    if not steps or not _REST.match(text, end):
        return ""
    while len(steps) > 1 and steps[-1].removesuffix("()") in transparent:
        steps.pop()
    way = ".".join(steps)
    return f"={way}" if len(way) < MAX_LENGTH and way not in _LITERALS else ""


def element(way: str) -> str:
    """One element of what `way` leads to: for `for x in way`."""
    return f"{way}[]" if way.startswith("=") else way


def member(way: str, name: str) -> str:
    """What is called `name` in what `way` leads to: for `const { name } = way`."""
    if way.startswith("="):
        return f"{way}.{name}"
    plain = _PLAIN_TYPE.match(way)
    return f"={plain.group()}().{name}" if plain else ""


def _steps(text: str) -> tuple[list[str], int]:
    """The names on the way, with `()` and `[]`, and where they end in `text`."""
    at = 0
    while match := _BEFORE_VALUE.match(text, at):
        at = match.end()
    made = _NEW.match(text, at)
    if made:
        at = made.end()
    steps: list[str] = []
    if text.startswith("(", at):
        end = _skip(text, at)
        inner = expression(text[at + 1 : end - 1])
        if inner and not inner.startswith("="):
            inner = f"={plain.group()}()" if (plain := _PLAIN_TYPE.match(inner)) else ""
        if not inner:
            return [], at
        end, suffix = _after_name(text, end, "")
        steps = (inner[1:] + suffix).split(".")
        join = _JOIN.match(text, end)
        if join is None:
            return steps, end
        at = join.end()
    while match := _NAME.match(text, at):
        at, suffix = _after_name(text, match.end(), match.group())
        name = match.group().lstrip("\\$@#")
        if match.group().startswith("@") and not match.group().startswith("@$"):  # Ruby's `@x` is `self.x`
            steps.append("self")
        if (
            name == "new" and suffix in ("", "()") and steps and steps[-1][:1].isupper()
        ):  # `Store.new()` in Ruby and Rust
            name, suffix = steps.pop().removesuffix("()"), "()"
        steps.append(name + suffix)
        join = _JOIN.match(text, at)
        if join is None:
            break
        at = join.end()
    if made and steps and not steps[-1].endswith("()"):
        steps[-1] += "()"
    return steps, at


def _after_name(text: str, at: int, name: str) -> tuple[int, str]:
    """What follows a name: where it ends, and `()` or `[]` for it."""
    suffix = ""
    while at < len(text) and len(suffix) < 6:
        sign = text[at]
        if text.startswith("::<", at):
            at = _skip(text, at + 2)
        elif sign == "<":
            end = _skip(text, at)
            if not _AFTER_GENERIC.match(text, end):
                break
            at = end
        elif sign in "([":
            at = _skip(text, at)
            suffix += "()" if sign == "(" else "[]"
        elif sign in "!?" and text[at + 1 : at + 2] in ("", ";", ")", "["):  # TypeScript's `a!`, Rust's `f()?`
            at += 1
        elif name[:1].isupper() and not suffix and (body := _BODY.match(text, at)):
            at = _skip(text, body.end() - 1)
            suffix = "()"
        else:
            break
    return at, suffix


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
