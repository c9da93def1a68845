"""Places in real code of five languages at which something is hidden, drawn with a seed.

`line`: a whole line from its indentation on. `rest`: a line from inside of it to its end. `middle`: what stands between
a pair of brackets, whose closer stays. `block`: a short body, with the cursor where an editor puts it after Enter.
At `line`, `rest` and `block` nothing follows the cursor on its line.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context_sources import find_source
from benchmarks.keystroke.judges import judge_of
from coderls.fim.inside import inside

#: language id -> the ending of its files, and projects of the package indexes with the folder of their sources.
LANGUAGES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "python": (".py", (("httpx==0.28.1", "httpx"), ("rich==15.0.0", "rich"), ("werkzeug==3.1.3", "src"))),
    "typescript": (".ts", (("rxjs@7.8.2", "src"), ("@theia/core@1.75.0", "src"))),
    "rust": (".rs", (("libcst==1.8.2", "native"),)),
    "java": (".java", (("jpype1==1.5.2", "native"),)),
    "c": (".c", (("brotli==1.1.0", "c"),)),
}
#: Of ten places, so many of each kind.
KINDS = ("line", "rest", "line", "middle", "rest", "block", "line", "rest", "middle", "line")
_LONGEST_FILE = 60_000
_LONGEST_BODY = 8
_COMMENT = re.compile(r"\s*(//|#(?!\s*(include|define|if|endif))|/\*|\*|\"\"\"|''')")
_OPENER = {"python": re.compile(r"\s*\w.*:$")}
_OPENS = re.compile(r"\s*\S.*\{$")
_PAIR = re.compile(r"\(([^()\"']{3,})\)|\[([^\[\]\"']{3,})\]")


@dataclass(frozen=True, slots=True)
class Hole:
    """`before` and `after` are the text around the cursor, between which `hidden` stood."""

    name: str
    path: Path
    language_id: str
    kind: str
    before: str
    after: str
    hidden: str

    @property
    def text(self) -> str:
        """The text without what is hidden."""
        return self.before + self.after

    @property
    def at_line_end(self) -> bool:
        """Whether nothing follows the cursor on its line."""
        return not self.after.partition("\n")[0].strip()


def draw(language_id: str, count: int, seed: int) -> list[Hole]:
    """Up to `count` holes in files that their own parser takes as they are. Raises SourceError."""
    chance = random.Random(f"{seed} {language_id}")
    files = _files(language_id)
    chance.shuffle(files)
    drawn: dict[str, Hole] = {}
    turn = misses = 0
    while files and len(drawn) < count and misses < len(files) * len(KINDS):
        path, text = files[(turn + misses) % len(files)]
        hole = _hole(path, text, language_id, KINDS[(turn + misses // len(files)) % len(KINDS)], chance)
        if hole is None or hole.name in drawn:
            misses += 1  # another file; after all of them another kind
        else:
            drawn[hole.name] = hole
            turn, misses = turn + 1, 0
    return list(drawn.values())


def _files(language_id: str) -> list[tuple[Path, str]]:
    ending, projects = LANGUAGES[language_id]
    found = []
    for spec, folder in projects:
        root = find_source(spec).folder() / folder
        for path in sorted(root.rglob(f"*{ending}")):
            text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
            if 500 < len(text) < _LONGEST_FILE and not path.name.endswith(".d.ts"):
                found.append((path, text))
    errors = judge_of(language_id)(found)
    return [item for item, count in zip(found, errors, strict=True) if not count]


def _hole(path: Path, text: str, language_id: str, kind: str, chance: random.Random) -> Hole | None:
    """One place of a kind in a file, or None where a few draws find none."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    for _ in range(12):
        number = chance.randrange(len(lines))
        spans = list(_spans(lines, number, kind, language_id))
        if not spans:
            continue
        start, end = chance.choice(spans)
        begin = starts[number] + start
        hidden = text[begin : starts[number] + end]
        if not hidden.strip() or inside(text, begin, language_id) != "code":
            continue
        before, after = text[:begin], text[starts[number] + end :]
        if kind == "block":
            before += "\n" + re.match(r"\s*", lines[number + 1])[0]  # type: ignore[index]
        name = f"{language_id} {path.parent.name}/{path.name}:{number + 1}:{start} {kind}"
        return Hole(name, path, language_id, kind, before, after, hidden)
    return None


def _spans(lines: list[str], number: int, kind: str, language_id: str) -> Iterator[tuple[int, int]]:
    """What may be hidden in a line, as offsets from its start (of a block beyond its end)."""
    line = lines[number].rstrip()
    indentation = len(line) - len(line.lstrip())
    if len(line.strip()) < 8 or len(line) > 200 or _COMMENT.match(line):
        return
    if kind == "line":
        yield indentation, len(lines[number])
    elif kind == "rest":
        for place in range(indentation + 2, len(line) - 3):
            if not (_is_word(line[place - 1]) and _is_word(line[place])):
                yield place, len(lines[number])
    elif kind == "middle":
        for pair in _PAIR.finditer(line):
            yield pair.start() + 1, pair.end() - 1
    elif _OPENER.get(language_id, _OPENS).match(line):
        size = 0
        while number + 1 + size < len(lines) and _is_deeper(lines[number + 1 + size], indentation):
            size += 1
        while size and not lines[number + size].strip():
            size -= 1
        body = lines[number + 1 : number + 1 + size]
        if 1 <= size <= _LONGEST_BODY and body[0].strip():
            yield len(lines[number]), len(lines[number]) + sum(len(each) + 1 for each in body)


def _is_deeper(line: str, indentation: int) -> bool:
    return not line.strip() or len(line) - len(line.lstrip()) > indentation


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
