from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from coderls.answer import AnswerCache
from coderls.beginning import Beginning
from coderls.completion import Completion, complete, recall
from coderls.document import Document, Piece, Snippet
from coderls.engine.api import Chunk, GenerationRequest, Health, LocalName, Usage
from coderls.errors import EngineUnreachable, ModelBroken, RequestRefused
from coderls.fim.backdrop import Backdrop
from coderls.fim.model import FimModel
from coderls.fim.reuse import Memory, Place
from coderls.fim.templates import QWEN25_CODER
from coderls.question import CompletionRequest, FirstLines, Tools, load_fim_model, question_at
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings, parse_settings
from coderls.steady import Steady
from tests.fim.small_tokenizers import QWEN_SPECIAL, make_tokenizer
from tests.marked_text import at_cursor


@dataclass
class ScriptedEngine:
    """Says `text` in pieces of `size` letters; `fail` is raised after them, `stall` waits there for ever."""

    text: str = ""
    size: int = 3
    finish_reason: str = "stop"
    fail: Exception | None = None
    stall: bool = False
    requests: list[GenerationRequest] = field(default_factory=list)
    said: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        try:
            for start in range(0, len(self.text), self.size):
                piece = self.text[start : start + self.size]
                self.said += len(piece)
                yield Chunk(piece, token_ids=(1,), logprobs=(-0.5,))
            if self.stall:
                self.stalled.set()
                await asyncio.Event().wait()
            if self.fail:
                raise self.fail
            yield Chunk("", finish_reason=self.finish_reason, usage=Usage(9, 3, 2))
        finally:
            self.closed.set()


@dataclass
class OneSnippet:
    snippet: Snippet
    budgets: list[int] = field(default_factory=list)

    def snippets(
        self, document: Document, offset: int, *, budget_tokens: int, count: Callable[[str], int]
    ) -> list[Snippet]:
        self.budgets.append(budget_tokens)
        assert count(self.snippet.text) > 0
        return [self.snippet]

    def state_beside(self, document: Document) -> object:
        return ()

    def finds(self, name: str) -> bool:
        return name == "indexed"


@pytest.fixture(scope="module")
def fim(tmp_path_factory: pytest.TempPathFactory) -> FimModel:
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("model"), QWEN_SPECIAL)
    return FimModel(QWEN25_CODER, tokenizer, frozenset({"required_prefix", "token_ids"}), name="qwen")


async def ask(
    marked: str, engine: ScriptedEngine, fim: FimModel, language: str = "python", **options: Any
) -> tuple[Document, Completion | None]:
    document, offset = at_cursor(marked, language)
    tools = Tools(
        engine,
        fim,
        parse_file,
        options.pop("settings", Settings()),
        options.pop("context", None),
        options.pop("answers", None),
    )
    found = await complete(CompletionRequest(document, offset, **options), tools)
    return document, found[0] if found else None


async def check(marked: str, said: str, fim: FimModel, language: str = "python", **options: Any) -> str | None:
    """The document with the completion marked, or None."""
    document, made = await ask(marked, ScriptedEngine(said), fim, language, **options)
    return None if made is None else f"{document.text[: made.start]}«{made.text}»{document.text[made.end :]}"


@pytest.mark.parametrize(
    ("language", "marked", "said", "expected"),
    [
        ("python", "x = foo($0)\n", "a, b)\ny = 1\n", "x = foo(«a, b»)\n"),
        ("python", "def f(x):\n    $0\n", "return x\n\n\ndef g():\n", "def f(x):\n    «return x»\n"),
        ("typescript", "const a = b.map($0);\n", "(c) => c.d);\n", "const a = b.map(«(c) => c.d»);\n"),
        (
            "go",
            "package a\n\nfunc f() int {\n\t$0\n}\n",
            "return 1\n}\n",
            "package a\n\nfunc f() int {\n\t«return 1»\n}\n",
        ),
        ("rust", "fn f() -> i32 {\n    $0\n}\n", "1 + 1\n}\n", "fn f() -> i32 {\n    «1 + 1»\n}\n"),
        ("c", "int f() {\n  $0\n}\n", "return 1;\n}\n", "int f() {\n  «return 1;»\n}\n"),
        ("plaintext", "The quick $0\n", "brown fox\njumps", "The quick «brown fox»\n"),
        (
            "python",
            "x = 1\r\nif x:\r\n    $0\r\n",
            "a = 1\n    b = 2\n",
            "x = 1\r\nif x:\r\n    «a = 1\r\n    b = 2»\r\n",
        ),
        ("python", "def f():\n\tx = 1\n\t$0\n", "return x\n", "def f():\n\tx = 1\n\t«return x»\n"),
        ("python", "s = '😀語'\nt = s.$0\n", "upper()\n", "s = '😀語'\nt = s.«upper()»\n"),
        ("python", "$0x = 1\n", "import os\n", None),  # it would run into the line
        ("python", "x = 1\n$0", "y = 2\n", "x = 1\n«y = 2»"),
    ],
)
async def test_what_the_user_sees(language: str, marked: str, said: str, expected: str | None, fim: FimModel) -> None:
    assert await check(marked, said, fim, language) == expected


async def test_the_heading_of_a_file_in_the_prompt_is_no_answer(fim: FimModel) -> None:
    assert await check("x = 1\n$0\n", "# shop/main.py\n", fim, path="shop/main.py") is None
    assert await check("x = 1\n$0\n", "# another line\n", fim, path="shop/main.py") == "x = 1\n«# another line»\n"


async def test_an_empty_file(fim: FimModel) -> None:
    assert await check("$0", "import os\nimport sys\n", fim, invoked=True) == "«import os»"
    assert await check("$0", "import os\n", fim) is None


async def test_a_very_long_line(fim: FimModel) -> None:
    line = "x = [" + "1, " * 7000
    made = await check(f"{line}$0]\n", "2]\n", fim)
    assert made == f"{line}«2»]\n"


async def test_a_special_token_in_the_file_changes_nothing(fim: FimModel) -> None:
    everything = "".join(QWEN_SPECIAL)
    assert await check(f"a = '{everything}'\nb = $0\n", "foo\n", fim) == f"a = '{everything}'\nb = «foo»\n"


async def test_the_request_to_the_engine(fim: FimModel) -> None:
    engine = ScriptedEngine("foo\n")
    _, made = await ask("x = 1\ny = $0\n", engine, fim)
    assert made is not None
    (request,) = engine.requests
    assert request.prompt == made.prompt.token_ids
    assert request.required_prefix == " "
    assert set(request.stop_token_ids) >= {151643, 151645, 151659, 151661, 151662, 151663, 151664}
    assert (request.stop, request.max_tokens, request.logprobs) == ((), 64, 0)


async def test_a_foreign_engine_gets_text_and_stop_strings(fim: FimModel) -> None:
    engine = ScriptedEngine("foo\n")
    await ask("y = $0\n", engine, replace(fim, tokenizer=None, features=frozenset()))
    (request,) = engine.requests
    assert request.prompt == "<|fim_prefix|>y = <|fim_suffix|>\n<|fim_middle|>"
    assert "<|endoftext|>" in request.stop
    assert (request.required_prefix, request.stop_token_ids, request.logprobs) == ("", (), None)


async def test_special_tokens_sent_as_text_end_the_answer(fim: FimModel) -> None:
    foreign = replace(fim, tokenizer=None, features=frozenset())
    assert await check("y $0\n", "foo<|fim_pad|>bar\nx", foreign, "plaintext") == "y «foo»\n"
    assert await check("y $0\n", "foo<|fim_pad|>bar\nx", fim, "plaintext") == "y «foo<|fim_pad|>bar»\n"


async def test_the_stream_is_closed_as_soon_as_the_answer_is_whole(fim: FimModel) -> None:
    engine = ScriptedEngine("foo\n" + "bar\n" * 100)
    _, made = await ask("x = $0\n", engine, fim)
    assert made is not None
    assert (made.text, made.finish_reason) == ("foo", "stop")
    assert engine.closed.is_set()
    assert engine.said <= 6


async def test_snippets_stay_while_somebody_types(fim: FimModel) -> None:
    one = Snippet("one.py", 0, 1, "def one(): ...\n", tokens=9, pieces=(Piece("one", 0, 1, "near", 0.1, 6),))
    other = replace(one, path="other.py", text="def other(): ...\n", pieces=(Piece("other", 0, 1, "near", 0.1, 6),))
    context = OneSnippet(one)
    tools = Tools(ScriptedEngine(), fim, parse_file, Settings(), context, steady=Steady())
    shown = []
    before, after = "x = 1\n" * 200, "\ny = 2\n"
    for typed, found, background in (("z", one, False), ("z = o", other, True), ("z = ot", other, False)):
        context.snippet = found
        document = Document("file:///a.py", "python", len(typed), before + typed + after)
        request = CompletionRequest(document, len(before + typed), background=background)
        question = await question_at(request, tools)
        assert question is not None
        assert any(part.path == "one.py" for part in question.prompt.parts)
        shown.append(question.snippets)
    assert shown == [(one,)] * 3


async def test_what_is_kept_of_a_question_has_no_backdrop(fim: FimModel) -> None:
    tools = Tools(ScriptedEngine(), fim, parse_file, Settings())
    document, offset = at_cursor("x = $0\n", "python")
    keys = []
    for ids in ((1, 2, 3), (1, 2, 4), (1, 2, 3)):
        backdrop = Backdrop((), (), Beginning(ids), room=4_000)
        question = await question_at(CompletionRequest(document, offset, backdrop=backdrop), tools)
        assert question is not None
        assert question.asked.beginning == Beginning(ids)
        assert question.key[0].beginning is None
        keys.append(question.key)
    assert keys[0] != keys[1]
    assert (keys[0], hash(keys[0])) == (keys[2], hash(keys[2]))


async def test_what_was_answered_without_words_of_the_repository_is_asked_again_with_them(fim: FimModel) -> None:
    blending = replace(fim, features=fim.features | {"local"})
    document, offset = at_cursor("x = $0\n", "python")
    keys = []
    for local in (None, LocalName(), LocalName("one", 10), LocalName("other", 20)):
        tools = Tools(ScriptedEngine(), blending, parse_file, Settings(), local=local)
        question = await question_at(CompletionRequest(document, offset), tools)
        assert question is not None
        assert question.asked.local == local
        keys.append(question.key)
    assert keys[0] == keys[1] != keys[2] == keys[3]


async def test_what_is_reported(fim: FimModel) -> None:
    context = OneSnippet(Snippet("lib/foo.py", 4, 6, "def foo(): ...\n"))
    _, made = await ask("x = $0\n", ScriptedEngine("foo()"), fim, context=context, repo_name="repo", path="a.py")
    assert made is not None
    assert (made.logprob, made.usage) == (-0.5, Usage(9, 3, 2))
    assert [(part.kind, part.path) for part in made.prompt.parts] == [
        ("definition", "lib/foo.py"),
        ("prefix", "a.py"),
        ("suffix", "a.py"),
    ]
    assert made.snippets == (context.snippet,)
    assert context.budgets == [3_984]  # 2,000, and what this short text leaves
    timings = made.timings
    assert 0 <= timings.first_token <= timings.engine <= timings.total
    assert timings.editor_side == pytest.approx(timings.total - timings.engine)


async def test_context_can_be_switched_off(fim: FimModel) -> None:
    context = OneSnippet(Snippet("lib/foo.py", 4, 6, "def foo(): ...\n"))
    settings, _ = parse_settings({"context": {"enabled": False}})
    _, made = await ask("x = $0\n", ScriptedEngine("foo()"), fim, context=context, settings=settings)
    assert made is not None
    assert made.snippets == ()
    assert context.budgets == []


async def test_a_refused_place_never_reaches_the_engine(fim: FimModel) -> None:
    engine = ScriptedEngine("foo")
    assert (await ask("fo$0o\n", engine, fim))[1] is None
    assert engine.requests == []


async def test_an_answer_that_breaks_the_file_is_cut_back_or_withheld(fim: FimModel) -> None:
    assert await check("x = 1\n$0\n", "y = (2", fim) is None
    assert await check("x = 1\n$0\n", "y = 2 +\n", fim) == "x = 1\n«y = 2»\n"


async def test_an_answer_cut_off_at_the_token_limit_keeps_whole_lines(fim: FimModel) -> None:
    engine = ScriptedEngine("a = 1\n    b = 2\n    c = fo", finish_reason="length")
    _, made = await ask("def f():\n    $0\n", engine, fim)
    assert made is not None
    assert (made.text, made.finish_reason) == ("a = 1\n    b = 2", "length")


async def test_nothing_said_is_no_completion(fim: FimModel) -> None:
    assert await check("x = 1\n$0\n", "", fim) is None
    assert await check("x = 1\n$0\n", " \n\n", fim) is None


async def test_half_a_line_end_at_the_end_of_a_piece(fim: FimModel) -> None:
    _, made = await ask("def f():\n    $0\n", ScriptedEngine("a = 1\r\n    b = 2\r\n", size=1), fim)
    assert made is not None
    assert made.text == "a = 1\n    b = 2"


async def test_cancelling_closes_the_stream(fim: FimModel) -> None:
    engine = ScriptedEngine("foo", stall=True)
    task = asyncio.create_task(ask("x = $0\n", engine, fim))
    await engine.stalled.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.closed.is_set()


async def test_an_engine_that_fails_in_the_stream_is_an_engine_error(fim: FimModel) -> None:
    engine = ScriptedEngine("fo", fail=EngineUnreachable("It is gone."))
    with pytest.raises(EngineUnreachable):
        await ask("x = $0\n", engine, fim)


async def test_a_large_file_costs_the_model_no_more_than_a_small_one(fim: FimModel) -> None:
    engine = ScriptedEngine("return x\n")
    filler = "".join(f"def f{number}(x):\n    return x\n\n\n" for number in range(3000))
    _, made = await ask(f"{filler}def g(x):\n    $0\n\n\n{filler}", engine, fim)
    assert made is not None
    assert made.text == "return x"
    assert sum(part.tokens for part in made.prompt.parts) <= 1500 + 500 + 2000


def model_folder(folder: Path) -> Path:
    make_tokenizer(folder, QWEN_SPECIAL)
    content = {
        "name": "mine",
        "layout": "suffix-prefix-middle",
        "prefix": "<|fim_prefix|>",
        "suffix": "<|fim_suffix|>",
        "stop": ["<|endoftext|>"],
    }
    folder.joinpath("fim.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_the_model_behind_an_engine(tmp_path: Path) -> None:
    health = Health(
        protocol=1,
        state="ready",
        model="mine",
        model_path=str(model_folder(tmp_path)),
        context_length=4096,
        prefill_tokens_per_s=1300.0,
        features=("required_prefix",),
    )
    fim = load_fim_model(health)
    assert (fim.template.name, fim.exact, fim.context_length) == ("mine", True, 4096)
    assert (fim.prefill_tokens_per_s, fim.features) == (1300.0, {"required_prefix"})


def test_a_foreign_engine_is_known_by_its_models_name() -> None:
    fim = load_fim_model(Health(protocol=0, state="ready", model="Qwen/Qwen2.5-Coder-7B"))
    assert (fim.template, fim.exact) == (QWEN25_CODER, False)


def test_a_broken_fim_json_is_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    folder.joinpath("fim.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelBroken, match=r"fim\.json"):
        load_fim_model(Health(protocol=1, state="ready", model="x", model_path=str(folder)))


@dataclass
class Choices(ScriptedEngine):
    """Says `greedy` without temperature, else what stands for the seed."""

    choices: tuple[str, ...] = ()

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        sampling = request.sampling
        said = self.text if not sampling.temperature else self.choices[(sampling.seed or 0) - 1]
        self.requests.append(request)
        mean = -0.1 * len(said)
        yield Chunk(said, token_ids=(1,), logprobs=(mean,))
        yield Chunk("", finish_reason="stop")


async def several(marked: str, engine: Choices, fim: FimModel, count: int) -> list[str]:
    document, offset = at_cursor(marked)
    settings, problems = parse_settings({"completion.alternatives": count})
    assert problems == []
    request = CompletionRequest(document, offset, invoked=True, alternatives=settings.completion.alternatives)
    made = await complete(request, Tools(engine, fim, parse_file, settings))
    return [completion.text for completion in made]


async def test_alternatives_are_different_and_the_likeliest_comes_first(fim: FimModel) -> None:
    engine = Choices("bar(b)\n", choices=("foo\n", "bar(b)\n", "foo\n", "quux(12)\n"))
    assert await several("x = $0\n", engine, fim, 5) == ["foo", "bar(b)", "quux(12)"]
    assert len(engine.requests) == 5
    assert len({request.prompt for request in engine.requests}) == 1


async def test_an_alternative_that_fails_does_not_cost_the_first(fim: FimModel) -> None:
    class Greedy(Choices):
        async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
            if request.sampling.temperature:
                raise RequestRefused("no sampling here")
            async for chunk in super().stream(request):
                yield chunk

    assert await several("x = $0\n", Greedy("bar(b)\n"), fim, 3) == ["bar(b)"]


async def test_an_alternative_that_had_to_be_cut_comes_last(fim: FimModel) -> None:
    engine = Choices("a)\n", choices=("longer_name\n",))
    assert await several("x = $0\n", engine, fim, 2) == ["longer_name", "a"]


@dataclass
class Slow(Choices):
    """Draws wait until they are let go."""

    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: int = 0

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        if request.sampling.temperature:
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.stopped += 1
                raise
        async for chunk in super().stream(request):
            yield chunk


def asking(marked: str, engine: Slow, fim: FimModel, answers: AnswerCache, alternatives: int = 3) -> Any:
    document, offset = at_cursor(marked)
    request = CompletionRequest(document, offset, invoked=True, alternatives=alternatives)
    return complete(request, Tools(engine, fim, parse_file, Settings(), answers=answers))


async def test_alternatives_that_come_late_are_there_the_next_time(fim: FimModel) -> None:
    engine, answers = Slow("foo\n", choices=("quux\n", "bar\n")), AnswerCache()
    assert [made.text for made in await asking("x = $0\n", engine, fim, answers)] == ["foo"]
    again = asyncio.ensure_future(asking("x = $0\n", engine, fim, answers))
    await asyncio.sleep(0)
    engine.let_go.set()
    assert sorted(made.text for made in await again) == ["bar", "foo", "quux"]
    assert len(engine.requests) == 3, "nothing was asked twice"


async def test_alternatives_that_nobody_wants_any_more_are_stopped(fim: FimModel) -> None:
    engine, answers = Slow("foo\n", choices=("quux\n", "bar\n")), AnswerCache()
    await asking("x = $0\n", engine, fim, answers)
    assert engine.stopped == 0
    await asking("yy = $0\n", engine, fim, answers, alternatives=1)
    assert engine.stopped == 2


async def test_alternatives_that_were_asked_for_twice_are_all_stopped_too(fim: FimModel) -> None:
    engine, answers = Slow("foo\n", choices=("quux\n", "bar\n")), AnswerCache()
    before = asyncio.all_tasks()
    await asking("x = $0\n", engine, fim, answers)
    await asking("x = $0\n", engine, fim, answers)
    answers.keep_late(())
    _, running = await asyncio.wait(asyncio.all_tasks() - before, timeout=10)
    assert not running
    assert engine.stopped == 2


async def test_alternatives_are_waited_for_where_the_first_is_not_fit_to_be_shown(fim: FimModel) -> None:
    engine, answers = Slow('"""\n', choices=("quux\n", "bar\n")), AnswerCache()
    asked = asyncio.ensure_future(asking("x = $0\n", engine, fim, answers))
    done, _ = await asyncio.wait([asked], timeout=0.5)
    assert not done
    engine.let_go.set()
    assert sorted(made.text for made in await asked) == ["bar", "quux"]


async def test_nothing_to_ask_has_no_alternatives(fim: FimModel) -> None:
    assert await several("a\0b $0\n", Choices("x\n"), fim, 1) == []


async def test_the_same_question_is_asked_once(fim: FimModel) -> None:
    engine, answers = ScriptedEngine("foo\n"), AnswerCache()
    first = (await ask("x = $0\n", engine, fim, answers=answers))[1]
    again = (await ask("x = $0\n", engine, fim, answers=answers))[1]
    assert first is not None
    assert again is not None
    assert (first.text, first.reused, again.text, again.reused) == ("foo", "", "foo", "cache")
    assert len(engine.requests) == 1
    await ask("y = $0\n", engine, fim, answers=answers)
    assert len(engine.requests) == 2


async def test_drafts_go_to_engines_that_use_them_and_are_no_part_of_the_question(fim: FimModel) -> None:
    engine, answers = ScriptedEngine("foo\n"), AnswerCache()
    await ask("x = $0\n", engine, fim, drafts=("foo()",))
    assert engine.requests[-1].drafts == ()
    drafting = replace(fim, features=fim.features | {"drafts"})
    await ask("x = $0\n", engine, drafting, answers=answers, drafts=("foo()",))
    assert engine.requests[-1].drafts == ("foo()",)
    again = (await ask("x = $0\n", engine, drafting, answers=answers, drafts=("bar", "foo()")))[1]
    assert again is not None
    assert again.reused == "cache"


async def test_typing_through_a_completion_goes_on_in_its_strings(fim: FimModel) -> None:
    _, made = await ask("x = $0\n", ScriptedEngine("Item('banana', 20)\n"), fim)
    assert made is not None
    memory: Memory[Completion] = Memory()
    memory.add(made.shown)
    document, offset = at_cursor("x = Item('ba$0\n")
    again = memory.find(Place(document, offset))
    assert again is not None
    left = await recall(CompletionRequest(document, offset), again, parse=parse_file, settings=Settings())
    assert left is not None
    assert left.text == "nana', 20)"
    switched_off, _ = parse_settings({"completion.enabled": False})
    assert await recall(CompletionRequest(document, offset), again, parse=parse_file, settings=switched_off) is None


async def test_what_was_no_worse_than_a_broken_line_is_looked_at_again_where_typing_has_mended_it(
    fim: FimModel,
) -> None:
    said = "foo(" + ", ".join(f"name_{number}" for number in range(12))
    _, made = await ask("x = $0\n", ScriptedEngine(said, finish_reason="length"), fim)
    assert made is not None
    assert not made.parses
    assert made.text == said
    memory: Memory[Completion] = Memory()
    memory.add(made.shown)

    async def left_at(marked: str) -> str | None:
        document, offset = at_cursor(marked)
        again = memory.find(Place(document, offset))
        assert again is not None
        left = await recall(CompletionRequest(document, offset), again, parse=parse_file, settings=Settings())
        return left.text if left else None

    assert await left_at("x = fo$0\n") == "o", "`x = fo` parses, and with the open bracket it would not"
    assert await left_at("x = foo($0\n") == said.removeprefix("foo(")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("return 1\n    x = 2\n    y = ", "return 1\n    x = 2"),  # whole lines only
        ("return 1 +", None),  # none is whole yet
        ("if a:\n        b = (", None),  # and none that stands alone
    ],
)
async def test_at_the_deadline_whole_lines_are_given_and_the_rest_follows(
    said: str, shown: str | None, fim: FimModel
) -> None:
    document, offset = at_cursor("def f():\n    $0\n")
    engine = ScriptedEngine(said, size=1, stall=True)
    given: list[Completion] = []
    arrived = asyncio.Event()

    def give(completion: Completion) -> None:
        given.append(completion)
        arrived.set()

    request, due = CompletionRequest(document, offset), FirstLines(time.monotonic(), give)
    asked = asyncio.ensure_future(complete(request, Tools(engine, fim, parse_file, Settings()), early=due))
    await engine.stalled.wait()
    if shown is None:
        await asyncio.wait([asked], timeout=0.05)
        assert given == []
    else:
        await arrived.wait()
        assert [(each.text, each.finish_reason) for each in given] == [(shown, "deadline")]
        explained = given[0].explained()
        assert explained["tokens"]["completion"] > 3
        assert explained["timings_ms"]["engine"] >= explained["timings_ms"]["first_token"] > 0
        assert not asked.done()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert engine.closed.is_set()


async def test_an_answer_in_time_comes_once(fim: FimModel) -> None:
    document, offset = at_cursor("def f():\n    $0\n")
    tools = Tools(ScriptedEngine("a = 1\n    return a\n"), fim, parse_file, Settings())
    given: list[Completion] = []
    due = FirstLines(time.monotonic() + 60, given.append)
    [made] = await complete(CompletionRequest(document, offset), tools, early=due)
    assert (made.text, given) == ("a = 1\n    return a", [])


@pytest.mark.parametrize(
    ("least", "invoked", "setting", "shown"),
    [(-0.4, False, "auto", False), (-0.6, False, "auto", True), (-0.4, True, "auto", True), (-0.4, False, "off", True)],
)
async def test_an_unlikely_answer_is_not_worth_showing_unasked(
    least: float, invoked: bool, setting: str, shown: bool, fim: FimModel
) -> None:
    settings, problems = parse_settings({"completion.min_worth": setting})
    assert problems == []
    picky = replace(fim, template=replace(fim.template, min_logprob=least))  # the engine says -0.5
    _, made = await ask("x = $0\n", ScriptedEngine("len(x)\n"), picky, invoked=invoked, settings=settings)
    assert (made is not None) is shown


async def test_an_answer_of_a_letter_is_not_worth_showing_unasked(fim: FimModel) -> None:
    picky = replace(fim, template=replace(fim.template, min_characters=3))
    assert await check("x = $0\n", "1 \n", picky) is None
    assert await check("x = $0\n", "1 \n", picky, invoked=True) == "x = «1»\n"
    assert await check("x = $0\n", "a + b\n", picky) == "x = «a + b»\n"
    settings, _ = parse_settings({"completion.min_worth": "off"})
    _, made = await ask("x = $0\n", ScriptedEngine("1\n"), picky, settings=settings)
    assert made is not None


@dataclass
class Compiler:
    """An own parser: each `!` in a text is an error; `None` where it has no word."""

    silent: bool = False
    asked: list[str] = field(default_factory=list)

    async def faults(self, document: Document, text: str) -> int | None:
        self.asked.append(text)
        return None if self.silent else text.count("!")

    def more(self, document: Document, before: int | None, after: int | None) -> bool:
        return before is not None and after is not None and after > before


@pytest.mark.parametrize(
    ("marked", "said", "silent", "shown"),
    [
        ("# $0\n", "a b", False, "a b"),
        ("x = 1  # $0\n", "a b !", False, "a b"),
        ("x = 1  # $0\n", "! a b", False, None),
        ("x = 1  # !$0\n", " a b !", False, " a b"),
        ("x = 1  # $0\n", "a b !", True, "a b !"),
    ],
)
async def test_a_languages_own_parser_has_the_last_word(
    marked: str, said: str, silent: bool, shown: str | None, fim: FimModel
) -> None:
    document, offset = at_cursor(marked)
    compiler = Compiler(silent)
    tools = Tools(ScriptedEngine(said + "\n"), fim, parse_file, Settings(), own=compiler)
    found = await complete(CompletionRequest(document, offset, invoked=True), tools)
    assert (found[0].text if found else None) == shown
    assert compiler.asked[0] == document.text, "first about the text as it is"


async def test_a_name_that_exists_nowhere_in_reach_is_flagged_in_the_score(fim: FimModel) -> None:
    context = OneSnippet(Snippet("lib.py", 0, 1, "def packed():\n    pass\n"))
    marked = "import os\nx = $0\n"
    for said, unknown in (("os.getcwd()", []), ("packed()", []), ("indexed()", []), ("made_up()", ["made_up"])):
        _, made = await ask(marked, ScriptedEngine(f"{said}\n"), fim, context=context)
        assert made is not None
        explained = made.explained()
        assert explained["unknown_names"] == unknown
        assert explained["score"] == (-1.5 if unknown else -0.5)
        assert explained["mean_logprob"] == -0.5


async def test_a_name_that_exists_nowhere_counts_for_the_minimum_and_for_the_rank(fim: FimModel) -> None:
    picky = replace(fim, template=replace(fim.template, min_logprob=-1.0))
    assert await check("x = $0\n", "made_up()\n", picky) is None
    assert await check("x = $0\n", "len(x)\n", picky) == "x = «len(x)»\n"
    assert await check("x = $0\n", "made_up()\n", picky, invoked=True) == "x = «made_up()»\n"
