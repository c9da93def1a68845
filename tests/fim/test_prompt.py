from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from coderls.document import Document, Snippet
from coderls.fim.model import Budgets, FimModel
from coderls.fim.prompt import Control, Names, Prompt, build_prompt, render
from coderls.fim.templates import CODE_LLAMA, CODESTRAL, PREFIX_ONLY, load_template
from tests.fim.small_tokenizers import QWEN_SPECIAL
from tests.marked_text import at_cursor

BUDGET = Budgets(500, 200, 300)
SNIPPETS = (
    Snippet("pkg/a.py", 3, 5, "def a() -> int: ...\n", "definition"),
    Snippet("pkg/b.py", 0, 1, "B = 1\n", "usage"),
)
EVERY_TOKEN = "".join(QWEN_SPECIAL)


def check(marked: str, model: FimModel, snippets: tuple[Snippet, ...] = (), layout: str = "before") -> str:
    """The prompt for `$0` as text, control tokens in double angle brackets, and what was taken back."""
    document, offset = at_cursor(marked)
    prompt = build_prompt(
        document, offset, model, BUDGET, snippets=snippets, layout=layout, names=Names("pkg/file.py", "repo")
    )
    assert prompt.token_ids is not None
    assert prompt.text is None
    return shown(prompt, model)


def shown(prompt: Prompt, model: FimModel) -> str:
    """Token ids back to text, control tokens marked, then what was taken back before the cursor."""
    assert model.tokenizer is not None
    names = {number: name for name, number in model.tokenizer.special.items()}
    text = b""
    for number in prompt.token_ids or ():
        text += f"<<{names[number]}>>".encode() if number in names else model.tokenizer.token_bytes[number]
    return text.decode() + (f" healed {prompt.required_prefix!r}" if prompt.required_prefix else "")


def test_qwen_file_level(qwen: FimModel) -> None:
    assert check("def f(x):\n    return $0\n\ny = 1\n", qwen) == snapshot("""\
<<<|fim_prefix|>>>def f(x):
    return<<<|fim_suffix|>>>

y = 1
<<<|fim_middle|>>> healed ' '\
""")


def test_qwen_repository_level(qwen: FimModel) -> None:
    assert check("x = $0\n", qwen, SNIPPETS) == snapshot("""\
<<<|repo_name|>>>repo
<<<|file_sep|>>>pkg/a.py
def a() -> int: ...
<<<|file_sep|>>>pkg/b.py
B = 1
<<<|file_sep|>>>pkg/file.py
<<<|fim_prefix|>>>x =<<<|fim_suffix|>>>
<<<|fim_middle|>>> healed ' '\
""")


def test_qwen_after_the_suffix(qwen: FimModel) -> None:
    assert check("x = $0\n", qwen, SNIPPETS, "after-suffix") == snapshot("""\
<<<|fim_prefix|>>>x =<<<|fim_suffix|>>>


# pkg/a.py
def a() -> int: ...

# pkg/b.py
B = 1

<<<|fim_middle|>>> healed ' '\
""")


def test_nano(nano: FimModel) -> None:
    assert check("def f(x):\n    return $0\n\ny = 1\n", nano) == snapshot("""\
<<<issue_start>>>

y = 1
<<<gh_stars>>>def f(x):
    return healed ' '\
""")


def test_nano_with_other_files(nano: FimModel) -> None:
    assert check("x = foo.$0\n", nano, SNIPPETS) == snapshot("""\
<<<issue_start>>>
<<<gh_stars>>># pkg/a.py
def a() -> int: ...

# pkg/b.py
B = 1

# pkg/file.py
x = foo healed '.'\
""")


def test_nano_after_the_suffix(nano: FimModel) -> None:
    assert check("x = foo.$0\n", nano, SNIPPETS, "after-suffix") == snapshot("""\
<<<issue_start>>>


# pkg/a.py
def a() -> int: ...

# pkg/b.py
B = 1

<<<gh_stars>>>x = foo healed '.'\
""")


def test_nano_is_asked_as_it_was_trained(nano: FimModel) -> None:
    document, offset = at_cursor("import os\n\nprint(os.$0)\n")
    prompt = build_prompt(document, offset, replace(nano, features=frozenset()), BUDGET)
    assert nano.tokenizer is not None
    encode = nano.tokenizer.encode
    assert prompt.token_ids == (8, *encode(")\n"), 7, *encode("import os\n\nprint(os."))
    assert prompt.required_prefix == ""


def test_the_parts_say_what_is_in_the_prompt(qwen: FimModel) -> None:
    document, offset = at_cursor("x = 1\ny = $0\nz = 3\n")
    prompt = build_prompt(document, offset, qwen, BUDGET, snippets=SNIPPETS, names=Names("pkg/file.py", "repo"))
    assert [(part.kind, part.path, part.start_line, part.end_line) for part in prompt.parts] == [
        ("definition", "pkg/a.py", 3, 5),
        ("usage", "pkg/b.py", 0, 1),
        ("prefix", "pkg/file.py", 0, 2),
        ("suffix", "pkg/file.py", 1, 3),
    ]
    assert all(part.tokens > 0 for part in prompt.parts)


def test_snippets_beyond_the_budget_are_left_out_least_relevant_first(qwen: FimModel) -> None:
    document, offset = at_cursor("x = $0\n")
    room = qwen.count(SNIPPETS[1].text) + 1
    prompt = build_prompt(document, offset, qwen, Budgets(500, 200, room), snippets=SNIPPETS)
    assert [part.path for part in prompt.parts if part.kind not in ("prefix", "suffix")] == ["pkg/b.py"]


def test_a_file_that_holds_every_control_token_is_plain_text(qwen: FimModel) -> None:
    document, offset = at_cursor(f"a = '{EVERY_TOKEN}'\nb = $0\nc = '{EVERY_TOKEN}'\n")
    snippet = Snippet("x.py", 0, 1, EVERY_TOKEN)
    prompt = build_prompt(document, offset, qwen, Budgets(3000, 3000, 3000), snippets=(snippet,))
    special = set(QWEN_SPECIAL.values())
    assert [number for number in prompt.token_ids or () if number in special] == [
        151664,
        151664,
        151659,
        151661,
        151660,
    ]
    assert shown(prompt, qwen).count(EVERY_TOKEN) == 3


def test_a_file_that_holds_every_control_token_of_nano(nano: FimModel) -> None:
    assert nano.tokenizer is not None
    everything = "".join(nano.tokenizer.special)
    document, offset = at_cursor(f"a = '{everything}'\nb = $0\nc = '{everything}'\n")
    prompt = build_prompt(document, offset, nano, Budgets(3000, 3000, 0))
    special = set(nano.tokenizer.special.values())
    assert [number for number in prompt.token_ids or () if number in special] == [8, 7]


def test_without_a_tokenizer_the_prompt_is_text_and_names_are_defused(qwen: FimModel) -> None:
    document, offset = at_cursor("a = '<|fim_middle|>'\nb = $0\n")
    prompt = build_prompt(document, offset, replace(qwen, tokenizer=None), BUDGET)
    assert prompt.token_ids is None
    assert prompt.required_prefix == ""
    assert prompt.content == snapshot("""\
<|fim_prefix|>a = '< |fim_middle|>'
b = <|fim_suffix|>
<|fim_middle|>\
""")


def test_code_llama_and_codestral_as_text() -> None:
    document, offset = at_cursor("x = $0\n")
    llama = build_prompt(document, offset, FimModel(CODE_LLAMA), BUDGET)
    assert llama.content == "<PRE> x =  <SUF>\n <MID>"
    codestral = build_prompt(document, offset, FimModel(CODESTRAL), BUDGET)
    assert codestral.content == "[SUFFIX]\n[PREFIX]x = "


def test_an_unknown_model_gets_the_prefix_alone() -> None:
    document, offset = at_cursor("x = $0\ny = 2\n")
    prompt = build_prompt(document, offset, FimModel(PREFIX_ONLY), Budgets(500, 0, 100), snippets=SNIPPETS)
    assert prompt.content == "# pkg/a.py\ndef a() -> int: ...\n\n# pkg/b.py\nB = 1\n\n# file.py\nx = "
    assert "suffix" not in [part.kind for part in prompt.parts]


def test_line_ends_are_plain_in_prompts(qwen: FimModel) -> None:
    assert "\r" not in check("a = 1\r\nb = $0\r\nc = 2\r\n", qwen)


@pytest.mark.parametrize(
    ("before", "taken"),
    [
        ("x = foo", "foo"),
        ("def f():\n    ", "\n    "),
        ("x = 1\n", "\n"),
        ("", ""),
        ("x = 1\n    retu", "retu"),
        ("x = self.get_retu", "retu"),
        ("s = '語", "語"),
        ("s = '😀", "😀"),
    ],
)
def test_what_token_healing_takes_back(before: str, taken: str, nano: FimModel) -> None:
    document, offset = at_cursor(before + "$0\n")
    prompt = build_prompt(document, offset, nano, BUDGET)
    assert before.endswith(prompt.required_prefix)
    assert prompt.required_prefix.endswith(taken.strip() or taken)
    assert nano.tokenizer is not None
    ids = prompt.token_ids or ()
    kept = nano.tokenizer.decode(ids[ids.index(7) :])
    assert kept + prompt.required_prefix == before


def test_an_engine_without_the_feature_is_not_asked_to_heal(nano: FimModel) -> None:
    document, offset = at_cursor("x = fo$0\n")
    prompt = build_prompt(document, offset, replace(nano, features=frozenset()), BUDGET)
    assert prompt.required_prefix == ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.text(alphabet="ab_ (.\n\t語😀é", max_size=60), st.text(alphabet="b)\n ", max_size=20))
def test_prompt_and_required_prefix_are_the_text_before_the_cursor(nano: FimModel, before: str, after: str) -> None:
    assert nano.tokenizer is not None
    document = Document("file:///x.py", "python", 1, before + after)
    prompt = build_prompt(document, len(before), nano, BUDGET)
    ids = prompt.token_ids or ()
    assert nano.tokenizer.decode(ids[ids.index(7) :]) + prompt.required_prefix == before


def test_lone_surrogates_do_not_stop_a_prompt(nano: FimModel) -> None:
    document = Document("file:///x.py", "python", 1, "x = '\ud800'\ny = ")
    prompt = build_prompt(document, len(document.text), nano, BUDGET)
    assert prompt.token_ids


def test_rendering_keeps_the_order_of_segments() -> None:
    template = load_template(None, "starcoder2", None)
    assert render([Control("<fim_prefix>"), Control("<fim_middle>")], template) == "<fim_prefix><fim_middle>"
