from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as RawTokenizer

from coderls.errors import ModelBroken
from coderls.models.recipe import nano_recipe
from coderls.tokenizer import Tokenizer

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN_FIM = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"]

TEXTS = [
    "",
    "def f(x):\n    return x + 1\n",
    "\tif a:\r\n\t\tb = 'c'\r\n",
    "x\ry\x0cz\u2028w\x00",
    "emoji 👩‍👩‍👧‍👦 🇩🇪, 漢字とかな, ünïcödé, עברית",
    "s = '<|fim_middle|>'",
]

#: Of four characters, or not.
LINES = [
    "abcd",
    "    def f(x):",
    "x = 1",
    "f(1)",
    ")}},",
    "é語 x",
    "'s 't",
    "    ",
    "",
    "a b ",
    "<|im_end|>12",
    "\u0301abc",
    "😀de",
]


@pytest.fixture(scope="session")
def nano() -> Tokenizer:
    return Tokenizer.from_file(nano_recipe().data / "tokenizer.json")


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Made as Qwen2.5-Coder's is: byte-level BPE with NFC, its marks added after the vocabulary, not all special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("d", "e"), ("de", "f"), ("<", "|"), ("|", ">"), ("f", "i"), ("fi", "m")]
    tokens = [*alphabet, *("".join(pair) for pair in merges)]
    raw = RawTokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    raw.decoder = decoders.ByteLevel()
    raw.add_tokens([AddedToken(name, special=True, normalized=False) for name in QWEN_SPECIAL])
    raw.add_tokens([AddedToken(name, special=False, normalized=False) for name in QWEN_FIM])
    path = tmp_path_factory.mktemp("qwen") / "tokenizer.json"
    raw.save(str(path))
    return Tokenizer.from_file(path)


@pytest.fixture(params=["nano", "qwen"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def test_control_tokens_are_known_by_name(nano: Tokenizer, qwen: Tokenizer) -> None:
    assert [nano.special_id(name) for name in ("<|endoftext|>", "<gh_stars>", "<issue_start>")] == [0, 7, 8]
    assert {qwen.special_id(name) for name in QWEN_SPECIAL + QWEN_FIM} == set(range(264, 273))
    assert nano.special_id("<|fim_middle|>") is None
    assert nano.vocab_size == 49_152
    assert qwen.vocab_size == 273


def test_text_that_holds_every_control_token_stays_text(tokenizer: Tokenizer) -> None:
    names = list(tokenizer.special)
    text = "".join(names) + "\n" + "\n".join(f"x = {name!r}  # {name}" for name in names) + " ".join(names)
    ids = tokenizer.encode(text)
    assert set(ids).isdisjoint(tokenizer.special.values())
    assert tokenizer.decode(ids) == text
    for name in names:
        assert set(tokenizer.encode(name)).isdisjoint(tokenizer.special.values()), name
        assert tokenizer.count(name) > 1


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_text_becomes_a_control_token(data: st.DataObject, nano: Tokenizer) -> None:
    # SmolLM2 has no tokens for some control characters, nor for the first byte of the planes after the third.
    characters = st.characters(
        exclude_characters="\x04\x06\x13\x14\x16\x1d", exclude_categories=["Cs"], max_codepoint=0x3FFFF
    )
    piece = st.one_of(st.sampled_from(sorted(nano.special)), st.text(characters, max_size=8))
    text = "".join(data.draw(st.lists(piece, max_size=12)))
    ids = nano.encode(text)
    assert set(ids).isdisjoint(nano.special.values())
    assert nano.decode(ids) == text


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.count(text) == len(ids)
    assert b"".join(tokenizer.token_bytes[number] for number in ids) == text.encode()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_parts_of_a_text_have_its_tokens(data: st.DataObject, nano: Tokenizer, qwen: Tokenizer) -> None:
    lines = data.draw(st.lists(st.sampled_from(LINES), max_size=12))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n\t"]))
    text = end.join([*lines[:5], data.draw(st.text(max_size=20)), *lines[5:]])
    for tokenizer in (nano, qwen):
        parts = tokenizer.parts(text)
        assert "".join(parts) == text
        assert [number for part in parts for number in tokenizer.encode(part)] == tokenizer.encode(text)


def test_a_text_is_cut_where_its_pre_tokenizer_cuts(nano: Tokenizer, qwen: Tokenizer) -> None:
    assert {")", "x", ":", "1"} <= nano.cuts
    assert "x" in qwen.cuts
    assert not {")", ":"} & qwen.cuts  # there a sign takes the line ends behind it
    text = "abcd\n    efgh\nijk\nklmn  \nopq)\nrest"
    assert nano.parts(text) == ["abcd", "\n    efgh", "\nijk\nklmn  \nopq)", "\nrest"]
    assert qwen.parts(text) == ["abcd", "\n    efgh", "\nijk\nklmn  \nopq)\nrest"]
    assert nano.parts("abcd\r\nefgh\r\n") == ["abcd", "\r\nefgh", "\r\n"]
    assert nano.parts("") == [""]


def test_a_text_that_is_changed_before_is_not_cut(tmp_path: Path) -> None:
    plain = RawTokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    assert not Tokenizer(plain, {}).cuts
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert not Tokenizer(plain, {}).cuts  # each part would begin with a blank
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert Tokenizer(plain, {}).cuts
    plain.normalizer = normalizers.Lowercase()
    assert not Tokenizer(plain, {}).cuts
    assert Tokenizer(plain, {}).parts("abcd\nefgh\n") == ["abcd\nefgh\n"]


def test_every_byte_has_a_token(qwen: Tokenizer) -> None:
    assert {bytes([byte]) for byte in range(256)} <= set(qwen.token_bytes)


def test_byte_tables_leave_control_tokens_empty(tokenizer: Tokenizer) -> None:
    table = tokenizer.token_bytes
    assert len(table) == tokenizer.vocab_size
    assert all(table[number] == b"" for number in tokenizer.special.values())
    plain = [number for number in range(tokenizer.vocab_size) if number not in tokenizer.special.values()]
    assert all(table[number] for number in plain)


def test_token_bytes_are_bytes_and_not_characters(nano: Tokenizer) -> None:
    assert nano.token_bytes[nano.encode("\n")[0]] == b"\n"
    pieces = [nano.token_bytes[number] for number in nano.encode("漢")]
    assert b"".join(pieces) == "漢".encode()


def test_half_a_character_is_a_replacement_character(nano: Tokenizer) -> None:
    first = nano.token_bytes.index("👩".encode()[:1])
    assert nano.decode([first]) == "\ufffd"


def test_control_tokens_and_unknown_ids_decode_to_nothing(tokenizer: Tokenizer) -> None:
    marks = list(tokenizer.special.values())
    assert tokenizer.decode([*marks, *tokenizer.encode("ab"), tokenizer.vocab_size + 5]) == "ab"


def test_a_byte_without_a_token_is_left_out(nano: Tokenizer) -> None:
    assert nano.decode(nano.encode("a\x16b")) == "ab"


def test_a_lone_surrogate_is_a_question_mark(nano: Tokenizer) -> None:
    assert nano.decode(nano.encode("a\ud800b")) == "a?b"


def test_names_that_are_vocabulary_entries_stay_text(tmp_path: Path) -> None:
    """With `ignore_merges` a piece of text that equals a vocabulary entry becomes that entry, whatever it is."""
    vocabulary = {char: number for number, char in enumerate("<|eot>x")} | {"<|eot|>": 7}
    raw = RawTokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken("<|eot|>", special=True)])
    raw.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert tokenizer.special_id("<|eot|>") == 7
    assert tokenizer.encode("<|eot|>") == [0, 1, 2, 3, 4, 1, 5]
    assert tokenizer.decode(tokenizer.encode("<|eot|>")) == "<|eot|>"


def test_sentencepiece_tokens_have_their_bytes_too(tmp_path: Path) -> None:
    raw = RawTokenizer(models.BPE(vocab={"\u2581def": 0, "<0x0A>": 1, "é": 2}, merges=[], byte_fallback=True))
    raw.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    raw.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.from_file(tmp_path / "tokenizer.json").token_bytes == [b" def", b"\n", "é".encode()]


def test_settings_of_a_training_run_are_not_applied(tmp_path: Path) -> None:
    raw = json.loads((nano_recipe().data / "tokenizer.json").read_text(encoding="utf-8"))
    raw["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    assert Tokenizer.from_file(tmp_path / "tokenizer.json").count("one two three four") == 4


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"added_tokens": [{"id": "x"}]}', '{"model": {"type": "Magic"}}', "\x00\xff"]
)
def test_a_broken_file_is_said_to_be_broken(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelBroken, match="no tokenizer that can be used"):
        Tokenizer.from_file(path)


@pytest.mark.parametrize("number", [-1, 99_999_999_999])
def test_an_id_that_no_table_has_room_for_is_refused(tmp_path: Path, number: int) -> None:
    model = {"type": "BPE", "vocab": {"b": 0}, "merges": []}
    raw = {"added_tokens": [{"content": "<a>", "id": number}], "model": model}
    (tmp_path / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelBroken, match="is no token id"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="is missing"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
