from __future__ import annotations

from dataclasses import replace

import pytest

from coderls.document import Snippet
from coderls.fim.backdrop import Backdrop
from coderls.fim.model import BACKDROP_SPEED, BackdropPlan, Budgets, FimModel, backdrop_plan, budgets
from coderls.fim.prompt import Names, Prompt, build_prompt, make_backdrop
from coderls.fim.templates import CODESTRAL, QWEN25_CODER, FimTemplate
from coderls.settings import CompletionSettings, ContextSettings
from tests.marked_text import at_cursor

BUDGET = Budgets(500, 200, 300)
PLAN = BackdropPlan(1_000, 2_000)
FILES = (
    Snippet("pkg/far.py", 0, 1, "def far(): ...\n", "repository"),
    Snippet("pkg/near.py", 0, 1, "def near() -> int: ...\n", "repository"),
)
FOUND = (Snippet("pkg/found.py", 3, 4, "def found(): ...\n", "import"),)
COMMENTS = FimTemplate(
    layout="prefix-suffix-middle",
    prefix="<|fim_prefix|>",
    suffix="<|fim_suffix|>",
    middle="<|fim_middle|>",
    repository="comments",
    context_length=32_768,
)


@pytest.fixture
def models(qwen: FimModel) -> list[FimModel]:
    """One whose files stand before the prefix, and one whose files are its beginning."""
    features = qwen.features | {"least_cached"}
    return [replace(qwen, features=features), replace(qwen, template=COMMENTS, features=features)]


def prompt_of(model: FimModel, backdrop: Backdrop | None, found: tuple[Snippet, ...], marked: str) -> Prompt:
    document, offset = at_cursor(marked)
    names = Names("pkg/file.py", "repo")
    return build_prompt(document, offset, model, BUDGET, snippets=found, names=names, backdrop=backdrop)


@pytest.mark.parametrize("found", [(), FOUND], ids=["alone", "with snippets"])
def test_a_prompt_with_a_backdrop_says_what_one_with_all_snippets_would(
    models: list[FimModel], found: tuple[Snippet, ...]
) -> None:
    for model in models:
        backdrop = make_backdrop(FILES, model, PLAN, repo_name="repo", language_id="python")
        assert backdrop is not None
        assert model.tokenizer is not None
        behind = prompt_of(model, backdrop, found, "x = $0\n")
        plain = prompt_of(model, None, (*FILES, *found), "x = $0\n")
        assert behind.token_ids is not None
        assert plain.token_ids is not None
        names = {number: name.encode() for name, number in model.tokenizer.special.items()}
        texts = [
            b"".join(names.get(token) or model.tokenizer.token_bytes[token] for token in ids)
            for ids in ((*backdrop.beginning.ids, *behind.token_ids), plain.token_ids)
        ]
        assert texts[0] == texts[1]
        assert [part.path for part in behind.parts] == [part.path for part in plain.parts]


def test_a_key_or_another_snippet_moves_nothing_of_the_backdrop(models: list[FimModel]) -> None:
    for model in models:
        backdrop = make_backdrop(FILES, model, PLAN, repo_name="repo", language_id="python")
        assert backdrop is not None
        prompts = [
            prompt_of(model, backdrop, found, text)
            for found, text in [((), "x = $0\n"), (FOUND, "x = f$0\n"), ((), "other$0")]
        ]
        assert all(prompt.parts[: len(backdrop.parts)] == backdrop.parts for prompt in prompts)
        assert all(0 < len(prompt.content) < 100 for prompt in prompts)  # what stands behind it, and no more


def test_one_that_is_longer_than_planned_is_none(models: list[FimModel]) -> None:
    long = [Snippet("a.py", 0, 1, "word " * 3_000, "repository")]
    assert make_backdrop(long, models[0], PLAN) is None
    assert make_backdrop((), models[0], PLAN) is None


def test_it_takes_what_the_rest_of_a_prompt_leaves_of_the_context(models: list[FimModel]) -> None:
    model = replace(models[0], context_length=16_384, prefill_tokens_per_s=50_000.0)
    completion, context = CompletionSettings(), ContextSettings()
    plan, budget = backdrop_plan(model, completion, context), budgets(model, completion, context)
    assert plan is not None
    assert plan.room == 16_384
    assert plan.tokens + budget.prefix + budget.suffix + budget.context + completion.max_tokens < plan.room


def test_an_engine_is_not_given_more_than_it_reads_in_a_while(models: list[FimModel]) -> None:
    model = replace(models[0], context_length=1 << 20, prefill_tokens_per_s=BACKDROP_SPEED)
    plan = backdrop_plan(model, CompletionSettings(), ContextSettings())
    assert plan is not None
    assert plan.tokens <= BACKDROP_SPEED * 60
    assert plan.room < 1 << 20


@pytest.mark.parametrize(
    ("wanted", "speed", "there"),
    [("auto", 50_000.0, True), ("auto", 900.0, False), ("on", 900.0, True), ("off", 50_000.0, False)],
)
def test_the_setting_and_the_engines_speed_decide(
    models: list[FimModel], wanted: str, speed: float, there: bool
) -> None:
    model = replace(models[0], context_length=32_768, prefill_tokens_per_s=speed)
    assert (backdrop_plan(model, CompletionSettings(), ContextSettings(whole=wanted)) is not None) == there


def test_there_is_none_where_it_could_not_stay_in_the_cache(qwen: FimModel, nano: FimModel) -> None:
    on = ContextSettings(whole="on")
    foreign = replace(qwen, context_length=32_768)  # it does not say at once what it has no more
    first = frozenset({"least_cached"})
    suffix_first = replace(nano, context_length=32_768, features=first)
    codestral = replace(qwen, template=CODESTRAL, context_length=32_768, features=first)
    text = FimModel(QWEN25_CODER, None, first, 32_768)
    for model in (foreign, suffix_first, codestral, text):
        assert backdrop_plan(model, CompletionSettings(), on) is None
    good = replace(foreign, features=first)
    assert backdrop_plan(good, CompletionSettings(), on) is not None
    for context in (replace(on, enabled=False), replace(on, layout="after-suffix")):
        assert backdrop_plan(good, CompletionSettings(), context) is None
    assert backdrop_plan(replace(good, context_length=4_096), CompletionSettings(), on) is None
