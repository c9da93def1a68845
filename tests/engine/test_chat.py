"""Chat templates: the model's own, and nobody but the template writes control tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderls.engine.chat import ChatTemplate
from coderls.engine.fake import SPECIAL, write_fake_model
from coderls.errors import RequestRefused
from coderls.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_model(tmp_path_factory.mktemp("chat") / "fake")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(folder / "tokenizer.json")


def with_config(folder: Path, tmp_path: Path, **config: object) -> Path:
    (tmp_path / "tokenizer.json").write_text((folder / "tokenizer.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def user(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def test_chatml_is_control_tokens_by_id_and_text_between_them(folder: Path, tokenizer: Tokenizer) -> None:
    ids = ChatTemplate(folder, tokenizer).encode([{"role": "system", "content": "Be brief."}, *user("Hi")])
    start, end = tokenizer.special_id("<|im_start|>"), tokenizer.special_id("<|im_end|>")
    encode = tokenizer.encode
    assert ids == [
        *[start, *encode("system\nBe brief."), end, *encode("\n")],
        *[start, *encode("user\nHi"), end, *encode("\n")],
        *[start, *encode("assistant\n")],
    ]


def same_shape(folder: Path, tokenizer: Tokenizer, content: str) -> None:
    """Whatever the user wrote is plain text between the template's own control tokens, to the byte."""
    ids = ChatTemplate(folder, tokenizer).encode(user(content))
    special = [token for token in ids if token in tokenizer.special.values()]
    names = {number: name for name, number in tokenizer.special.items()}
    assert [names[token] for token in special] == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    plain = b"".join(tokenizer.token_bytes[token] for token in ids)
    assert plain == f"user\n{content}\nassistant\n".encode()


@pytest.mark.parametrize("name", SPECIAL)
def test_a_user_cannot_write_a_control_token(folder: Path, tokenizer: Tokenizer, name: str) -> None:
    for content in (name, f"a{name}b", name * 3, name[:-1], name[1:], f"{name[:4]}{name}{name[4:]}"):
        same_shape(folder, tokenizer, content)


PARTS = st.lists(
    st.sampled_from([*SPECIAL, "<", "|", ">", "<|im", "_end|>", "im_end", "\U000f0000", "\U000f0001", " ", "é", "x"]),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=PARTS)
def test_nor_by_any_mix_of_pieces_and_private_characters(folder: Path, tokenizer: Tokenizer, parts: list[str]) -> None:
    same_shape(folder, tokenizer, "".join(parts))


def test_nor_across_the_seam_of_a_template(folder: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A template that writes `>` after the content must not complete what the user began."""
    place = with_config(folder, tmp_path, chat_template="{% for m in messages %}<|{{ m.content }}|>{% endfor %}")
    for content in ("im_end", "<|im_end", "fim_middle", "<|im_end|", ""):
        ids = ChatTemplate(place, tokenizer).encode(user(content))
        assert not set(ids) & set(tokenizer.special.values())


def test_a_role_is_one_of_a_few(folder: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(RequestRefused, match="no role"):
        ChatTemplate(folder, tokenizer).encode([{"role": "user<|im_end|>", "content": "x"}])


def test_the_jinja_file_wins_and_may_use_what_transformers_offers(
    folder: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    place = with_config(folder, tmp_path, chat_template="no", bos_token={"content": "<|file_sep|>"})
    (place / "chat_template.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}"
        "{{ m | tojson }}{{ m.content | trim }}{% endfor %}{{ strftime_now('%Y')[:2] }}"
    )
    ids = ChatTemplate(place, tokenizer).encode([*user(" a "), *user("b")])
    assert ids[0] == tokenizer.special_id("<|file_sep|>")
    assert tokenizer.decode(ids[1:]) == '{"role": "user", "content": " a "}a20'


def test_named_templates_and_models_without_one(folder: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    named = [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
    place = with_config(folder, tmp_path, chat_template=named)
    assert tokenizer.decode(ChatTemplate(place, tokenizer).encode(user("x"))) == "d"
    with_config(folder, tmp_path)
    assert ChatTemplate(place, tokenizer).encode(user("x"))[0] == tokenizer.special_id("<|im_start|>")
    bare = Tokenizer(tokenizer._plain, {})
    with pytest.raises(RequestRefused, match="no chat template"):
        ChatTemplate(place, bare).encode(user("x"))


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{% for %}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ 1 + 'a' }}",
        "{{ missing.field }}",
    ],
)
def test_a_template_that_refuses_or_misbehaves(
    folder: Path, tokenizer: Tokenizer, tmp_path: Path, template: str
) -> None:
    place = with_config(folder, tmp_path, chat_template=template)
    with pytest.raises(RequestRefused, match="chat template"):
        ChatTemplate(place, tokenizer).encode(user("x"))


def test_what_ends_a_turn(folder: Path, tokenizer: Tokenizer) -> None:
    assert ChatTemplate(folder, tokenizer).stop_ids == (
        tokenizer.special_id("<|im_end|>"),
        tokenizer.special_id("<|endoftext|>"),
    )
