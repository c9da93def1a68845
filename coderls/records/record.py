"""One record: everything that a completion was made from, and what came of it. A file of JSON."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import coderls
from coderls.document import Document, Snippet
from coderls.engine.api import Chunk, GenerationRequest, Health
from coderls.errors import RecordBroken
from coderls.fim.model import FimModel
from coderls.fim.prompt import Prompt
from coderls.fim.stopping import Gap
from coderls.fim.templates import FimTemplate
from coderls.question import CompletionRequest, Question, least_worth, marks_in
from coderls.records.codec import decode
from coderls.settings import CompletionSettings, ContextSettings, Settings
from coderls.timings import Watch
from coderls.tokenizer import Tokenizer

#: Raised when a reader of before would misunderstand what is written now.
FORMAT = 1
KIND = "coderls completion record"
NOTICE = (
    "This file holds source code: the text around the cursor, the pieces of other files that were in the prompt, and "
    "what the model said. Look through it before you give it to anybody."
)
#: Longer documents (characters) are recorded this far on both sides of the cursor.
LONGEST = 200_000
#: No record is longer than this (bytes); what is, is something else.
_LARGEST_FILE = 64_000_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered. Where two of these are equal, the same record gives the same bytes.

    `fingerprint` is that of the model's directory, "" where nobody can tell (an engine elsewhere).
    """

    coderls: str = ""
    engine: str = ""
    model: str = ""
    fingerprint: str = ""
    device: str = ""
    weights: str = ""
    attention: str = ""
    ways: tuple[str, ...] = ()
    numerics: str = ""
    system: str = ""

    def differences(self, other: Identity) -> list[str]:
        """What is not the same, in words: "weights: int8 then, bfloat16 now"."""
        mine, others = asdict(self), asdict(other)
        unlike = [name for name in mine if mine[name] != others[name]]
        return [f"{name}: {_said(mine[name])} then, {_said(others[name])} now" for name in unlike]


def _said(value: Any) -> str:
    return (", ".join(value) if isinstance(value, (tuple, list)) else str(value)) or "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """The cursor in a document. `path` is relative to the workspace folder; `offset` counts from the start of `text`.

    `first_line` of the file is the first of `text` (from 0); `whole`: nothing of the document is left out.
    """

    path: str
    language: str
    text: str
    offset: int
    invoked: bool = False
    repo_name: str = ""
    first_line: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """A completion: put `text` in the place of `start`..`end` of the recorded text."""

    text: str
    start: int
    end: int
    was_cut: bool = False
    logprob: float = 0.0


@dataclass(frozen=True, slots=True)
class Stream:
    """What the engine was asked, and what it said: `chunks` were read, then the stream was closed, or `error` ended it.

    The prompt is left out of `asked`: it is the record's.
    """

    asked: GenerationRequest
    chunks: tuple[Chunk, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Record:
    """See the module. `shown` is what went to the editor, the best first; `at` in UTC."""

    place: Place
    completion: CompletionSettings
    context: ContextSettings
    template: FimTemplate
    prompt: Prompt
    gap: Gap
    streams: tuple[Stream, ...]
    shown: tuple[Change, ...]
    features: tuple[str, ...] = ()
    context_length: int = 0
    prefill_tokens_per_s: float = 0.0
    snippets: tuple[Snippet, ...] = ()
    identity: Identity = Identity()
    at: str = ""

    @property
    def document(self) -> Document:
        """The document, as far as it was recorded."""
        path = Path(self.place.path)
        return Document(f"record:///{path.as_posix()}", self.place.language, 1, self.place.text, path)

    @property
    def request(self) -> CompletionRequest:
        """What was asked for."""
        place = self.place
        return CompletionRequest(
            self.document, place.offset, place.invoked, len(self.streams), place.path, place.repo_name
        )

    @property
    def settings(self) -> Settings:
        """The settings that a completion depends on."""
        return replace(Settings(), completion=self.completion, context=self.context)

    def model(self, tokenizer: Tokenizer | None = None) -> FimModel:
        """What was known of the model. Its tokenizer is not in a record."""
        return FimModel(
            self.template,
            tokenizer,
            frozenset(self.features),
            self.context_length,
            self.prefill_tokens_per_s,
            self.identity.model,
        )

    def questions(self, gap: Gap) -> list[Question]:
        """What the engine was asked, in order; `gap` as it is found now."""
        return [
            Question(
                self.document,
                self.place.offset,
                self.snippets,
                self.prompt,
                gap,
                replace(stream.asked, prompt=self.prompt.content),
                (),
                Watch(),
                self.identity.model,
                marks_in(self.model(), self.place.text),
                least_worth(self.template, self.completion, invoked=self.place.invoked),
            )
            for stream in self.streams
        ]


def record_of(
    request: CompletionRequest, question: Question, fim: FimModel, settings: Settings, identity: Identity
) -> Record:
    """A record without streams and without what was shown."""
    document, offset = request.document, request.offset
    low = 0 if offset <= LONGEST else document.text.rfind("\n", 0, offset - LONGEST) + 1
    high = min(len(document.text), offset + LONGEST)
    place = Place(
        request.path,
        document.language_id,
        document.text[low:high],
        offset - low,
        request.invoked,
        request.repo_name,
        document.line_of(low),
        whole=(low, high) == (0, len(document.text)),
    )
    return Record(
        place,
        settings.completion,
        settings.context,
        fim.template,
        question.prompt,
        question.gap,
        (),
        (),
        tuple(sorted(fim.features)),
        fim.context_length,
        fim.prefill_tokens_per_s,
        question.snippets,
        identity,
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def identity_of(health: Health, fingerprint: str) -> Identity:
    """Who answers now."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return Identity(
        coderls.__version__,
        health.version,
        health.model,
        fingerprint,
        health.device,
        health.weights,
        health.attention,
        health.ways,
        health.numerics,
        system,
    )


def written(record: Record) -> str:
    """The record as the text of its file."""
    streams = [replace(stream, asked=replace(stream.asked, prompt="")) for stream in record.streams]
    data = {"kind": KIND, "format": FORMAT, "notice": NOTICE} | asdict(replace(record, streams=tuple(streams)))
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, as editors can send them
        text = json.dumps(data, indent=1) + "\n"
    return text


def read_record(file: Path) -> Record:
    """Read a record. Raises RecordBroken for what is none, is damaged, or is of a version that writes others."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise RecordBroken(f"{file} is far too long for a record.", "Name a file that `coderls --record` wrote.")
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordBroken(f"There is no file {file}.", "Name a file that `coderls --record` wrote.") from error
    except OSError as error:
        raise RecordBroken(f"{file} cannot be read: {error.strerror or error}.", "Check its permissions.") from error
    except (ValueError, RecursionError) as error:  # no JSON, or no text at all
        raise RecordBroken(
            f"{file} is no record of a completion, or not the whole of one.",
            "Name a file that `coderls --record` wrote.",
        ) from error
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise RecordBroken(f"{file} is no record of a completion.", "Name a file that `coderls --record` wrote.")
    if raw.get("format") != FORMAT:
        raise RecordBroken(
            f"{file} is a record of format {raw.get('format')!r:.20}; this coderls reads format {FORMAT}.",
            "Replay it with the version of coderls that wrote it.",
        )
    try:
        record = decode(Record, raw, "record")
    except ValueError as error:
        raise RecordBroken(f"{file} is damaged: {error}.", "Ask for the file again.") from error
    if not 0 <= record.place.offset <= len(record.place.text):
        raise RecordBroken(f"{file} is damaged: the cursor is not in the text.", "Ask for the file again.")
    return record


def changes(shown: Sequence[Any], low: int) -> tuple[Change, ...]:
    """Completions as they are recorded; `low` is where the recorded text begins."""
    return tuple(
        Change(each.text, each.start - low, each.end - low, each.was_cut, round(each.logprob, 6)) for each in shown
    )
