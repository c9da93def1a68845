from __future__ import annotations

from pathlib import Path

import pytest

from coderls.document import Document
from coderls.fim.anchor import IDLE_S, Anchor, Anchors
from coderls.fim.model import Budgets, FimModel
from coderls.fim.prompt import Prompt, build_prompt
from coderls.fim.templates import QWEN25_CODER
from tests.fim.small_tokenizers import QWEN_SPECIAL, make_tokenizer
from tests.marked_text import at_cursor


@pytest.fixture(scope="module")
def fim(tmp_path_factory: pytest.TempPathFactory) -> FimModel:
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("model"), QWEN_SPECIAL)
    return FimModel(QWEN25_CODER, tokenizer, frozenset({"required_prefix", "token_ids"}), name="qwen")


def place(marked: str) -> tuple[Document, int]:
    return at_cursor(marked)


def prompt(marked: str, fim: FimModel, anchor: Anchor | None = None) -> Prompt:
    document, offset = place(marked)
    return build_prompt(document, offset, fim, Budgets(500, 200, 0), anchor=anchor)


def test_what_was_typed_since() -> None:
    anchor = Anchor.at(*place("a = 1\nx =$0\nb = 2\n"))
    assert anchor.typed(*place("a = 1\nx =$0\nb = 2\n")) == "x ="
    assert anchor.typed(*place("a = 1\nx = foo($0\nb = 2\n")) == "x = foo("
    assert anchor.typed(*place("a = 1\nx = 1\ny$0\nb = 2\n")) == "x = 1\ny"
    assert anchor.typed(*place("a = 1\nx$0\nb = 2\n")) == "x"
    assert anchor.typed(*place("a$0 = 1\nx =\nb = 2\n")) is None  # a jump
    assert anchor.typed(*place("a = 2\nx =$0\nb = 2\n")) is None  # an edit elsewhere
    assert anchor.typed(*place("a = 1\nx = ($0)\nb = 2\n")) is None  # the editor's closer


def test_an_anchor_stays_while_somebody_types_and_no_longer() -> None:
    anchors = Anchors()
    first = anchors.at(*place("a\nx$0\n"), 0.0, len)
    assert anchors.at(*place("a\nxy = 1$0\n"), 5.0, len) == first
    assert anchors.at(*place("a\nxy = 12$0\n"), 6.0 + IDLE_S, len) != first  # a pause
    second = anchors.at(*place("a\nxy = 123$0\n"), 17.0, len)
    assert anchors.at(*place(f"a\nxy = 123{'4' * 80}$0\n"), 18.0, len) != second  # too much
    third = anchors.at(*place("b\nx$0\n"), 19.0, len)
    assert third == Anchor.at(*place("b\nx$0\n"))


def test_a_key_only_appends_to_an_anchored_prompt(fim: FimModel) -> None:
    anchor = Anchor.at(*place("a = 1\nx = $0\nb = 2\n"))
    before = prompt("a = 1\nx = $0\nb = 2\n", fim, anchor)
    after = prompt("a = 1\nx = foo(bar, $0\nb = 2\n", fim, anchor)
    plain = prompt("a = 1\nx = foo(bar, $0\nb = 2\n", fim)
    assert before.token_ids is not None
    assert after.token_ids is not None
    assert plain.token_ids is not None
    assert fim.tokenizer is not None
    assert after.token_ids[: len(before.token_ids)] == before.token_ids
    assert plain.token_ids[: len(before.token_ids)] != before.token_ids
    middle = after.token_ids.index(fim.tokenizer.special_id("<|fim_middle|>") or 0)
    table = fim.tokenizer.token_bytes
    assert b"".join(table[number] for number in after.token_ids[middle + 1 :]).decode() + after.required_prefix == (
        "x = foo(bar, "
    )
    assert [part.kind for part in after.parts] == ["prefix", "suffix", "typed"]


def test_an_anchor_that_does_not_fit_is_not_used(fim: FimModel) -> None:
    anchor = Anchor.at(*place("other\nx$0\n"))
    assert prompt("a = 1\nx = $0\n", fim, anchor) == prompt("a = 1\nx = $0\n", fim)


def test_at_the_start_of_a_line_nothing_is_typed_yet(fim: FimModel) -> None:
    anchor = Anchor.at(*place("a = 1\n$0\n"))
    made = prompt("a = 1\n$0\n", fim, anchor)
    assert made.required_prefix == ""
    assert [part.kind for part in made.parts] == ["prefix", "suffix"]


def test_a_template_says_whether_it_wants_it(tmp_path: Path) -> None:
    from coderls.errors import ModelBroken
    from coderls.fim.templates import read_template

    file = tmp_path / "fim.json"
    file.write_text('{"layout": "prefix-only", "anchored": true}')
    assert read_template(file).anchored
    file.write_text('{"layout": "prefix-only", "anchored": "yes"}')
    with pytest.raises(ModelBroken, match="anchored must be true or false"):
        read_template(file)
