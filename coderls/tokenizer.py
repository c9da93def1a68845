"""Tokenizers of checkpoints, without transformers.

`tokenizer.json` is read by the `tokenizers` library as it is: `AutoTokenizer` would apply the
pre-tokenizer of the model *type*, which ruins checkpoints that bring their own. Its added tokens are taken
out first and kept in a table of ours, so that no text, whatever it holds, is ever encoded as a control token;
`special_id` is the only way to one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import tokenizers

from coderls.errors import ModelBroken

# Texts come one by one. Threads of the library would only make it warn, on systems where a new process is a fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_MOST_IDS = 1 << 24  # tables have a row for each id
#: What may come behind a cut, and what no token of a piece before it reaches into.
_PROBES = ("\n", "\ny", "\n    y", "\n\n  y", "\n\ty", "\n)", "\n  )", "\n'", "\n1", "\r\n y", "\n\u00e9", "\n\u8a9e")
_BEFORE = ("x{0}", " {0}", "{0}{0}", "){0}", "'{0}", "1{0}")
#: A text is cut behind lines of a length that this divides. Larger parts are fewer; smaller ones are sooner the same
#: again in a text that begins elsewhere.
_SELDOM = 2


class Tokenizer:
    """Text to token ids and back, for one checkpoint."""

    def __init__(self, plain: tokenizers.Tokenizer, special: dict[str, int], *, byte_level: bool = True) -> None:
        self._plain = plain
        self._byte_level = byte_level
        self.special = special
        self._special_by_id = {number: text for text, number in special.items()}

    @classmethod
    def from_file(cls, path: Path) -> Tokenizer:
        """Read a `tokenizer.json`. Raises ModelBroken when it is missing or cannot be read."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            added = raw.get("added_tokens") or []
            special = {str(token["content"]): int(token["id"]) for token in added}
            wrong = next((number for number in special.values() if not 0 <= number < _MOST_IDS), None)
            if wrong is not None:
                raise ValueError(f"{wrong} is no token id")
            raw["added_tokens"] = []
            raw["post_processor"] = None  # it would put begin-of-text tokens around plain text
            raw["truncation"] = raw["padding"] = None  # some files carry a training run's
            byte_level = "ByteLevel" in json.dumps(raw.get("decoder"))
            return cls(tokenizers.Tokenizer.from_str(json.dumps(raw)), special, byte_level=byte_level)
        except FileNotFoundError as error:
            raise ModelBroken(f"{path} is missing.", "Copy the model's tokenizer.json there.") from error
        except Exception as error:  # the library raises bare Exception for a file that it cannot use
            raise ModelBroken(f"{path} is no tokenizer that can be used: {error}.", "Fetch it again.") from error

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id, control tokens included."""
        return max([self._plain.get_vocab_size(), *(number + 1 for number in self.special.values())])

    def get_ready(self) -> None:
        """Make the tables now that the first question would wait for (a tenth of a second)."""
        _ = self.token_bytes, self.cuts

    def special_id(self, text: str) -> int | None:
        """The id of a control token by its name, e.g. `<|fim_prefix|>`; None where the model has none such."""
        return self.special.get(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; control tokens written out in it stay plain text.

        A lone surrogate, which UTF-8 cannot hold, counts as a question mark; a byte that the vocabulary has no
        token for is left out (SmolLM2 lacks six control characters).
        """
        try:
            ids = self._ids(text)
        except (TypeError, UnicodeError):
            text = text.encode("utf-8", "replace").decode("utf-8")
            ids = self._ids(text)
        if self._special_by_id.keys().isdisjoint(ids):
            return ids
        # The name of a control token is an ordinary entry of this vocabulary: encode its halves apart.
        spans = self._plain.encode(text, add_special_tokens=False).offsets
        cut = next(span[0] for number, span in zip(ids, spans, strict=True) if number in self._special_by_id)
        return self.encode(text[: cut + 1]) + self.encode(text[cut + 1 :])

    def _ids(self, text: str) -> list[int]:
        """Without offsets, which take a quarter of the time: the library leaves them out of batches alone."""
        (encoded,) = self._plain.encode_batch_fast([text], add_special_tokens=False)
        return list(encoded.ids)

    @cached_property
    def cuts(self) -> frozenset[str]:
        """ASCII characters behind which a text can be cut before a line end without changing any of its tokens.

        Merges stay within the pieces that a pre-tokenizer makes, so it is asked whether it cuts there itself. None
        where there is no pre-tokenizer, or where text is changed before it (but for NFC, which leaves ASCII and line
        ends as they are).
        """
        splitter, normalizer = self._plain.pre_tokenizer, self._plain.normalizer
        if splitter is None or not (normalizer is None or isinstance(normalizer, tokenizers.normalizers.NFC)):
            return frozenset()

        def pieces(text: str) -> list[str]:
            return [piece for piece, _ in splitter.pre_tokenize_str(text)]

        signs = (chr(number) for number in range(0x21, 0x7F))
        heads = {sign: [head.format(sign) for head in _BEFORE] for sign in signs}
        return frozenset(
            sign
            for sign, some in heads.items()
            if all(pieces(head + probe) == pieces(head) + pieces(probe) for head in some for probe in _PROBES)
        )

    def parts(self, text: str) -> list[str]:
        """`text` cut at some ends of lines, where the tokens of its parts are together those of the whole.

        Which ones depends on the lines alone, so texts that share lines share parts.
        """
        cuts, parts = self.cuts, list[str]()
        start = below = 0
        for line in text.split("\n")[:-1] if cuts else ():
            end = below + len(line.removesuffix("\r"))
            if end > below and not (end - below) % _SELDOM and text[end - 1] in cuts:
                parts.append(text[start:end])
                start = end
            below += len(line) + 1
        parts.append(text[start:])
        return parts

    def count(self, text: str) -> int:
        """How many tokens `text` is."""
        return len(self.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids. Control tokens become nothing; broken UTF-8 becomes U+FFFD."""
        return str(self._plain.decode([i for i in ids if i not in self._special_by_id], skip_special_tokens=False))

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes of each id (index = id); empty for control tokens and ids without a token."""
        read = _byte_level_bytes if self._byte_level else _sentencepiece_bytes
        table = [b""] * self.vocab_size
        for token, number in self._plain.get_vocab(with_added_tokens=False).items():
            if number not in self._special_by_id:
                table[number] = read(token)
        return table


def _byte_level_bytes(token: str) -> bytes:
    """Byte-level BPE writes each byte as one printable character."""
    return bytes(_BYTE_OF[char] for char in token) if all(char in _BYTE_OF for char in token) else b""


def _sentencepiece_bytes(token: str) -> bytes:
    """SentencePiece writes a space as U+2581, and bytes that it has no token for as `<0x0A>`."""
    single = re.fullmatch(r"<0x([0-9A-F]{2})>", token)
    return bytes.fromhex(single[1]) if single else token.replace("\u2581", " ").encode()


def byte_characters() -> dict[int, str]:
    """GPT-2's map from bytes to printable characters: printable Latin-1 as it is, the rest from U+0100 on.

    https://github.com/openai/gpt-2/blob/master/src/encoder.py, `bytes_to_unicode`.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in printable}
    rest = (byte for byte in range(256) if byte not in table)
    return table | {byte: chr(0x100 + index) for index, byte in enumerate(rest)}


_BYTE_OF = {char: byte for byte, char in byte_characters().items()}
