"""A scripted engine, and records that are made with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coderls.document import Snippet
from coderls.engine.api import Chunk, GenerationRequest, Health, Usage
from coderls.errors import EngineUnreachable
from coderls.fim.model import FimModel
from coderls.fim.templates import QWEN25_CODER
from coderls.question import CompletionRequest, Tools
from coderls.records.record import Record, read_record
from coderls.records.recorder import Recorder, records_in
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings
from tests.fim.small_tokenizers import QWEN_SPECIAL, make_tokenizer
from tests.marked_text import at_cursor

SNIPPET = Snippet("pkg/other.py", 4, 6, "def other(x):\n    return x\n")
HEALTH = Health(protocol=1, state="ready", model="scripted", version="0.1", weights="int8", numerics="by hand")


@dataclass
class Script:
    """Says `texts[seed]` (0: greedy) in pieces of two letters. `fails`: after all of them."""

    texts: tuple[str, ...]
    fails: str = ""
    asked: list[GenerationRequest] = field(default_factory=list)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        self.asked.append(request)
        text = self.texts[request.sampling.seed or 0]
        for start in range(0, len(text), 2):
            yield Chunk(text[start : start + 2], token_ids=(7 + start,), logprobs=(-0.5,))
        if self.fails:
            raise EngineUnreachable(self.fails)
        yield Chunk("", finish_reason="stop", usage=Usage(10, len(text) // 2))


class Context:
    """The one snippet for every place."""

    def snippets(self, *_: object, **__: object) -> list[Snippet]:
        return [SNIPPET]

    def state_beside(self, document: object) -> object:
        return ()


@pytest.fixture(scope="session")
def fim(tmp_path_factory: pytest.TempPathFactory) -> FimModel:
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("model"), QWEN_SPECIAL)
    features = frozenset({"required_prefix", "token_ids", "exact", "drafts"})
    return FimModel(QWEN25_CODER, tokenizer, features, 4096, name="scripted")


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "records")


Make = Callable[..., Awaitable[Record]]


@pytest.fixture
def make(recorder: Recorder, fim: FimModel) -> Make:
    """Complete at the `$0` of a text with what an engine says, and read the record of it."""

    async def made(marked: str, *said: str, language: str = "python", fails: str = "", name: str = "") -> Record:
        document, offset = at_cursor(marked, language)
        request = CompletionRequest(
            document,
            offset,
            invoked=True,
            alternatives=len(said),
            path=name or "pkg/here.py",
            repo_name="sample",
            drafts=("draft",),
        )
        tools = Tools(Script(said, fails), fim, parse_file, Settings(), Context())
        try:
            await recorder.complete(request, tools, health=HEALTH)
        except EngineUnreachable:
            assert fails
        return read_record(records_in(recorder.folder)[-1])

    return made
