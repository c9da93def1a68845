"""Whatever the document is and whatever the engine says: a completion is a sound edit, or there is none."""

from __future__ import annotations

import ast
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderls.completion import Completion, complete
from coderls.document import Document
from coderls.engine.api import Chunk, GenerationRequest, LocalName
from coderls.fim.model import FimModel
from coderls.fim.reuse import Memory, Place, Shown
from coderls.fim.templates import QWEN25_CODER
from coderls.question import CompletionRequest, Tools, question_at
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings
from tests.fim.small_tokenizers import QWEN_SPECIAL, make_tokenizer
from tests.marked_text import at_cursor


@dataclass
class Says:
    """An engine that sends these pieces."""

    pieces: tuple[str, ...]

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        del request
        for piece in self.pieces:
            yield Chunk(piece)
        yield Chunk("", finish_reason="stop")


@pytest.fixture(scope="session")
def fim(tmp_path_factory: pytest.TempPathFactory) -> FimModel:
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("model"), QWEN_SPECIAL)
    return FimModel(QWEN25_CODER, tokenizer, frozenset({"required_prefix", "token_ids"}), name="qwen")


async def made(document: Document, offset: int, fim: FimModel, *pieces: str) -> Completion | None:
    tools = Tools(Says(pieces), fim, parse_file, Settings())
    found = await complete(CompletionRequest(document, offset, invoked=True), tools)
    return found[0] if found else None


async def check(marked: str, fim: FimModel, *pieces: str, language: str = "python") -> str | None:
    """The document after the completion, or None."""
    document, offset = at_cursor(marked, language)
    completion = await made(document, offset, fim, *pieces)
    if completion is None:
        return None
    return document.text[: completion.start] + completion.text + document.text[completion.end :]


@pytest.mark.parametrize(
    "pieces",
    [
        ("foo<|endoftext|>\nbar\n",),
        ("foo<|fim_", "middle|>bar\n"),
        ("foo", "<|im_end|>"),
        ("foo<|file_sep|>other.py\nx = 1\n",),
        ("foo\0bar\n",),
        ("foo\ufffdbar\n",),
        ("foo\ud83dbar\n",),  # noqa: PT014 - ruff takes it for the one above
    ],
)
async def test_control_tokens_and_broken_characters_end_an_answer(fim: FimModel, pieces: tuple[str, ...]) -> None:
    foreign = replace(fim, tokenizer=None, features=frozenset())
    assert await check("x = $0\n", foreign, *pieces) == "x = foo\n"


async def test_halves_of_a_character_are_put_together(fim: FimModel) -> None:
    assert await check("x = $0\n", fim, "'\ud83d", "\ude00'\n") == "x = '😀'\n"
    assert await check("x = $0\n", fim, "foo\ud83d") == "x = foo\n", "nothing came of the other half"


async def test_who_works_on_control_tokens_gets_them_completed(fim: FimModel) -> None:
    marked = 'END = "<|endoftext|>"\nstops = [$0\n'
    assert await check(marked, fim, '"<|endoftext|>"]\n') == 'END = "<|endoftext|>"\nstops = ["<|endoftext|>"]\n'


@pytest.mark.parametrize("typed", ["    ", "    x", ""])
async def test_what_is_blended_in_is_looked_for_with_the_line_ends_of_prompts(fim: FimModel, typed: str) -> None:
    blending = replace(fim, features=fim.features | {"local"})
    tools = Tools(Says(()), blending, parse_file, Settings(), local=LocalName())
    found = []
    for end in ("\n", "\r\n", "\r"):
        document, offset = at_cursor(f"import os\ndef go():\n{typed}$0\n".replace("\n", end), "python")
        question = await question_at(CompletionRequest(document, offset, invoked=True), tools)
        assert question is not None
        found.append((question.asked.before, question.prompt.required_prefix))
    before, required = found[0]
    assert found == [found[0]] * 3
    assert f"import os\ndef go():\n{typed}" == fim.tokenizer.decode(before) + required  # type: ignore[union-attr]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
async def test_line_ends_are_those_of_the_lines_around(fim: FimModel, end: str) -> None:
    marked = f"import os{end}{end}def f(a):{end}    $0{end}"
    after = await check(marked, fim, "if a:\n        return 1\n    return 2\n")
    assert after == f"import os{end}{end}def f(a):{end}    if a:{end}        return 1{end}    return 2{end}"


async def test_mixed_line_ends_stay_as_they_are(fim: FimModel) -> None:
    after = await check("a = 1\r\nb = 2\nc = 3\r\ndef f(a):\r\n    $0\nd = 4\r", fim, "a = 1\n    return a\n")
    assert after == "a = 1\r\nb = 2\nc = 3\r\ndef f(a):\r\n    a = 1\r\n    return a\nd = 4\r"


async def test_tabs_are_answered_with_tabs(fim: FimModel) -> None:
    marked = "def f(a):\n\tif a:\n\t\t$0\n\treturn 2\n"
    after = await check(marked, fim, "for b in a:\n            print(b)\n")
    assert after is not None
    assert "\t\tfor b in a:\n\t\t\tprint(b)\n" in after
    ast.parse(after)


@pytest.mark.parametrize("language", ["python", "javascript", "json", "plaintext", "css"])
async def test_very_long_lines_and_minified_files_are_answered_in_bounded_time(fim: FimModel, language: str) -> None:
    line = "x=[" + ",".join(f"f({number},'a')" for number in range(2_000)) + "];"
    assert len(line) > 20_000
    for text in (line + "$0", line[:10_000] + "$0" + line[10_000:], (line + "\n") * 20 + "$0"):
        document, offset = at_cursor(text, language)
        began = time.process_time()
        completion = await made(document, offset, fim, "y;\n")
        assert time.process_time() - began < 20
        if completion is not None:
            assert completion.start <= offset <= completion.end


#: Lines that are hard to read: quotes, brackets and comments that nobody closes.
HOSTILE = ("'" * 30_000, '"""' * 10_000, "(" * 30_000, "/*" * 15_000, "`${" * 10_000, "\\" * 30_000, "#" * 30_000)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("language", ["python", "typescript"])
async def test_hostile_text_does_not_hold_the_event_loop(fim: FimModel, text: str, language: str) -> None:
    document, offset = at_cursor(f"{text} $0\n", language)
    tools = Tools(Says(("x\n",)), fim, parse_file, Settings())
    asked = complete(CompletionRequest(document, offset), tools)  # automatic: whether it is in a string is looked at
    assert isinstance(await asked, list)


@pytest.mark.parametrize(
    "marked",
    [
        'def f(a, b):\n    """Return $0 of both."""\n    return a\n',
        'def f(a, b):\n    """Both.\n\n    Return $0 of both.\n    """\n    return a\n',
        "def f(a, b):\n    '''Return $0'''\n    return a\n",
    ],
)
async def test_a_docstring_that_is_completed_in_mid_line_has_no_stray_quotes(fim: FimModel, marked: str) -> None:
    quote = "'''" if "'''" in marked else '"""'
    for said in (f"the sum.{quote}\n    return a + b\n", f"the sum of both.{quote}\n", f"the sum.\n    {quote}\n"):
        after = await check(marked, fim, said)
        before, _, rest = marked.partition("$0")
        if after is not None:
            inserted = after[len(before) : len(after) - len(rest)]
            assert quote[:2] not in inserted, (said, after)
            ast.parse(after)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_any_answer_in_any_document_is_a_sound_edit(fim: FimModel, data: st.DataObject) -> None:
    letters = st.text(st.sampled_from("ab(){}[]\"'`#/*:=,.\\ \t\r\n😀é\0\ufffd"), max_size=60)
    text = data.draw(letters)
    offset = data.draw(st.integers(0, len(text)))
    language = data.draw(st.sampled_from(["python", "javascript", "go", "yaml", "unknown"]))
    document = Document("file:///a.txt", language, 1, text)
    said = data.draw(st.lists(letters, max_size=6))
    completion = await made(document, offset, fim, *said)
    if completion is None:
        return
    assert 0 <= completion.start <= offset <= completion.end <= len(text)
    assert completion.text.strip() or completion.end > completion.start
    assert not set("\0\ufffd") & set(completion.text)
    completion.text.encode()


def test_what_is_remembered_of_huge_documents_is_bounded() -> None:
    memory: Memory[str] = Memory()
    base = Document("file:///a.py", "python", 1, "x" * 3_000_000 + "\n")
    for number in range(20):
        document = replace(base, version=number, text=base.text + str(number), uri=f"file:///{number % 3}.py")
        memory.add(Shown(document, len(document.text), len(document.text), f"made{number}", f"made{number}"))
        assert memory._characters() <= 16_000_000
    last = replace(document, text=document.text + "ma")
    found = memory.find(Place(last, len(last.text)))
    assert found is not None
    assert found.text == "de19", "the newest is always there"
    alone = replace(base, text="x" * 20_000_000, uri="file:///huge.py")
    memory.add(Shown(alone, 5, 5, "made", "made"))
    assert memory.find(Place(replace(alone, text=alone.text[:5] + "ma" + alone.text[5:]), 7)) is not None
