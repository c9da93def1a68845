"""A model that says what a script tells it to, without torch: for tests, demos and editors' tests.

A directory with a `fake.json` is such a model; everything around it (server, worker, scheduler, KV bookkeeping) is
the real thing. The runner keeps the tokens of each slot as it was told to, and answers from those alone: wrong
bookkeeping gives a wrong answer.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from coderls.engine.runner import ModelInfo, Result, Sample, SampleSpec, Work
from coderls.errors import ModelBroken, RunStopped
from coderls.tokenizer import Tokenizer, byte_characters

SCRIPT_FILE = "fake.json"
END = "<|endoftext|>"
FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
SPECIAL = (
    *(END, "<|im_start|>", "<|im_end|>", FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX),
    *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
)
#: What is blended in with more than this is said instead of the script's text.
_SURE = 0.5
#: Whole words that are one token, so that cursors fall inside of tokens as with real models.
WORDS = ("return", " return", "self", "def", "import", "print", "    ", " = ", " + ", "()", "):")
#: Log-probabilities of a token that the script says, and of one that it was made to say.
_LIKELY, _UNLIKELY = -0.25, -5.0
FAILURES = ("die", "stall", "garbage", "error", "nan")


@dataclass(frozen=True, slots=True)
class FakeRule:
    """When the text before the cursor ends with `after` (or, if no rule's does, holds it), say `say`.

    `say` may be several texts: a sampled request takes one by its seed. `fail` misbehaves after `fail_after` tokens:
    "die" leaves the process, "stall" never comes back, "garbage" says bytes that are no text, "error" raises,
    "nan" computes no number.
    """

    after: str
    say: str | tuple[str, ...] = ""
    fail: str = ""
    fail_after: int = 0


@dataclass(frozen=True, slots=True)
class FakeScript:
    """What the fake model says, and how slowly. `load_ms`: how long it takes until it is loaded.

    `speculates`: whether drafted tokens may be verified; it is off, for tests that count steps.
    """

    rules: tuple[FakeRule, ...] = ()
    default: str = "pass"
    token_ms: float = 0.0
    prefill_token_ms: float = 0.0
    load_ms: float = 0.0
    load_error: str = ""
    speculates: bool = False
    context_length: int = 8192
    slots: tuple[int, ...] = field(default=(2048, 8192, 8192))


def write_fake_model(folder: Path, script: FakeScript | None = None) -> Path:
    """Make `folder` a model directory that answers by `script`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    script = script or FakeScript()
    fim = {
        "name": "fake",
        "layout": "prefix-suffix-middle",
        "prefix": FIM_PREFIX,
        "suffix": FIM_SUFFIX,
        "middle": FIM_MIDDLE,
        "repo_name": "<|repo_name|>",
        "file_sep": "<|file_sep|>",
        "stop": [END],
        "repository": "comments",
        "context_length": script.context_length,
        "prefix_tokens": 2000,
        "suffix_tokens": 1000,
        "context_tokens": 1000,
    }
    template = (
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    files = {
        SCRIPT_FILE: asdict(script),
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": {"eos_token": "<|im_end|>", "chat_template": template},
        "config.json": {"model_type": "fake", "max_position_embeddings": script.context_length},
        "fim.json": fim,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    return folder


def read_script(path: Path) -> FakeScript:
    """Read a `fake.json`. Raises ModelBroken when it cannot be used."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        rules = tuple(
            FakeRule(
                **{**rule, "say": tuple(rule["say"]) if isinstance(rule.get("say"), list) else rule.get("say", "")}
            )
            for rule in raw.pop("rules", ())
        )
        script = FakeScript(rules=rules, **{**raw, "slots": tuple(raw.get("slots", FakeScript().slots))})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelBroken(f"{path} is no script for the fake model: {error}.", "See FakeScript in fake.py.") from error
    wrong = next((rule.fail for rule in script.rules if rule.fail and rule.fail not in FAILURES), None)
    if wrong:
        raise ModelBroken(f"{path} names the failure {wrong!r}.", "It must be one of " + ", ".join(FAILURES) + ".")
    return script


class FakeRunner:
    """A `Runner` that answers by a script. `runs` and `copies` count what it was asked to do."""

    def __init__(self, script: FakeScript, tokenizer: Tokenizer, name: str = "fake") -> None:
        self._script = script
        self.speculates = script.speculates
        self._tokenizer = tokenizer
        self._special = {text: tokenizer.special[text] for text in SPECIAL}
        stop = (self._special[END],)
        self.info = ModelInfo(name, script.context_length, tokenizer.vocab_size, stop, "cpu", "fake")
        self.slot_lengths: Sequence[int] = script.slots
        self._memory: list[list[int]] = [[] for _ in script.slots]
        self.runs = 0
        self.copies = 0
        self.gently = False

    @classmethod
    def from_file(cls, folder: Path, name: str = "fake") -> FakeRunner:
        """Load the model directory `folder`. Raises ModelBroken."""
        script = read_script(folder / SCRIPT_FILE)
        time.sleep(script.load_ms / 1000)
        if script.load_error:
            raise ModelBroken(script.load_error, "It is what its script says.")
        return cls(script, Tokenizer.from_file(folder / "tokenizer.json"), name)

    def run(self, batch: Sequence[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:
        """As `Runner.run`; the time it takes is the script's."""
        self.runs += 1
        if should_stop is not None and should_stop():
            raise RunStopped("The run of the model was stopped.")
        self._take_time(batch)
        return [self._work(work) for work in batch]

    def copy(self, source: int, target: int, length: int) -> None:
        """As `Runner.copy`."""
        self.copies += 1
        self._memory[target] = self._memory[source][:length]

    def go_gently(self, gently: bool) -> None:
        """As `Runner.go_gently`; `gently` says what was asked for last."""
        self.gently = gently

    def close(self) -> None:
        """As `Runner.close`."""
        self._memory = []

    def _take_time(self, batch: Sequence[Work]) -> None:
        """Tokens that are chosen side by side take the time of one; drafted ones that of each, as on a processor."""
        chosen = max((len(work.samples) for work in batch), default=0)
        filled = sum(len(work.tokens) - len(work.samples) for work in batch)
        delay = self._script.token_ms * chosen + self._script.prefill_token_ms * filled
        if delay:
            time.sleep(delay / 1000)

    def _work(self, work: Work) -> tuple[Sample, ...]:
        memory = self._memory[work.slot]
        if work.start > len(memory) or work.start + len(work.tokens) > self.slot_lengths[work.slot]:
            raise RuntimeError(f"slot {work.slot} cannot be written at {work.start}")
        memory[work.start :] = work.tokens
        first = len(memory) - len(work.samples) + 1
        return tuple(self._sample(memory[: first + index], spec) for index, spec in enumerate(work.samples))

    def _sample(self, known: list[int], spec: SampleSpec) -> Sample:
        """The token after `known`, of which the last `spec.step` were said before."""
        prompt, said = known[: len(known) - spec.step], known[len(known) - spec.step :]
        seed = spec.sampling.seed or 0 if spec.sampling.temperature > 0 else 0
        token, failure, meant = self._choose(prompt, said, spec.allowed, seed)
        if failure:
            token = self._fail(failure, token)
        elif spec.blend is not None:
            mass, likeliest = max(zip(spec.blend.masses, spec.blend.tokens, strict=True))
            if mass > _SURE and (spec.allowed is None or likeliest in spec.allowed):
                token = likeliest
        others = [token, *(number for number in range(97, 97 + spec.top) if number != token)]
        top = tuple((number, _LIKELY - rank) for rank, number in enumerate(others[: spec.top]))
        return Sample(token, float("nan") if failure == "nan" else _LIKELY if meant else _UNLIKELY, top)

    def _fail(self, failure: str, token: int) -> int:
        if failure == "die":
            os._exit(3)
        if failure == "stall":
            time.sleep(3600)
        if failure == "error":
            raise RuntimeError("the script says so")
        return 0xFF if failure == "garbage" else token  # token ids below 256 are bytes; 0xFF is never UTF-8

    def _choose(
        self, prompt: list[int], said: list[int], allowed: Sequence[int] | None, seed: int
    ) -> tuple[int, str, bool]:
        """The next token, the failure that is due now, and whether the script says it: else nothing else is allowed."""
        data = b"".join(self._tokenizer.token_bytes[token] for token in said)
        for text, rule in self._candidates(self._before_cursor(prompt), seed, healed=allowed is not None or bool(said)):
            whole = text.encode()
            failing = rule.fail if rule is not None and len(said) >= rule.fail_after else ""
            if failing == "garbage" and allowed is None:
                return 0xFF, failing, True
            if not whole.startswith(data):
                continue
            rest = whole[len(data) :].decode(errors="surrogateescape")
            token = self._first_token(rest)
            if allowed is None or token in allowed:
                return token, failing, True
            fitting = self._fitting(whole[len(data) :], allowed)
            if fitting is not None:
                return fitting, failing, True
        return (allowed[0] if allowed else self._special[END]), "", not allowed

    def _first_token(self, rest: str) -> int:
        if not rest:
            return self._special[END]
        if any(0xDC80 <= ord(char) <= 0xDCFF for char in rest[:1]):  # in the middle of a character
            return ord(rest[0]) - 0xDC00
        return self._tokenizer.encode(rest[:64].encode(errors="ignore").decode())[0]

    def _fitting(self, rest: bytes, allowed: Sequence[int]) -> int | None:
        """The longest allowed token that `rest` begins with."""
        table = self._tokenizer.token_bytes
        return max((i for i in allowed if rest.startswith(table[i])), key=lambda i: len(table[i]), default=None)

    def _before_cursor(self, prompt: list[int]) -> str:
        """The text of the prefix part of a FIM prompt, or the whole prompt."""
        begin, end = self._special[FIM_PREFIX], self._special[FIM_SUFFIX]
        if begin in prompt:
            prompt = prompt[len(prompt) - prompt[::-1].index(begin) :]
            prompt = prompt[: prompt.index(end)] if end in prompt else prompt
        return b"".join(self._tokenizer.token_bytes[token] for token in prompt).decode(errors="replace")

    def _candidates(self, before: str, seed: int, *, healed: bool) -> list[tuple[str, FakeRule | None]]:
        """Texts that could come, best first. With token healing the end of a rule's `after` is still to come."""
        rules = self._script.rules
        ends = [(_say(rule, seed), rule) for rule in rules if before.endswith(rule.after)]
        parts = [
            (rule.after[cut:] + _say(rule, seed), rule)
            for rule in (rules if healed else ())
            for cut in range(len(rule.after) - 1, 0, -1)
            if before.endswith(rule.after[:cut])
        ]
        holds = [(_say(rule, seed), rule) for rule in rules if rule.after in before]
        return [*ends, *parts, *holds, (self._script.default, None)]


def _say(rule: FakeRule, seed: int) -> str:
    return rule.say if isinstance(rule.say, str) else rule.say[seed % len(rule.say)] if rule.say else ""


def _tokenizer() -> dict[str, object]:
    """A byte-level tokenizer: id = byte, then the pieces that WORDS are merged from, then the control tokens."""
    characters = byte_characters()
    vocabulary = {characters[byte]: byte for byte in range(256)}
    merges: list[list[str]] = []
    for word in WORDS:
        letters = [characters[byte] for byte in word.encode()]
        piece = letters[0]
        for letter in letters[1:]:
            if piece + letter not in vocabulary:
                vocabulary[piece + letter] = len(vocabulary)
                merges.append([piece, letter])
            piece += letter
    added = [
        {"id": len(vocabulary) + index, "content": text, "special": True, "normalized": False}
        | {"single_word": False, "lstrip": False, "rstrip": False}
        for index, text in enumerate(SPECIAL)
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
