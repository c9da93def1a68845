"""Options become settings: each good one is used, each bad one is named, nothing raises."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderls.settings import OPTIONS, Settings, parse_settings


def test_no_options_are_the_defaults() -> None:
    assert parse_settings(None) == (Settings(), [])
    assert parse_settings({}) == (Settings(), [])


def test_every_setting_has_an_option_whose_default_passes_its_check() -> None:
    keys = {
        f"{part.name}.{inner.name}" for part in fields(Settings) for inner in fields(getattr(Settings(), part.name))
    }
    assert keys == {option.key for option in OPTIONS}
    for option in OPTIONS:
        section, name = option.key.split(".")
        default = getattr(getattr(Settings(), section), name)
        assert option.check(default) == default


@pytest.mark.parametrize(
    "options",
    [
        {"engine": {"model": "big"}, "completion": {"max_tokens": 7}},
        {"engine.model": "big", "completion.max_tokens": 7.0},
        {"engine": {"model": "big", "url": None}, "completion.max_tokens": 7, "context": {}},
    ],
)
def test_nested_and_dotted_options(options: dict[str, Any]) -> None:
    found, problems = parse_settings(options)
    assert problems == []
    assert (found.engine.model, found.completion.max_tokens) == ("big", 7)
    assert isinstance(found.completion.max_tokens, int)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("engine.model", 3),
        ("engine.url", "ftp://x"),
        ("engine.device", "tpu"),
        ("engine.device", ["cpu"]),
        ("engine.threads", -1),
        ("engine.threads", True),
        ("engine.dtype", "int4"),
        ("engine.context_length", -1),
        ("engine.memory_gb", "all"),
        ("engine.gpu_memory_gb", -2),
        ("engine.gpu_memory_gb", float("nan")),
        ("engine.idle_exit_s", float("nan")),
        ("completion.enabled", "yes"),
        ("completion.max_tokens", 0),
        ("completion.max_tokens", 1.5),
        ("completion.max_tokens", float("inf")),
        ("completion.colour", "red"),
        ("completion", 3),
        ("completion.multiline.deeper", 1),
    ],
)
def test_a_bad_option_is_named_and_the_others_are_used(key: str, value: Any) -> None:
    found, [problem] = parse_settings({key: value, "context.tokens": 5})
    assert problem.option == key
    assert key in problem.message
    assert found.context.tokens == 5
    assert parse_settings({"context.tokens": 5})[0] == found


def test_what_was_set_before_stays_when_the_new_value_is_bad() -> None:
    base, _ = parse_settings({"completion.max_tokens": 9})
    found, [problem] = parse_settings({"completion.max_tokens": "many"}, base)
    assert found.completion.max_tokens == 9
    assert "9 is used" in problem.message


def test_a_token_is_never_repeated() -> None:
    base, _ = parse_settings({"engine.token": "secret-1"})
    _, [problem] = parse_settings({"engine.token": ["secret-2"]}, base)
    assert "secret" not in problem.message


def test_options_of_the_editor_itself_are_left_to_it() -> None:
    assert parse_settings({"trace": {"server": "verbose"}}) == (Settings(), [])


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_nothing_raises(options: Any) -> None:
    found, problems = parse_settings(options)
    assert found == Settings()
    assert all(problem.message for problem in problems)


def test_an_option_with_a_slip_is_told_what_was_probably_meant():
    _, problems = parse_settings({"engine": {"modle": "x"}, "colour": "red"})
    assert [problem.what for problem in problems] == [
        "There is no option 'engine.modle': perhaps 'engine.model' was meant",
        "There is no option 'colour'",
    ]
