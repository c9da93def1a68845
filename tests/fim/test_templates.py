from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coderls.errors import ModelBroken
from coderls.fim.model import FimModel
from coderls.fim.templates import FimTemplate, load_template
from tests.fim.small_tokenizers import (
    CODESTRAL_SPECIAL,
    DEEPSEEK_SPECIAL,
    QWEN_SPECIAL,
    STARCODER_SPECIAL,
    make_tokenizer,
)


def write(folder: Path, **content: Any) -> Path:
    folder.joinpath("fim.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_qwen_by_its_control_tokens_whatever_its_name(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path, QWEN_SPECIAL)
    template = load_template(None, "my-finetune", tokenizer)
    assert template.name == "Qwen2.5-Coder"
    ids = [tokenizer.special_id(name) for name in (template.prefix, template.middle, template.suffix)]
    assert ids == [151659, 151660, 151661]
    assert [tokenizer.special_id(name) for name in (template.repo_name, template.file_sep)] == [151663, 151664]
    assert set(template.stop_ids(tokenizer)) == {151643, 151645, 151659, 151661, 151662, 151663, 151664}


@pytest.mark.parametrize(
    ("special", "name", "expected"),
    [
        (STARCODER_SPECIAL, "starcoder2-3b", "StarCoder2"),
        (STARCODER_SPECIAL, "granite-3b-code-base", "Granite-Code"),
        (STARCODER_SPECIAL, "unknown", "StarCoder2"),
        (DEEPSEEK_SPECIAL, "unknown", "DeepSeek-Coder"),
        (CODESTRAL_SPECIAL, "unknown", "Codestral"),
        ({"<|endoftext|>": 0}, "qwen2.5-coder-7b", "prefix only"),
    ],
)
def test_table_rows_need_their_tokens(special: dict[str, int], name: str, expected: str, tmp_path: Path) -> None:
    assert load_template(None, name, make_tokenizer(tmp_path, special)).name == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen2.5-Coder-7B", "Qwen2.5-Coder"),
        ("codellama/CodeLlama-7b-hf", "CodeLlama"),
        ("mistralai/Codestral-22B-v0.1", "Codestral"),
        ("ibm-granite/granite-3.3-8b-base", "Granite"),
        ("some-model", "prefix only"),
    ],
)
def test_without_a_tokenizer_the_name_decides(name: str, expected: str) -> None:
    template = load_template(None, name, None)
    assert template.name == expected
    assert bool(template.note) == (expected == "prefix only")


def test_fim_json_wins_over_the_table(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path, QWEN_SPECIAL)
    folder = write(
        tmp_path,
        layout="suffix-prefix-middle",
        prefix="<|fim_prefix|>",
        suffix="<|fim_suffix|>",
        stop=["<|endoftext|>"],
        prefix_tokens=77,
    )
    template = load_template(folder, "Qwen2.5-Coder-7B", tokenizer)
    assert (template.name, template.suffix_first, template.prefix_tokens) == ("fim.json", True, 77)
    assert template.stop_ids(tokenizer) == (151643,)


def test_embedded_model(nano: FimModel) -> None:
    assert nano.tokenizer is not None
    template = nano.template
    assert (template.layout, template.repository) == ("suffix-prefix-middle", "comments")
    assert [nano.tokenizer.special_id(name) for name in (template.suffix, template.prefix)] == [8, 7]
    assert 0 in template.stop_ids(nano.tokenizer)
    assert (template.min_logprob, template.min_characters) == (-1.4, 3), "measured"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({}, "layout must be one of"),
        ({"layout": "sideways"}, "layout must be one of"),
        ({"layout": "suffix-prefix-middle", "prefix": "<a>"}, "needs the control tokens prefix and suffix"),
        ({"layout": "prefix-suffix-middle", "prefix": "<a>", "suffix": "<b>"}, "needs the control token middle"),
        ({"layout": "prefix-only", "repository": "tokens"}, "needs the control token file_sep"),
        ({"layout": "prefix-only", "repository": "all"}, "repository must be one of"),
        ({"layout": "prefix-only", "prefix_tokens": -1}, "prefix_tokens must be a whole number"),
        ({"layout": "prefix-only", "stop": "x"}, "stop must be a list of strings"),
        ({"layout": "prefix-only", "begin": 1}, "begin must be a string"),
        ({"layout": "prefix-only", "colour": "red"}, "there is no field 'colour'"),
    ],
)
def test_a_fim_json_that_cannot_be_used_says_why(content: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=complaint):
        load_template(write(tmp_path, **content), "x", None)


def test_a_fim_json_that_is_no_json(tmp_path: Path) -> None:
    tmp_path.joinpath("fim.json").write_text("[1", encoding="utf-8")
    with pytest.raises(ModelBroken, match="cannot be read"):
        load_template(tmp_path, "x", None)


def test_control_tokens_that_the_tokenizer_lacks_are_named(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path, {"<|endoftext|>": 0})
    folder = write(tmp_path, layout="suffix-prefix-middle", prefix="<p>", suffix="<s>")
    with pytest.raises(ModelBroken, match="<p>, <s>"):
        load_template(folder, "x", tokenizer)


def test_marks_are_named_once() -> None:
    template = FimTemplate(prefix="<a>", suffix="<b>", middle="<a>")
    assert template.marks == ("<a>", "<b>")
