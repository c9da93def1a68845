"""From ranked definitions to snippets that fit a budget: one a file, in the order of its source, bodies elided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from coderls.document import Piece, Snippet
from coderls.repo_context.files import Shelf
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import Language
from coderls.repo_context.outline import CONTAINERS, Definition
from coderls.repo_context.rank import Ranked

#: Tokens for the line that names a file, besides those of its path.
_HEADING = 6
#: Tokens that the lines around shown members of a class take.
_BRACES = 4
#: So many candidates that do not fit any more are passed over before packing ends.
_MAX_MISSES = 40
_SHORT_LINE = 16


def pack(
    ranked: Sequence[Ranked],
    shelf: Shelf,
    *,
    budget: int,
    count: Callable[[str], int],
    near: str = "",
    is_copy: Callable[[str], bool] = lambda path: False,
) -> list[Snippet]:
    """Snippets of at most `budget` tokens, headings included; the most relevant file comes last.

    Nothing whose first line stands in `near`, the text around the cursor, is shown again, and nothing of a
    file that is a copy of the open one.
    """
    chosen: dict[str, dict[int, Piece]] = {}
    left, misses = budget, 0
    for item in ranked:
        path, index = item.candidate.path, item.candidate.index
        shown = chosen.get(path, {})
        if index in shown or is_copy(path) or _repeats(item.candidate.definition.text, near):
            continue
        definitions = shelf.definitions(path)
        wanted = [number for number in _with_parents(definitions, index) if number not in shown]
        pieces = {number: _piece(definitions[number], item, path, count) for number in wanted}
        cost = sum(piece.tokens for piece in pieces.values()) + (0 if shown else count(path) + _HEADING)
        if cost > left:
            misses += 1
            if misses > _MAX_MISSES:
                break
            continue
        left -= cost
        chosen.setdefault(path, {}).update(pieces)
    return _write(chosen, shelf, count)


def _write(chosen: Mapping[str, Mapping[int, Piece]], shelf: Shelf, count: Callable[[str], int]) -> list[Snippet]:
    snippets = []
    for path, pieces in chosen.items():
        language = by_path(path)
        if language is None:
            continue
        indices = sorted(pieces)
        best = max(pieces.values(), key=lambda piece: piece.score)
        snippets.append(
            Snippet(
                path=path,
                start_line=min(piece.start_line for piece in pieces.values()),
                end_line=max(piece.end_line for piece in pieces.values()),
                text=render(shelf.definitions(path), indices, language),
                source=best.source,
                score=best.score,
                tokens=sum(piece.tokens for piece in pieces.values()) + count(path) + _HEADING,
                pieces=tuple(pieces[index] for index in indices),
            )
        )
    return sorted(snippets, key=lambda snippet: (_step(snippet.score), snippet.path))


def _step(score: float) -> int:
    """Scores in coarse steps: the order of files must not change with every key, or the engine's cache is lost."""
    return sum(score >= limit for limit in (0.3, 0.8, 1.6))


def render(definitions: Sequence[Definition], indices: Sequence[int], language: Language) -> str:
    """The signatures of `indices` (with their parents among them), classes closed as the language does it."""
    lines: list[str] = []
    around: list[int] = []
    shown_parents = {definitions[index].parent for index in indices}
    for index in sorted(indices):
        definition = definitions[index]
        while around and around[-1] != definition.parent:
            _close(definitions[around.pop()], language, lines)
        text = definition.text
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
        lines.append(_indent(definition.text) + (language.members_end if definition.kind == "class" else "}"))


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _with_parents(definitions: Sequence[Definition], index: int) -> list[int]:
    wanted = []
    while index >= 0:
        wanted.append(index)
        index = definitions[index].parent
    return wanted


def _piece(definition: Definition, item: Ranked, path: str, count: Callable[[str], int]) -> Piece:
    """The lines of a signature, and what they cost."""
    language = by_path(path)
    braces = _BRACES if language is not None and language.members_end and definition.kind in CONTAINERS else 0
    return Piece(
        name=definition.name,
        start_line=definition.start_line,
        end_line=definition.start_line + definition.text.count("\n") + 1,
        source=item.candidate.source,
        score=round(item.score, 4),
        tokens=count(definition.text) + 1 + braces,
    )


def _repeats(text: str, near: str) -> bool:
    """Whether the first line of `text` stands near the cursor already (short lines do not count)."""
    line = text.strip().partition("\n")[0].removesuffix(" ...")
    return len(line) >= _SHORT_LINE and line in near
