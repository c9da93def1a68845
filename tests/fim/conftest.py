from __future__ import annotations

from pathlib import Path

import pytest

import coderls.models
from coderls.fim.model import FimModel
from coderls.fim.templates import QWEN25_CODER, load_template
from coderls.tokenizer import Tokenizer
from tests.fim.small_tokenizers import QWEN_SPECIAL, make_tokenizer

NANO = Path(coderls.models.__file__).parent / "nano"


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> FimModel:
    """A model with Qwen2.5-Coder's control tokens at their true ids."""
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("qwen"), QWEN_SPECIAL)
    return FimModel(QWEN25_CODER, tokenizer, frozenset({"required_prefix", "token_ids"}), name="qwen2.5-coder-test")


@pytest.fixture(scope="session")
def nano() -> FimModel:
    """The embedded model's template and its true tokenizer; no weights."""
    tokenizer = Tokenizer.from_file(NANO / "tokenizer.json")
    template = load_template(NANO, "nano", tokenizer)
    return FimModel(template, tokenizer, frozenset({"required_prefix", "token_ids"}), name="nano")
