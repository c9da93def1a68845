"""From ranked definitions to snippets that fit a budget: one a file, in the order of its source, bodies elided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from coderls.document import Piece, Snippet
from coderls.repo_context.compact import compact
from coderls.repo_context.files import Shelf
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import CONTAINERS, Definition
from coderls.repo_context.rank import Ranked
from coderls.repo_context.usages import Usage

#: Tokens for the line that names a file, besides those of its path.
HEADING = 6
#: Tokens that the lines around shown members of a class take.
_BRACES = 4
#: So many candidates that do not fit any more are passed over before packing ends.
_MAX_MISSES = 25
_SHORT_LINE = 16
#: Share of the budget for code that is like that at the cursor.
USAGES = 0.25
#: Tokens that a usage needs at least.
_LEAST_USAGE = HEADING + 5
#: From this likelihood on a signature is shown with all that it says.
_WORTH_ALL = 0.25


def pack(
    ranked: Sequence[Ranked],
    shelf: Shelf,
    *,
    budget: int,
    count: Callable[[str], int],
    near: str = "",
    is_copy: Callable[[str], bool] = lambda path: False,
    usages: Iterable[Usage] = (),
) -> list[Snippet]:
    """Snippets of at most `budget` tokens, headings included: definitions, the most relevant file last, then usages.

    Nothing whose first line stands in `near`, the text around the cursor, is shown again, and nothing of a
    file that is a copy of the open one. Long signatures are in short at first; where room is left, they are whole.
    """
    packer = _Packer(shelf, budget - int(USAGES * budget), count)

    def refuse(item: Ranked) -> bool:
        return is_copy(item.candidate.path) or _repeats(item.candidate.definition.text, near)

    packer.fill(ranked, refuse)
    packer.left += int(USAGES * budget)
    for usage in usages:
        if packer.left < _LEAST_USAGE:
            break
        packer.offer_usage(usage)
    packer.fill(ranked, refuse)
    packer.write_out()
    return packer.snippets()


@dataclass(slots=True)
class _Shown:
    text: str
    piece: Piece
    item: Ranked


class _Packer:
    def __init__(self, shelf: Shelf, budget: int, count: Callable[[str], int]) -> None:
        self.shelf = shelf
        self.left = budget
        self.count = count
        self.shown: dict[str, dict[int, _Shown]] = {}
        self.code: list[Snippet] = []
        self.short: list[tuple[str, int]] = []

    def fill(self, items: Sequence[Ranked], refuse: Callable[[Ranked], bool]) -> None:
        """Take in what fits, until nearly nothing does."""
        misses = 0
        for item in items:
            # A token has rarely more than six characters: most of what is too long is known without counting.
            if self.is_shown(item):
                continue
            if self._least(item) > self.left or (not refuse(item) and not self.offer(item)):
                misses += 1
            if misses > _MAX_MISSES:
                return

    def is_shown(self, item: Ranked) -> bool:
        """Whether this definition was taken in already."""
        return item.candidate.index in self.shown.get(item.candidate.path, ())

    def _least(self, item: Ranked) -> int:
        """Tokens that a definition needs at least."""
        heading = 0 if item.candidate.path in self.shown else HEADING
        return min(len(item.candidate.definition.text), 60) // 6 + heading

    def offer_usage(self, usage: Usage) -> None:
        """Take code in as it stands, when it fits and is more than the signatures that are shown."""
        if len(usage.text) // 6 > self.left:  # a token has rarely more characters
            return
        rows = [row for row in usage.text.split("\n") if row.strip()]
        shown = self.shown.get(usage.path, {}).values()
        if 3 * sum(usage.start_line <= part.piece.start_line < usage.end_line for part in shown) > len(rows):
            return
        text = usage.text.strip("\n") + "\n"
        tokens = self.count(text)
        whole = tokens + self.count(usage.path) + HEADING
        if text.strip() and whole <= self.left:
            self.left -= whole
            piece = Piece("", usage.start_line, usage.end_line, usage.source, round(usage.score, 4), tokens)
            self.code.append(
                Snippet(
                    usage.path,
                    usage.start_line,
                    usage.end_line,
                    text,
                    "similar",
                    round(usage.score, 4),
                    whole,
                    (piece,),
                )
            )

    def offer(self, item: Ranked) -> bool:
        """Take a definition in, with what is around it; false when it does not fit."""
        path, index = item.candidate.path, item.candidate.index
        definitions, language = self.shelf.definitions(path), by_path(path)
        shown = self.shown.get(path, {})
        if index in shown or language is None:
            return True
        new: dict[int, _Shown] = {}
        for number in _with_parents(definitions, index):
            if number not in shown:
                definition = definitions[number]
                in_short = item.score < _WORTH_ALL and definition.kind not in CONTAINERS
                text = compact(definition.text, language) if in_short else definition.text
                new[number] = _Shown(text, self._piece(definition, text, item, language), item)
        cost = sum(part.piece.tokens for part in new.values()) + (0 if shown else self.count(path) + HEADING)
        if cost > self.left:
            return False
        self.left -= cost
        self.shown.setdefault(path, {}).update(new)
        self.short += [(path, number) for number, part in new.items() if part.text != definitions[number].text]
        return True

    def write_out(self) -> None:
        """Show what is in short as it is, the most likely first, while there is room."""
        for path, number in self.short:
            definition, language, part = self.shelf.definitions(path)[number], by_path(path), self.shown[path][number]
            if language is None:
                continue
            whole = self._piece(definition, definition.text, part.item, language)
            if whole.tokens - part.piece.tokens <= self.left:
                self.left -= whole.tokens - part.piece.tokens
                self.shown[path][number] = _Shown(definition.text, whole, part.item)

    def snippets(self) -> list[Snippet]:
        """One a file, in the order of its source."""
        found = []
        for path, parts in self.shown.items():
            language = by_path(path)
            if language is None:
                continue
            definitions = self.shelf.definitions(path)
            pieces = [parts[index].piece for index in sorted(parts)]
            best = max(pieces, key=lambda piece: piece.score)
            texts = {index: part.text for index, part in parts.items()}
            found.append(
                Snippet(
                    path=path,
                    start_line=min(piece.start_line for piece in pieces),
                    end_line=max(definitions[index].end_line for index in parts),
                    text=render(definitions, texts, language),
                    source=best.source,
                    score=best.score,
                    tokens=sum(piece.tokens for piece in pieces) + self.count(path) + HEADING,
                    pieces=tuple(pieces),
                )
            )
        return sorted(found, key=lambda snippet: (_step(snippet.score), snippet.path)) + self.code[::-1]

    def _piece(self, definition: Definition, text: str, item: Ranked, language: Language) -> Piece:
        """The lines of a signature, and what they cost."""
        braces = _BRACES if language.members_end and definition.kind in CONTAINERS else 0
        return Piece(
            name=definition.name,
            start_line=definition.start_line,
            end_line=definition.start_line + definition.text.count("\n") + 1,
            source=item.source,
            score=round(item.score, 4),
            tokens=self.count(text) + 1 + braces,
        )


def _step(score: float) -> int:
    """Scores in coarse steps: the order of files must not change with every key, or the engine's cache is lost."""
    return sum(score >= limit for limit in (0.05, 0.15, 0.4))


def render(definitions: Sequence[Definition], texts: Mapping[int, str], language: Language) -> str:
    """The signatures `texts` by index (with their parents among them), classes closed as the language does it."""
    lines: list[str] = []
    around: list[int] = []
    shown_parents = {definitions[index].parent for index in texts}
    for index in sorted(texts):
        definition = definitions[index]
        while around and around[-1] != definition.parent:
            _close(definitions[around.pop()], language, lines)
        text = texts[index]
        outer = definitions[around[-1]] if around else None
        if (
            outer and outer.kind == "class" and _indent(text) <= _indent(outer.text)
        ):  # written on one line with its class
            text = _indent(outer.text) + "    " + text.lstrip()
        if definition.kind not in CONTAINERS:
            lines.append(text)
        elif index in shown_parents:
            lines.append(text + language.members_begin)
            around.append(index)
        else:
            lines.append(text + language.class_end)
    while around:
        _close(definitions[around.pop()], language, lines)
    return "\n".join(lines) + "\n"


def _close(definition: Definition, language: Language, lines: list[str]) -> None:
    if language.members_end:
        end = language.members_end if definition.kind == "class" else language.namespace_end
        lines.append(_indent(definition.text) + end)


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _with_parents(definitions: Sequence[Definition], index: int) -> list[int]:
    wanted = []
    while index >= 0:
        wanted.append(index)
        index = definitions[index].parent
    return wanted


def _repeats(text: str, near: str) -> bool:
    """Whether the first line of `text` stands near the cursor already (short lines do not count)."""
    line = text.strip().partition("\n")[0].removesuffix(" ...")
    return len(line) >= _SHORT_LINE and line in near
