"""Prompts, as segments of text and control tokens, and what each part of one came from.

Only the template's own control tokens are ever encoded as such. A user's text that spells one out is plain text
to the tokenizer. For an engine whose tokenizer we do not have a prompt is text, and that engine would take the
name for the token: there a space goes into the name ("<|fim_middle|>" becomes "< |fim_middle|>").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from coderls.beginning import Beginning
from coderls.document import Document, Snippet
from coderls.fim.anchor import Anchor
from coderls.fim.backdrop import Backdrop, Part
from coderls.fim.languages import comment
from coderls.fim.model import FREE, BackdropPlan, Budgets, FimModel
from coderls.fim.templates import FimTemplate
from coderls.fim.window import window
from coderls.lines import unix_lines

#: At most so many tokens of blanks or of one word are taken back before the cursor.
_MOST_HEALED = 4


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text of a prompt, and what it came from. `cursor`: it ends at the cursor."""

    text: str
    part: Part | None = None
    cursor: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """A control token of the template, by its name."""

    name: str


Segment = Text | Control


@dataclass(frozen=True)
class Prompt:
    """What goes to the engine: `token_ids`, or `text` where we have no tokenizer (the other one is None).

    `parts` stand in the order of the prompt. `required_prefix` is text that was taken back from before the
    cursor; the output must begin with it. `segments` and `token_ids` are those behind the backdrop, if there is one.
    """

    segments: tuple[Segment, ...]
    parts: tuple[Part, ...]
    token_ids: tuple[int, ...] | None
    text: str | None
    required_prefix: str = ""

    @property
    def content(self) -> tuple[int, ...] | str:
        """Token ids or text: what to send."""
        return self.token_ids if self.token_ids is not None else self.text or ""

    def shows(self, snippet: Snippet) -> bool:
        """Whether a snippet that was offered for this prompt is in it."""
        return _part_of(snippet) in ((part.kind, part.path, part.start_line, part.end_line) for part in self.parts)

    def explained(self, snippets: Sequence[Snippet]) -> dict[str, Any]:
        """Its parts in their order, and what other files offered for it, as JSON.

        Lines count from 1 here, and the last one is included.
        """
        parts = [
            {
                "kind": part.kind,
                "path": part.path,
                "first_line": part.start_line + 1,
                "last_line": part.end_line,
                "tokens": part.tokens,
            }
            for part in self.parts
        ]
        context = [snippet.explained() | {"in_prompt": self.shows(snippet)} for snippet in snippets]
        return {"prompt": parts, "context": context}

    def has_heading(self, line: str, language_id: str) -> bool:
        """Whether `line` is the heading of a file in this prompt: a small model may say one as if to go on."""
        return any(line.strip() == comment(language_id, part.path).strip() for part in self.parts)


@dataclass(frozen=True, slots=True)
class Names:
    """How the current file is called in a prompt. `path` is best relative to its workspace folder."""

    path: str = ""
    repo_name: str = ""


def build_prompt(
    document: Document,
    offset: int,
    model: FimModel,
    budget: Budgets,
    *,
    snippets: Sequence[Snippet] = (),
    layout: str = "before",
    names: Names | None = None,
    anchor: Anchor | None = None,
    backdrop: Backdrop | None = None,
) -> Prompt:
    """The prompt for `offset`. `snippets` stay in their order; `layout` is that of `ContextSettings`.

    With an `anchor`, and a template whose suffix stands behind its prefix, what was typed since goes after the middle.
    A `backdrop`, made for this model, is to stand before all of it.
    """
    name = document.path.name if document.path else document.uri.rsplit("/", 1)[-1]
    names = names or Names(name)
    template = model.template
    around = None
    if anchor is not None and template.layout == "prefix-suffix-middle":
        around = _around_anchor(anchor, document, offset, model=model, budget=budget, path=names.path or name)
    prefix, suffix, typed = around or (*_around(document, offset, model, budget, names.path or name), Text(""))
    shown = [] if template.repository == "none" else _within(snippets, budget.context, model)
    if not shown and backdrop is None:
        ordered = _middle(template, [prefix], [suffix])
    elif template.repository == "tokens" and layout == "before":
        ordered = [*_as_files(shown, template, names, model), *_middle(template, [prefix], [suffix])]
    else:
        comments = _as_comments(shown, document.language_id, model)
        if layout == "after-suffix" and template.layout != "prefix-only":
            ordered = _middle(template, [prefix], [suffix, Text("\n\n"), *comments])
        else:
            here = Text(comment(document.language_id, names.path or name))
            ordered = _middle(template, [*comments, here, prefix], [suffix])
    ordered = [Control(template.begin), *ordered, *([typed] if typed.text else [])]
    segments = tuple(_merged(ordered))
    parts = tuple(item.part for item in ordered if isinstance(item, Text) and item.part and item.text)
    if model.tokenizer is None:
        return Prompt(segments, parts, None, render(segments, template))
    if backdrop is not None:
        segments = _behind(template, segments)
        parts = (*backdrop.parts, *parts)
    ids, required = _encoded(segments, model, heal="required_prefix" in model.features)
    return Prompt(segments, parts, ids, None, required)


def make_backdrop(
    snippets: Sequence[Snippet], model: FimModel, plan: BackdropPlan, *, repo_name: str = "", language_id: str = ""
) -> Backdrop | None:
    """What prompts with these `snippets` before everything else begin with, in the order that is given.

    None where there is none, or more than planned. `language_id`: whose comments name the files, where comments do.
    """
    template = model.template
    if not snippets:
        return None
    if template.repository == "tokens":
        body = _as_files(snippets, template, Names("", repo_name), model)[:-2]
    else:
        body = [Control(template.prefix), *_as_comments(snippets, language_id, model)]
    ordered = [Control(template.begin), *body]
    ids, _ = _encoded(tuple(_merged(ordered)), model, heal=False)
    parts = tuple(item.part for item in ordered if isinstance(item, Text) and item.part)
    return Backdrop(tuple(snippets), parts, Beginning(ids), plan.room) if len(ids) <= plan.tokens + FREE else None


def _behind(template: FimTemplate, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """The segments of a prompt without those that a backdrop begins with already."""
    files = template.repository == "tokens"
    at = segments.index(Control(template.file_sep if files else template.prefix))
    return segments[at if files else at + 1 :]


def _around(document: Document, offset: int, model: FimModel, budget: Budgets, path: str) -> tuple[Text, Text]:
    """The text before and after the cursor, with `\\n` as the only line end."""
    view = window(document.text, offset, budget.prefix, budget.suffix, model.count)
    line = document.line_of(offset)

    def text(kind: str, start: int, end: int, lines: tuple[int, int]) -> Text:
        plain = unix_lines(document.text[start:end])
        return Text(plain, Part(kind, path, *lines, model.count(plain)), cursor=kind == "prefix")

    first, last = document.line_of(view.start), document.line_of(max(view.end - 1, offset))
    return text("prefix", view.start, offset, (first, line + 1)), text("suffix", offset, view.end, (line, last + 1))


def _around_anchor(
    anchor: Anchor, document: Document, offset: int, *, model: FimModel, budget: Budgets, path: str
) -> tuple[Text, Text, Text] | None:
    """The text before an anchor, the text after the cursor, and what was typed between; None where it does not fit."""
    typed = anchor.typed(document, offset)
    view = window(anchor.document.text, anchor.cursor, budget.prefix, budget.suffix, model.count)
    if typed is None or view.start > anchor.start:
        return None
    old, line = anchor.document, anchor.document.line_of(anchor.cursor)

    def text(kind: str, plain: str, lines: tuple[int, int], *, cursor: bool = False) -> Text:
        plain = unix_lines(plain)
        return Text(plain, Part(kind, path, *lines, model.count(plain)), cursor=cursor)

    first, last = old.line_of(view.start), old.line_of(max(view.end - 1, anchor.cursor))
    return (
        text("prefix", old.text[view.start : anchor.start], (first, line)),
        text("suffix", old.text[anchor.cursor : view.end], (line, last + 1)),
        text("typed", typed, (line, document.line_of(offset) + 1), cursor=True),
    )


def _within(snippets: Sequence[Snippet], budget: int, model: FimModel) -> list[Snippet]:
    """The last snippets (the most relevant stand last) that the budget holds."""
    kept: list[Snippet] = []
    for snippet in reversed(snippets):
        budget -= model.count(snippet.text)
        if budget < 0:
            break
        kept.append(snippet)
    return kept[::-1]


def _snippet(snippet: Snippet, model: FimModel) -> Text:
    text = unix_lines(snippet.text).rstrip() + "\n"
    return Text(text, Part(*_part_of(snippet), model.count(text)))


def _part_of(snippet: Snippet) -> tuple[str, str, int, int]:
    """What the part of a prompt that holds a snippet says of it, but for its tokens."""
    return snippet.source, snippet.path, snippet.start_line, snippet.end_line


def _as_files(snippets: Sequence[Snippet], template: FimTemplate, names: Names, model: FimModel) -> list[Segment]:
    """Snippets as the files of a repository, by the template's tokens; the current file's name comes last."""
    segments: list[Segment] = []
    if template.repo_name and names.repo_name:
        segments += [Control(template.repo_name), Text(f"{names.repo_name}\n")]
    for snippet in snippets:
        segments += [Control(template.file_sep), Text(f"{snippet.path}\n"), _snippet(snippet, model)]
    return [*segments, Control(template.file_sep), Text(f"{names.path}\n")]


def _as_comments(snippets: Sequence[Snippet], language_id: str, model: FimModel) -> list[Segment]:
    """Snippets as plain code, each under a comment that names its file."""
    segments: list[Segment] = []
    for snippet in snippets:
        segments += [Text(comment(language_id, snippet.path)), _snippet(snippet, model), Text("\n")]
    return segments


def _middle(template: FimTemplate, prefix: Sequence[Segment], suffix: Sequence[Segment]) -> list[Segment]:
    before, after = [Control(template.prefix), *prefix], [Control(template.suffix), *suffix]
    if template.layout == "prefix-only":
        return before
    return [*(after + before if template.suffix_first else before + after), Control(template.middle)]


def _merged(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Without empty segments, and with neighbouring texts as one: they are tokenized together."""
    text, cursor = "", False
    for item in segments:
        if isinstance(item, Text):
            text, cursor = text + item.text, item.cursor
        elif item.name:
            if text:
                yield Text(text, cursor=cursor)
            text = ""
            yield item
    if text:
        yield Text(text, cursor=cursor)


def render(segments: Sequence[Segment], template: FimTemplate) -> str:
    """The prompt as text, with control tokens that users' text spells out made harmless."""
    names = {*template.marks, *template.stop}
    names |= {template.written(name).strip() for name in names} - {""}
    return "".join(
        template.written(item.name) if isinstance(item, Control) else _defused(item.text, names) for item in segments
    )


def _defused(text: str, names: set[str]) -> str:
    for name in sorted(names):
        if name in text:
            text = text.replace(name, f"{name[0]} {name[1:]}")
    return text


def _encoded(segments: Sequence[Segment], model: FimModel, heal: bool) -> tuple[tuple[int, ...], str]:
    """Token ids of the segments, with the end of the prefix taken back where the engine can be held to it."""
    ids: list[int] = []
    required = ""
    for item in segments:
        if isinstance(item, Control):
            number = None if model.tokenizer is None else model.tokenizer.special_id(item.name)
            if number is None:
                raise ValueError(f"the template's control token {item.name} is not in the tokenizer")
            ids.append(number)
            continue
        encoded = model.encode(item.text)
        if heal and item.cursor:
            keep = len(encoded) - healed_tokens(model, encoded)
            required = _bytes(model, encoded[keep:]).decode("utf-8")
            encoded = encoded[:keep]
        ids.extend(encoded)
    return tuple(ids), required


def healed_tokens(model: FimModel, ids: Sequence[int]) -> int:
    """How many of the last tokens to take back before the cursor (token healing); 0 where it cannot be done.

    The word that the cursor follows, as what comes next might make other tokens of it: tokens of letters back to the
    one that begins the word. A run of blanks (a line end and indentation) goes as a whole for the same reason. Else
    one token. What is taken back is whole characters, and at most a few tokens.
    """
    most = min(len(ids), _MOST_HEALED)
    back = 1
    while back < most and _bytes(model, ids[-back:]).isspace() and _bytes(model, ids[-back - 1 :][:1]).isspace():
        back += 1
    while back < most and _is_word(model, ids[-back]) and _is_word(model, ids[-back - 1], begins=True):
        back += 1
    longer = range(back, min(len(ids), back + 3) + 1)  # while the first token begins inside a character
    return next((taken for taken in longer if _is_text(_bytes(model, ids[len(ids) - taken :]))), 0)


def _is_text(data: bytes) -> bool:
    """Whether these bytes are some whole characters."""
    try:
        return bool(data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _is_word(model: FimModel, token: int, *, begins: bool = False) -> bool:
    """Whether the token is letters only; `begins`: there may be a blank before them."""
    letters = _bytes(model, [token])
    return (letters.removeprefix(b" ") if begins else letters).isalpha()


def _bytes(model: FimModel, ids: Sequence[int]) -> bytes:
    table = model.tokenizer.token_bytes if model.tokenizer else []
    pieces = [table[number] for number in ids]
    return b"".join(pieces) if all(pieces) else b""
