"""A chat model's answer, read strictly: either the new text of the document is certain, or a reason says why not.

Two forms are understood (`prompt.py` asks for one of them): one fenced block with the whole part again, or blocks of
search and replace. Whatever is left to guess is refused: no code, half of it, several blocks, another file, lines that
are not there or are there twice.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from coderls.document import Document
from coderls.fim.postprocess import line_end
from coderls.repair.region import Region

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})(.*)$")
_SEARCH, _DIVIDE, _REPLACE = (re.compile(p) for p in (r"^<{5,9} ?SEARCH\s*$", r"^={5,9}\s*$", r"^>{5,9} ?REPLACE\s*$"))
_LABEL = re.compile(
    r"^(?:[#*\s>-]*)(?:file(?:name)?|path|datei|fichier|archivo)?\s*:?\s*[`*\"']*([^\s`*\"']+)[`*\"':]*$", re.I
)
_PATH = re.compile(
    r"^(?:[A-Za-z]:)?(?:[\w.@~ -]*[/\\])+[\w.@ -]*$|^[\w@-][\w.@-]*\.[A-Za-z]{1,6}$|^(?:file|https?)://\S+$"
)
_NAME = re.compile(
    r"^\s*(?:[a-z]+(?:\([^)]*\))?\s+)*?(?:def|class|function|func|fn|fun|struct|interface)\s+(?:\([^)]*\)\s*)?(\w+)",
    re.M,
)
#: What models write for "and the rest as before".
_ELISION = re.compile(
    r"^\s*(?:#|//|--|/\*|<!--)?\s*(?:\.\.\.|…)\s*"
    r"(?:(?:\(?(?:rest|existing|remaining|same|other|unchanged|previous|your)\b).*|\*/|-->)?\s*$"
    r"|^\s*(?:#|//|--|/\*)\s*(?:the\s+)?(?:rest|remainder|remaining)\b.*\b(?:code|function|file|method|same|unchanged)\b.*$",
    re.I,
)
#: What no complaint of a checker asks for: running programs, reaching the network, reading code from data.
_REACHES_OUT = re.compile(
    r"\b(?:os\s*\.\s*(?:system|popen|exec\w*|spawn\w*|remove|unlink|rmdir|environ)|subprocess|shutil\s*\.\s*rmtree|"
    r"__import__|importlib|eval|exec|execSync|spawnSync|child_process|pickle|ctypes|socket|urllib|requests|httpx|aiohttp|"
    r"fetch|XMLHttpRequest|WebSocket|ProcessBuilder|Runtime\s*\.\s*getRuntime|syscall|popen|system)\b"
)


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is no edit; `reason` is a sentence for the user."""

    reason: str


def read_answer(
    answer: str,
    document: Document,
    region: Region,
    *,
    path: str = "",
    finish_reason: str = "stop",
    instructed: bool = False,
) -> str | Refused:
    """The document's text as the answer wants it, or why it cannot be told.

    `path` is how the file was called in the prompt. `instructed`: the user asked for something beyond a repair, so the
    part may become shorter, and may get other headers.
    """
    if finish_reason == "length":
        return Refused("The model's answer was longer than it may be, and ends in the middle.")
    lines = answer.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if any(_SEARCH.match(line) for line in lines):
        text = _by_blocks(lines, document, region, path)
    else:
        text = _by_whole(lines, document, region, path, instructed=instructed)
    if isinstance(text, Refused):
        return text
    if text == document.text:
        return Refused("The model gave the code back as it was.")
    if not instructed and (called := _reaches_out(document.text, text)):
        return Refused(f"The model wanted to add {called!r}, which no repair needs.")
    return text


def first_block(answer: str, document: Document, region: Region) -> str | None:
    """An answer that is still being written, up to the end of its first block of code; None before that.

    What one block was asked for is there then, and models go on: with words about it, small ones with the same block
    again and again. A block that gives the code back as it was is a quotation; what is meant comes after it.
    """
    lines = answer.replace("\r\n", "\n").split("\n")[:-1]
    old = _old_lines(document, region)
    ends = [number for number, line in enumerate(lines) if _FENCE.match(line)]
    for end in ends:
        found = _fenced(lines[: end + 1], old)
        if not isinstance(found, Refused) and not _is_same(found[0], old):
            return "\n".join(lines[: end + 1])
    return None


# The whole part.


def _by_whole(
    lines: Sequence[str], document: Document, region: Region, path: str, *, instructed: bool
) -> str | Refused:
    old = _old_lines(document, region)
    found = _fenced(lines, old)
    if isinstance(found, Refused):
        return found
    code, labels = found
    stranger = next((label for label in labels if not _is_here(label, path, document)), None)
    if stranger is not None:
        return Refused(f"The model wanted to change {stranger!r}; only {_shown(path, document)} may be changed.")
    if any(_ELISION.match(line) for line in code if line not in old):
        return Refused("The model left out a part of the code.")
    code = _as_deep(code, old)
    if not instructed:
        if region.whole and _names(old)[:1] != _names(code)[:1]:
            return Refused("The model answered with other code than it was asked about.")
        if 2 * _filled(code) < _filled(old):
            return Refused("The model's answer holds only a part of the code.")
    return document.text[: region.start] + _with_ends(code, region, document) + document.text[region.end :]


def _old_lines(document: Document, region: Region) -> list[str]:
    old = _unix(region.text(document)).split("\n")
    return old[:-1] if not old[-1] else old


def _is_same(code: Sequence[str], old: Sequence[str]) -> bool:
    """Whether a block gives the code back as it was, at whatever depth."""
    return [line.strip() for line in code if line.strip()] == [line.strip() for line in old if line.strip()]


def _fenced(lines: Sequence[str], old: Sequence[str]) -> tuple[list[str], list[str]] | Refused:
    """The lines of the only fenced block that is no quotation of `old`, and the paths that stand at it."""
    blocks: list[tuple[list[str], list[str]]] = []
    opened, current, labels, before = "", list[str](), list[str](), ""
    for line in lines:
        fence = _FENCE.match(line)
        if not opened and fence:
            opened, current = fence[1], []
            labels = [label for text in (before, fence[2].rpartition(":")[2]) if (label := _label(text))]
        elif opened and fence and fence[1].startswith(opened) and not fence[2].strip():
            blocks.append((current, labels))
            opened = ""
        elif opened:
            current.append(line)
        if line.strip():
            before = line
    if opened:
        return Refused("The model's answer ends in the middle of the code.")
    filled = [block for block in blocks if any(line.strip() for line in block[0])]
    if not filled:
        return Refused("The model answered without code.")
    if len(filled) > 1:
        filled = [block for block in filled if not _is_same(block[0], old)] or filled[:1]
    if len(filled) > 1:
        return Refused(f"The model answered with {len(filled)} blocks of code, and which one is meant cannot be told.")
    code = filled[0][0]
    while code and not code[0].strip():
        code = code[1:]
    while code and not code[-1].strip():
        code = code[:-1]
    return code, filled[0][1]


def _as_deep(code: list[str], old: Sequence[str]) -> list[str]:
    """`code` moved as a whole to where the old code stands: models like to begin at the left edge."""
    first = next((line for line in old if line.strip()), "")
    wanted, has = first[: len(first) - len(first.lstrip())], code[0][: len(code[0]) - len(code[0].lstrip())]
    if wanted == has:
        return code
    if wanted.startswith(has):
        return [wanted[len(has) :] + line if line.strip() else line for line in code]
    shallow = all(line.startswith(has[: len(has) - len(wanted)]) for line in code if line.strip())
    return [line[len(has) - len(wanted) :] for line in code] if has.endswith(wanted) and shallow else code


def _with_ends(code: Sequence[str], region: Region, document: Document) -> str:
    """The new lines with the document's line ends; lines that stay keep their own, in files that mix them too."""
    old = re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", region.text(document))
    bare = [line.rstrip("\r\n") for line in old]
    end = line_end(document, region.start)
    new = [line + end for line in code]
    for kind, low, high, new_low, _ in difflib.SequenceMatcher(None, bare, code, autojunk=False).get_opcodes():
        if kind == "equal":
            new[new_low : new_low + high - low] = old[low:high]
    blank = len(bare)
    while blank and not bare[blank - 1].strip():
        blank -= 1
    text = "".join(new) + "".join(old[blank:])  # empty lines below belong to the file, not to the answer
    at_end = region.end == len(document.text) and not region.text(document).endswith(("\n", "\r"))
    return text.rstrip("\r\n") if at_end else text


def _names(lines: Sequence[str]) -> list[str]:
    return _NAME.findall("\n".join(lines))


def _filled(lines: Sequence[str]) -> int:
    return sum(bool(line.strip()) for line in lines)


# Search and replace.


def _by_blocks(lines: Sequence[str], document: Document, region: Region, path: str) -> str | Refused:
    blocks = _read_blocks(lines)
    if isinstance(blocks, Refused):
        return blocks
    text = document.text
    low, high = region.start, region.end
    for label, search, replacement in blocks:
        if label and not _is_here(label, path, document):
            return Refused(f"The model wanted to change {label!r}; only {_shown(path, document)} may be changed.")
        if any(_ELISION.match(line) for line in replacement if line not in search):
            return Refused("The model left out a part of the code.")
        place = _find(search, text[low:high])
        if isinstance(place, Refused):
            return place
        start, end = low + place[0], low + place[1]
        ending = line_end(document, min(start, len(document.text)))
        new = "".join(line + ending for line in replacement)
        if end == len(text) and not text.endswith(("\n", "\r")):
            new = new.removesuffix(ending)
        text = text[:start] + new + text[end:]
        high += len(new) - (end - start)
    return text


def _read_blocks(lines: Sequence[str]) -> list[tuple[str, list[str], list[str]]] | Refused:
    """Label (a path, or ""), lines to find and lines to put there, of each block."""
    found: list[tuple[str, list[str], list[str]]] = []
    label, search, replacement = "", list[str](), list[str]()
    into: list[str] | None = None
    for line in lines:
        if _SEARCH.match(line):
            if into is not None:
                return Refused("A block of the model's answer begins inside another one.")
            search, replacement = [], []
            into = search
        elif into is search and into is not None and _DIVIDE.match(line):
            into = replacement
        elif into is replacement and into is not None and _REPLACE.match(line):
            found.append((label, search, replacement))
            into, label = None, ""
        elif into is not None:
            into.append(line)
        elif line.strip() and not _FENCE.match(line):
            label = _label(line)
    if into is not None:
        return Refused("The model's answer ends in the middle of a block.")
    if any(not any(line.strip() for line in search) for _, search, _ in found):
        return Refused("The model did not say which lines are to be replaced.")
    return found


def _find(search: Sequence[str], text: str) -> tuple[int, int] | Refused:
    """Where these whole lines stand in `text`; blanks at their ends do not count."""
    wanted = [line.rstrip() for line in search]
    spans = [(match.start(), match.end()) for match in re.finditer(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", text)]
    have = [text[start:end].rstrip() for start, end in spans]
    places = [at for at in range(len(have) - len(wanted) + 1) if have[at : at + len(wanted)] == wanted]
    if not places:
        return Refused("The model named lines to replace that are not in the code.")
    if len(places) > 1:
        return Refused(f"The model named lines to replace that are in the code {len(places)} times.")
    return spans[places[0]][0], spans[places[0] + len(wanted) - 1][1]


# Both.


def _label(line: str) -> str:
    """The path that a line beside the code names; "" for prose."""
    match = _LABEL.match(line.strip())
    return match[1] if match and _PATH.match(match[1]) else ""


def _is_here(label: str, path: str, document: Document) -> bool:
    """Whether a path that the model names is the document's, in its own words or shorter."""
    name = PurePosixPath(label.replace("\\", "/"))
    if ".." in name.parts or name.is_absolute() or ":" in name.parts[0]:
        return document.path is not None and str(document.path) == label
    own = PurePosixPath(path or (document.path.name if document.path else "file"))
    return own.parts[-len(name.parts) :] == name.parts


def _shown(path: str, document: Document) -> str:
    return path or (document.path.name if document.path else "this file")


def _reaches_out(before: str, after: str) -> str:
    """A name that runs programs or reaches the network and stands in more places than before; "" without one."""
    new = [match[0] for match in _REACHES_OUT.finditer(after)]
    old = [match[0] for match in _REACHES_OUT.finditer(before)]
    return next((name for name in new if new.count(name) > old.count(name)), "")


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
