"""How each family of models wants fill-in-the-middle to be asked: `fim.json`, and a table for models without one.

A model directory may hold a `fim.json`, which wins over the table below. Its fields, all but `layout` optional:

    {
      "name": "nano",                       shown to the user; default: "fim.json"
      "layout": "suffix-prefix-middle",     the order of the parts, see LAYOUTS
      "begin": "",                          control token before everything (begin of text)
      "prefix": "<gh_stars>",               control token right before the prefix text
      "suffix": "<issue_start>",            control token right before the suffix text
      "middle": "",                         control token right before the middle; "" for none
      "repo_name": "",                      control token before the repository's name
      "file_sep": "",                       control token before each file's path
      "stop": ["<|endoftext|>"],            control tokens that end the middle
      "repository": "comments",             how code of other files goes in, see REPOSITORY
      "as_text": {},                        token name -> how to write it for an engine that tokenizes by itself
      "context_length": 8192,               tokens, prompt and completion together; 0: as the engine says
      "prefix_tokens": 600,                 default budgets in tokens
      "suffix_tokens": 250,
      "context_tokens": 200,
      "anchored": false,                    prefix first only: what is typed goes after the middle mark (see anchor.py)
      "min_logprob": 0,                     automatic answers of a lower mean log-probability are not shown; 0: none
      "min_characters": 0,                  automatic answers with fewer characters (blanks are none) are not shown
      "note": ""                            a sentence for the user, where the template is a makeshift
    }

LAYOUTS
    "prefix-suffix-middle"   begin, prefix token, prefix, suffix token, suffix, middle token
    "suffix-prefix-middle"   begin, suffix token, suffix, prefix token, prefix, middle token: typing only appends
    "prefix-only"            begin, prefix: for models that never saw fill-in-the-middle

REPOSITORY
    "tokens"     by the repo_name and file_sep tokens before the prefix token
    "comments"   as plain code under a comment that names the file, at the start of the prefix text
    "none"       not at all

Token names must be in the model's tokenizer.json; a name that is not raises ModelBroken when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from coderls.errors import ModelBroken
from coderls.tokenizer import Tokenizer

LAYOUTS = ("prefix-suffix-middle", "suffix-prefix-middle", "prefix-only")
REPOSITORY = ("tokens", "comments", "none")


@dataclass(frozen=True)
class FimTemplate:
    """One way of asking for a middle; the fields are those of `fim.json`.

    `note` is a sentence for the user where the template is a makeshift, else empty.
    """

    name: str = "fim.json"
    layout: str = "prefix-only"
    begin: str = ""
    prefix: str = ""
    suffix: str = ""
    middle: str = ""
    repo_name: str = ""
    file_sep: str = ""
    stop: tuple[str, ...] = ()
    repository: str = "none"
    as_text: Mapping[str, str] = field(default_factory=dict)
    context_length: int = 0
    prefix_tokens: int = 1500
    suffix_tokens: int = 500
    context_tokens: int = 2000
    anchored: bool = False
    min_logprob: float = 0.0
    min_characters: int = 0
    note: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the control tokens that this template writes into prompts."""
        names = (self.begin, self.prefix, self.suffix, self.middle, self.repo_name, self.file_sep)
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def suffix_first(self) -> bool:
        """Whether the prefix is the last text of the prompt, so that a keystroke only appends."""
        return self.layout == "suffix-prefix-middle"

    @property
    def ends_with_prefix(self) -> bool:
        """Whether the last tokens of a prompt are those before the cursor."""
        return not self.middle and self.layout != "prefix-suffix-middle"

    def written(self, name: str) -> str:
        """How control token `name` is written for an engine that tokenizes by itself."""
        return self.as_text.get(name, name)

    def stop_ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Ids of the stop tokens that the tokenizer has."""
        found = (tokenizer.special_id(name) for name in self.stop)
        return tuple(number for number in found if number is not None)

    def missing(self, tokenizer: Tokenizer) -> list[str]:
        """Names of this template's control tokens that the tokenizer lacks."""
        return [name for name in self.marks if tokenizer.special_id(name) is None]


_STARCODER: dict[str, Any] = {
    "layout": "prefix-suffix-middle",
    "prefix": "<fim_prefix>",
    "suffix": "<fim_suffix>",
    "middle": "<fim_middle>",
    "stop": (
        "<|endoftext|>", "<file_sep>", "<repo_name>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<fim_pad>",
    ),
}  # fmt: skip

QWEN25_CODER = FimTemplate(
    name="Qwen2.5-Coder",
    layout="prefix-suffix-middle",
    prefix="<|fim_prefix|>",  # 151659
    suffix="<|fim_suffix|>",  # 151661
    middle="<|fim_middle|>",  # 151660
    repo_name="<|repo_name|>",  # 151663
    file_sep="<|file_sep|>",  # 151664
    # 151643, 151645, 151659, 151661, 151662, 151663, 151664: leave one out and the output runs on.
    stop=(
        "<|endoftext|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
        "<|file_sep|>",
    ),
    repository="tokens",
    context_length=32768,
)  # fmt: skip

STARCODER2 = FimTemplate(
    name="StarCoder2",
    repo_name="<repo_name>",
    file_sep="<file_sep>",
    repository="tokens",
    context_length=16384,
    **_STARCODER,
)

GRANITE_CODE = FimTemplate(name="Granite-Code", repository="comments", context_length=8192, **_STARCODER)

GRANITE = FimTemplate(
    name="Granite",
    layout="prefix-suffix-middle",
    prefix="<|fim_prefix|>",
    suffix="<|fim_suffix|>",
    middle="<|fim_middle|>",
    stop=("<|end_of_text|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>"),
    repository="comments",
)

CODE_LLAMA = FimTemplate(
    name="CodeLlama",
    layout="prefix-suffix-middle",
    begin="<s>",
    prefix="▁<PRE>",
    suffix="▁<SUF>",
    middle="▁<MID>",
    stop=("▁<EOT>", "</s>"),
    repository="comments",
    # Engines put begin-of-text before a text prompt by themselves.
    as_text={"<s>": "", "▁<PRE>": "<PRE> ", "▁<SUF>": " <SUF>", "▁<MID>": " <MID>", "▁<EOT>": "<EOT>"},
    context_length=16384,
)

DEEPSEEK_CODER = FimTemplate(
    name="DeepSeek-Coder",
    layout="prefix-suffix-middle",
    begin="<｜begin▁of▁sentence｜>",
    prefix="<｜fim▁begin｜>",
    suffix="<｜fim▁hole｜>",
    middle="<｜fim▁end｜>",
    stop=("<｜end▁of▁sentence｜>", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<|EOT|>"),
    repository="comments",
    as_text={"<｜begin▁of▁sentence｜>": ""},
    context_length=16384,
)

CODESTRAL = FimTemplate(
    name="Codestral",
    layout="suffix-prefix-middle",
    begin="<s>",
    prefix="[PREFIX]",
    suffix="[SUFFIX]",
    stop=("</s>", "[PREFIX]", "[SUFFIX]", "[MIDDLE]"),
    repository="comments",
    as_text={"<s>": ""},
    context_length=32768,
)

PREFIX_ONLY = FimTemplate(
    name="prefix only",
    layout="prefix-only",
    stop=("<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "</s>"),
    repository="comments",
    note="This model is not known to fill in the middle: completions are made from the text before the cursor alone.",
)

#: (what is in the model's name, in lower case; its template). The first match wins.
TABLE: tuple[tuple[tuple[str, ...], FimTemplate], ...] = (
    (("qwen2.5-coder", "qwen2.5coder", "qwen3-coder", "codeqwen1.5"), QWEN25_CODER),
    (("starcoder2", "starcoder-2"), STARCODER2),
    (("granite-code", "granite-3b-code", "granite-8b-code", "granite-20b-code", "granite-34b-code"), GRANITE_CODE),
    (("granite",), GRANITE),
    (("codellama", "code-llama"), CODE_LLAMA),
    (("deepseek-coder", "deepseekcoder"), DEEPSEEK_CODER),
    (("codestral",), CODESTRAL),
)


#: Mean log-probability and length, measured by `python -m benchmarks.keystroke judged` (BENCHMARKS.md): of 44 answers
#: below the one a single one was right, and none of the 16 shorter than the other; of the next longer every second.
_MEASURED = {"nano": (-1.4, 3)}


def load_template(model_path: Path | None, model_name: str, tokenizer: Tokenizer | None) -> FimTemplate:
    """The template of a model: its `fim.json`, else the table's row for its name, else for its control tokens.

    Without a tokenizer the name decides alone. A model that fits nothing gets `PREFIX_ONLY`, whose `note` says so.
    Raises ModelBroken for a `fim.json` that cannot be used.
    """
    file = None if model_path is None else model_path / "fim.json"
    if file is not None and file.is_file():
        template = read_template(file)
        missing = [] if tokenizer is None else template.missing(tokenizer)
        if missing:
            raise ModelBroken(
                f"{file} names control tokens that the model's tokenizer does not have: {', '.join(missing)}.",
                "Correct the names, or remove the file to use the built-in table.",
            )
        logprob, characters = _MEASURED.get(template.name, (0.0, 0))
        return replace(
            template,
            min_logprob=template.min_logprob or logprob,
            min_characters=template.min_characters or characters,
        )
    named = [template for names, template in TABLE if any(name in model_name.lower() for name in names)]
    if tokenizer is None:
        return named[0] if named else PREFIX_ONLY
    for template in (*named, *(row for _, row in TABLE)):
        if not template.missing(tokenizer):
            return template
    return PREFIX_ONLY


def read_template(file: Path) -> FimTemplate:
    """Read and check a `fim.json`. Raises ModelBroken that says which field is wrong."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{file} cannot be read: {error}.", "Correct it, or remove it.") from error
    if not isinstance(raw, dict):
        raise ModelBroken(f"{file} holds no JSON object.", "Correct it, or remove it.")
    try:
        return _checked(raw)
    except ValueError as error:
        raise ModelBroken(f"{file}: {error}.", "Correct it, or remove it.") from error


def _checked(raw: dict[str, Any]) -> FimTemplate:
    known = {field.name: field for field in fields(FimTemplate)}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            raise ValueError(f"there is no field {key!r}")
        values[key] = _value(key, value)
    template = FimTemplate(**values)
    if "layout" not in raw or template.layout not in LAYOUTS:
        raise ValueError("layout must be one of " + ", ".join(LAYOUTS))
    if template.repository not in REPOSITORY:
        raise ValueError("repository must be one of " + ", ".join(REPOSITORY))
    if template.layout != "prefix-only" and not (template.prefix and template.suffix):
        raise ValueError(f"layout {template.layout} needs the control tokens prefix and suffix")
    if template.layout == "prefix-suffix-middle" and not template.middle:
        raise ValueError("layout prefix-suffix-middle needs the control token middle")
    if template.repository == "tokens" and not template.file_sep:
        raise ValueError('repository "tokens" needs the control token file_sep')
    return template


def _value(key: str, value: Any) -> Any:
    if key == "stop":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("stop must be a list of strings")
        return tuple(value)
    if key == "as_text":
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise ValueError("as_text must be an object of strings")
        return value
    if key in ("context_length", "prefix_tokens", "suffix_tokens", "context_tokens", "min_characters"):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{key} must be a whole number, 0 or more")
        return value
    if key == "min_logprob":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -100 <= value <= 0:
            raise ValueError("min_logprob must be a number from -100 to 0")
        return float(value)
    if key == "anchored":
        if not isinstance(value, bool):
            raise ValueError("anchored must be true or false")
        return value
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a string")
    return value
