from __future__ import annotations

from dataclasses import replace

import pytest

from coderls.fim.model import COLD_PROMPT_S, LEAST_TOKENS, Budgets, FimModel, budgets
from coderls.fim.templates import PREFIX_ONLY, QWEN25_CODER, FimTemplate
from coderls.settings import CompletionSettings, ContextSettings
from coderls.tokenizer import Tokenizer

TEMPLATE = FimTemplate(
    layout="prefix-suffix-middle",
    repository="comments",
    context_length=8192,
    prefix_tokens=600,
    suffix_tokens=250,
    context_tokens=200,
)
MODEL = FimModel(TEMPLATE)


def check(model: FimModel = MODEL, context: ContextSettings | None = None, **completion: int) -> Budgets:
    return budgets(model, CompletionSettings(**completion), context or ContextSettings())


def test_the_templates_budgets_by_default() -> None:
    assert check() == Budgets(600, 250, 200)


def test_a_slow_engine_gets_shorter_prompts_in_the_same_proportion() -> None:
    budget = check(replace(MODEL, prefill_tokens_per_s=1300.0))
    assert 1300 * COLD_PROMPT_S - 10 <= budget.prefix + budget.suffix + budget.context <= 1300 * COLD_PROMPT_S
    assert budget.prefix > budget.suffix > budget.context > 0


def test_a_very_slow_engine_still_gets_a_prompt() -> None:
    budget = check(replace(MODEL, prefill_tokens_per_s=20.0))
    assert LEAST_TOKENS - 3 <= budget.prefix + budget.suffix + budget.context <= LEAST_TOKENS


def test_what_the_user_sets_stays() -> None:
    budget = check(replace(MODEL, prefill_tokens_per_s=1300.0), prefix_tokens=900)
    assert budget.prefix == 900


def test_the_engines_context_bounds_everything() -> None:
    budget = check(replace(MODEL, context_length=512), prefix_tokens=4000, suffix_tokens=4000, max_tokens=64)
    assert budget.prefix + budget.suffix + budget.context + 64 <= 512
    assert min(budget.prefix, budget.suffix) > 0


def test_without_context_its_share_goes_to_the_prefix() -> None:
    assert check(context=ContextSettings(enabled=False)) == Budgets(800, 250, 0)
    assert check(FimModel(replace(TEMPLATE, repository="none"))) == Budgets(800, 250, 0)
    assert check(context=ContextSettings(enabled=False), prefix_tokens=100) == Budgets(100, 250, 0)


def test_prefix_only_has_no_suffix() -> None:
    assert check(FimModel(PREFIX_ONLY)).suffix == 0


def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What tokenizers encode from now on."""
    encoded: list[str] = []
    encode = Tokenizer.encode

    def noting(self: Tokenizer, text: str) -> list[int]:
        encoded.append(text)
        return encode(self, text)

    monkeypatch.setattr(Tokenizer, "encode", noting)
    return encoded


def test_only_new_lines_are_encoded(nano: FimModel, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = noted(monkeypatch)
    lines = [f"only_here_{number:03} = {'x' * (number % 4)}y" for number in range(200)]
    text = "\n".join(lines)
    nano.encode(text)
    assert sum(map(len, encoded)) == len(text)
    encoded.clear()
    more, inner = nano.encode(f"{text}y"), nano.encode("\n".join(lines[40:150]))
    assert sum(map(len, encoded)) < 400
    assert nano.tokenizer is not None
    assert list(more) == nano.tokenizer.encode(f"{text}y")
    assert list(inner) == nano.tokenizer.encode("\n".join(lines[40:150]))


def test_lines_of_a_document_are_encoded_ahead(nano: FimModel, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"line_of_its_own_{number:03} = {'x' * (number % 4)}y" for number in range(200)]
    text = "\n".join([*lines, "x" * 20_000, "some_longest_name = 1"])
    nano.get_ready(text)
    encoded = noted(monkeypatch)
    nano.encode("\n".join(lines[40:150]))
    assert sum(map(len, encoded)) < 400  # the ends, where it is cut elsewhere
    encoded.clear()
    nano.get_ready(text)
    nano.get_ready("y" * 1_000_000)
    assert not encoded
    FimModel(QWEN25_CODER).get_ready(text)  # without a tokenizer there is nothing to do


def test_estimates_are_not_exact_and_not_too_low() -> None:
    model = FimModel(QWEN25_CODER)
    assert not model.exact
    assert model.count("") == 0
    assert model.count("x" * 300) == 100
    assert model.count("語") == 1
    with pytest.raises(ValueError, match="tokenizer"):
        model.encode("x")
