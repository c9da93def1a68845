"""Tokenizers made on the spot: byte-level BPE with a few merges, and control tokens at a family's true ids."""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from coderls.tokenizer import Tokenizer

QWEN_SPECIAL = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|fim_prefix|>": 151659,
    "<|fim_middle|>": 151660,
    "<|fim_suffix|>": 151661,
    "<|fim_pad|>": 151662,
    "<|repo_name|>": 151663,
    "<|file_sep|>": 151664,
}
STARCODER_SPECIAL = {
    "<|endoftext|>": 0,
    "<fim_prefix>": 1,
    "<fim_middle>": 2,
    "<fim_suffix>": 3,
    "<fim_pad>": 4,
    "<repo_name>": 5,
    "<file_sep>": 17,
}
DEEPSEEK_SPECIAL = {
    "<｜begin▁of▁sentence｜>": 32013,
    "<｜end▁of▁sentence｜>": 32014,
    "<｜fim▁hole｜>": 32015,
    "<｜fim▁begin｜>": 32016,
    "<｜fim▁end｜>": 32017,
}
CODESTRAL_SPECIAL = {"<s>": 1, "</s>": 2, "[PREFIX]": 8, "[MIDDLE]": 9, "[SUFFIX]": 10}

_WORDS = ("return", " return", " self", "def", " def", "import", "foo", "  ", "    ", "        ", "():", " =", "\n\n")


def make_tokenizer(folder: Path, special: dict[str, int]) -> Tokenizer:
    """A tokenizer of all bytes and some words, with control tokens at the ids given."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    first = max(special.values()) + 1 if min(special.values()) < len(alphabet) + 200 else 0
    vocab = {letter: first + number for number, letter in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for word in _WORDS:
        letters = "".join(piece for piece, _ in splitter.pre_tokenize_str(word))
        for end in range(2, len(letters) + 1):
            pair = (letters[: end - 1], letters[end - 1])
            if pair not in merges:
                merges.append(pair)
                vocab.setdefault(letters[:end], first + len(vocab))
    plain = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
    plain.pre_tokenizer = splitter
    plain.decoder = decoders.ByteLevel()
    raw = json.loads(plain.to_str())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    raw["added_tokens"] = [{"id": number, "content": name, **flags} for name, number in special.items()]
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(raw), encoding="utf-8")
    return Tokenizer.from_file(file)
