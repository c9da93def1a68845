"""What the FIM code must know of the model behind the engine, and how many tokens it may spend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from coderls.fim.templates import FimTemplate
from coderls.settings import CompletionSettings, ContextSettings
from coderls.tokenizer import Tokenizer

#: A prompt of which nothing is cached should be read in about this long.
COLD_PROMPT_S = 0.5
#: Below this a prefix says too little, whatever the machine.
LEAST_TOKENS = 400
#: Engines that read so many tokens in a second may be given a backdrop unasked, of at most so many seconds' reading.
BACKDROP_SPEED, BACKDROP_S = 4_000.0, 30.0
#: A smaller backdrop is not worth its while, and so much of the engine's context stays free (tokens).
LEAST_BACKDROP, FREE = 2_000, 128
#: Characters in a token of code: low, so that an estimate is rather too high than too low.
_CHARACTERS_PER_TOKEN = 3
#: Characters of a text of which only few are kept in the cache.
_LONG = 10_000
#: Characters of a document whose lines are encoded before they are asked for: the cache has room for some such.
_LONGEST_KEPT = 400_000


@dataclass(frozen=True)
class FimModel:
    """A template with its tokenizer, and what the engine said of itself.

    `tokenizer` None: a foreign engine; prompts are then text and counts are estimates.
    `features` are the names in `Health.features`; `context_length` in tokens, 0 when unknown;
    `prefill_tokens_per_s` as measured by the engine, 0 when unknown.
    """

    template: FimTemplate
    tokenizer: Tokenizer | None = None
    features: frozenset[str] = frozenset()
    context_length: int = 0
    prefill_tokens_per_s: float = 0.0
    name: str = ""

    def count(self, text: str) -> int:
        """Tokens of `text`, or an estimate without a tokenizer (`exact` says which)."""
        if self.tokenizer is None:
            return -(-len(text.encode("utf-8", "replace")) // _CHARACTERS_PER_TOKEN)
        return len(self.encode(text))

    @property
    def takes_backdrop(self) -> bool:
        """Whether a text can stand before all of a prompt and stay in the engine's cache: nothing that changes with
        the cursor comes before it, and the engine says at once when it has it no more."""
        template = self.template
        first = template.repository == "tokens" or (template.repository == "comments" and not template.suffix_first)
        return first and self.tokenizer is not None and "least_cached" in self.features

    @property
    def exact(self) -> bool:
        """Whether `count` is exact."""
        return self.tokenizer is not None

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of plain text; control tokens in it stay text. Only with a tokenizer."""
        if self.tokenizer is None:
            raise ValueError("a model without a tokenizer cannot encode")
        return (_encode_long if len(text) > _LONG else _encode_short)(self.tokenizer, text)

    def encode_afresh(self, text: str) -> tuple[int, ...]:
        """As `encode`, of a text that is hardly asked for again: it takes no place in the cache of those that are."""
        if self.tokenizer is None:
            raise ValueError("a model without a tokenizer cannot encode")
        return _encode(self.tokenizer, text)

    def get_ready(self, *documents: str) -> None:
        """Encode documents once, line by line, so that questions about places in them find their lines encoded.

        Takes a quarter of a millisecond for each 1,000 characters: call it in a thread.
        """
        for text in documents:
            if self.tokenizer is not None and len(text) <= _LONGEST_KEPT:
                for part in self.tokenizer.parts(text):
                    if len(part) <= _LONG:
                        _encode_part(self.tokenizer, part)


# Cached, as between two keystrokes all of a prompt but its end is the same, and between two places in a file most lines
# are; of long texts only the last few are kept.
@lru_cache(maxsize=8)
def _encode_long(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return _encode(tokenizer, text)


@lru_cache(maxsize=512)
def _encode_short(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    parts = tokenizer.parts(text)
    return tuple(chain.from_iterable(_encode_part(tokenizer, part) for part in parts))


@lru_cache(maxsize=16_384)
def _encode_part(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return _encode(tokenizer, text)


def _encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    try:
        return tuple(tokenizer.encode(text))
    except TypeError:  # a lone surrogate, as editors can send them, is no character
        return tuple(tokenizer.encode(text.encode("utf-8", "replace").decode()))


@dataclass(frozen=True, slots=True)
class Budgets:
    """Tokens for each part of a prompt."""

    prefix: int
    suffix: int
    context: int


def budgets(model: FimModel, completion: CompletionSettings, context: ContextSettings) -> Budgets:
    """The user's budgets; where a setting is 0, the template's, shrunk until a cold prompt is read in time.

    All three together leave room for the completion in the engine's context. Without context its share goes
    to the prefix.
    """
    template = model.template
    wanted_context = 0 if not context.enabled or template.repository == "none" else context.tokens
    chosen = {
        "prefix": completion.prefix_tokens or template.prefix_tokens,
        "suffix": 0 if template.layout == "prefix-only" else completion.suffix_tokens or template.suffix_tokens,
        "context": wanted_context or template.context_tokens,
    }
    fixed = {
        name for name, value in (("prefix", completion.prefix_tokens), ("suffix", completion.suffix_tokens)) if value
    } | ({"context"} if wanted_context else set())
    speed_limit = int(model.prefill_tokens_per_s * COLD_PROMPT_S)
    if speed_limit:
        _shrink(chosen, [name for name in chosen if name not in fixed], max(speed_limit, LEAST_TOKENS))
    length = model.context_length or template.context_length
    if length:
        _shrink(chosen, list(chosen), max(length - completion.max_tokens - 16, 16))
    if not context.enabled or template.repository == "none":
        chosen["prefix"] += chosen.pop("context") if "prefix" not in fixed else 0
        chosen["context"] = 0
    return Budgets(**chosen)


@dataclass(frozen=True, slots=True)
class BackdropPlan:
    """`tokens` for a backdrop, and the `room` that it and any prompt behind it take with their answer."""

    tokens: int
    room: int


def backdrop_plan(model: FimModel, completion: CompletionSettings, context: ContextSettings) -> BackdropPlan | None:
    """How much of the repository may stand before all else, once the engine has it in its cache; None for nothing."""
    wanted = context.enabled and context.whole != "off" and context.layout == "before"
    fast = model.prefill_tokens_per_s >= BACKDROP_SPEED
    if not wanted or not model.takes_backdrop or not (fast or context.whole == "on"):
        return None
    budget = budgets(model, completion, context)
    rest = budget.prefix + budget.suffix + budget.context + completion.max_tokens + 2 * FREE
    length = model.context_length or model.template.context_length
    seconds = BACKDROP_S if context.whole == "auto" else 10 * BACKDROP_S
    tokens = min(length - rest, int(model.prefill_tokens_per_s * seconds) or length)
    return BackdropPlan(tokens, tokens + rest) if tokens >= LEAST_BACKDROP else None


def _shrink(chosen: dict[str, int], names: list[str], limit: int) -> None:
    """Scale the budgets in `names` down so that all together fit `limit`."""
    movable = sum(chosen[name] for name in names)
    room = limit - (sum(chosen.values()) - movable)
    if movable > room:
        for name in names:
            chosen[name] = max(0, chosen[name] * max(room, 0) // movable)
