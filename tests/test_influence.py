from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

import pytest

from coderls.completion import Completion, complete
from coderls.document import Snippet
from coderls.engine.api import Chunk, GenerationRequest, Priority
from coderls.fim.model import FimModel
from coderls.fim.templates import QWEN25_CODER
from coderls.influence import influence, weighing_s
from coderls.question import CompletionRequest, Tools
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings
from tests.fim.small_tokenizers import QWEN_SPECIAL, make_tokenizer
from tests.marked_text import at_cursor

ONE = Snippet("one.py", 0, 2, "def one(x):\n    return x\n")
TWO = Snippet("two.py", 3, 5, "def two(x):\n    return x\n")


@dataclass
class Scorer:
    """Says `one(2)`. What it is forced to say is likelier by 2 behind one.py, and less likely by 1 behind two.py."""

    fim: FimModel
    scored: list[GenerationRequest] = field(default_factory=list)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        assert self.fim.tokenizer is not None
        if not request.forced:
            yield Chunk("one(2)\n", finish_reason="stop")
            return
        self.scored.append(request)
        text = self.fim.tokenizer.decode(request.prompt)
        total = -10.0 + 2.0 * ("def one" in text) - 1.0 * ("def two" in text)
        for token in request.forced:
            yield Chunk("", token_ids=(token,), logprobs=(total / len(request.forced),))


class Context:
    def snippets(self, *_: object, **__: object) -> list[Snippet]:
        return [ONE, TWO]

    def state_beside(self, document: object) -> object:
        return ()

    def finds(self, name: str) -> bool:
        return name == "indexed"


@pytest.fixture(scope="module")
def fim(tmp_path_factory: pytest.TempPathFactory) -> FimModel:
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("model"), QWEN_SPECIAL)
    return FimModel(QWEN25_CODER, tokenizer, frozenset({"required_prefix", "token_ids", "forced"}), name="qwen")


async def made(fim: FimModel, context: Context | None) -> tuple[Completion, Scorer]:
    engine = Scorer(fim)
    document, offset = at_cursor("x = $0\n")
    [found] = await complete(
        CompletionRequest(document, offset, path="a.py"), Tools(engine, fim, parse_file, Settings(), context)
    )
    return found, engine


async def test_each_snippet_is_left_out_once(fim: FimModel) -> None:
    completion, engine = await made(fim, Context())
    found = await influence(completion, engine, fim, Settings())
    assert [(each.snippet.path, round(each.change, 6)) for each in found] == [("one.py", 2.0), ("two.py", -1.0)]
    assert len(engine.scored) == 3
    assert {asked.priority for asked in engine.scored} == {Priority.BACKGROUND}, "real requests go first"
    assert len({asked.forced for asked in engine.scored}) == 1, "always the same text"
    assert fim.tokenizer is not None
    assert fim.tokenizer.decode(engine.scored[0].forced).endswith("one(2)")


async def test_nothing_is_asked_where_nothing_can_be_learned(fim: FimModel) -> None:
    completion, engine = await made(fim, None)
    assert await influence(completion, engine, fim, Settings()) == []
    completion, engine = await made(fim, Context())
    foreign = replace(fim, features=frozenset())
    assert await influence(completion, engine, foreign, Settings()) == []
    assert engine.scored == []


async def test_how_long_it_takes_at_most(fim: FimModel) -> None:
    completion, engine = await made(fim, Context())
    await influence(completion, engine, fim, Settings())
    tokens = sum(len(request.prompt) for request in engine.scored)
    assert tokens / 1_000 <= weighing_s(completion, replace(fim, prefill_tokens_per_s=1_000.0)) < 2 * tokens / 1_000
    assert weighing_s(completion, fim) == float("inf"), "nobody knows the engine's speed"
