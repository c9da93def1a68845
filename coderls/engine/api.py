"""What goes over the wire between the front and an engine, as frozen values.

The protocol is OpenAI's completions API (https://platform.openai.com/docs/api-reference/completions)
with fields of our own that other engines may ignore: `required_prefix`, `priority`, `stop_token_ids`, `drafts`,
`exact`, `forced`, `room`, `least_cached`, `beginning`, `remember`, `local`, `before`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from coderls.beginning import Beginning

#: Raised when front and engine would misunderstand each other; part of the socket's name.
PROTOCOL_VERSION = 1
PROTOCOL_HEADER = "x-coderls-protocol"
#: Names the token that a request to leave needs on loopback.
STOP_HEADER = "x-coderls-stop"
#: Health's state, and an error code, of an engine on its way out: the client is to find or start another.
LEAVING = "leaving"
#: The HTTP status (Precondition Failed) of a request whose `least_cached` is not in the cache.
NOT_CACHED = 412
#: The HTTP status (Precondition Required) of a request that goes on from a beginning which the engine does not know.
UNKNOWN_BEGINNING = 428
#: The HTTP status (Failed Dependency) of a request that names a local text which the engine does not know.
UNKNOWN_LOCAL = 424
#: The most tokens of a local text, files' gaps among them.
LONGEST_LOCAL = 1 << 20
#: How much of `GenerationRequest.drafts` an engine of ours takes.
MOST_DRAFTS = 16
LONGEST_DRAFTS = 32_768  # characters of all drafts together


class Priority(IntEnum):
    """Lower goes first."""

    INTERACTIVE = 0
    REPAIR = 1
    BACKGROUND = 2


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy; top_k 0 and top_p 1 switch those filters off."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class LocalName:
    """A text of the repository that the engine was given (`EngineClient.give`): SHA-256 of its ids, and their number.

    The empty one names no text: only the prompt's own words are blended in.
    """

    digest: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One request. `prompt` is token ids, or text for an engine whose tokenizer we do not have.

    `required_prefix` (token healing): the output must begin with this text, which is then not returned.
    `stop` strings end the output before themselves; `stop_token_ids` end it silently.
    `max_tokens` 0 only computes the prompt, so that a later request finds it in the cache.
    `logprobs`: how many alternatives to report for each token, or None for no log-probabilities.
    `drafts`: texts that the output may be (after `required_prefix`) or repeat in parts, such as what was shown here
    before or accepted lately. They change nothing but the speed.
    `exact`: the same numbers each time on the same engine, whatever is in its cache and whoever else asks: the prompt
    is read anew in pieces of a fixed size, alone, and without drafts. Slower.
    `forced`: the output is these tokens, to learn their log-probabilities; `max_tokens` counts for nothing then.
    `room`: so many tokens at least are to fit where this one is kept, since longer requests will go on from it.
    `least_cached`: refused at once (`NOT_CACHED`) unless so many tokens of the prompt are in the cache: who asks has a
    shorter question ready.
    `beginning`: stands before `prompt` (token ids then); an engine that has been sent it is sent its digest.
    `local`: blend into the model's probabilities how this text and the prompt go on after the same tokens (`blend.py`);
    None: the model alone. `before`: the tokens that the output comes after, for that; empty: the prompt ends with them.
    """

    prompt: tuple[int, ...] | str
    max_tokens: int = 64
    sampling: Sampling = Sampling()
    n: int = 1
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = None
    required_prefix: str = ""
    priority: Priority = Priority.INTERACTIVE
    drafts: tuple[str, ...] = ()
    exact: bool = False
    forced: tuple[int, ...] = ()
    room: int = 0
    least_cached: int = 0
    beginning: Beginning | None = None
    local: LocalName | None = None
    before: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `role`: "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request of `/v1/chat/completions`: what the model of a chat engine answers to `messages`.

    `prediction`: a text that most of the answer is expected to be (code of which a few lines change). It changes
    nothing but the speed, and only engines of ours get it.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 1024
    sampling: Sampling = Sampling()
    n: int = 1
    stop: tuple[str, ...] = ()
    priority: Priority = Priority.REPAIR
    prediction: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts; `cached_tokens` of the prompt came from the KV cache.

    `drafted_tokens` were verified instead of computed one by one, and `accepted_tokens` of them are in the output.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the output of candidate `index`. The last has a `finish_reason`: "stop" or "length".

    `token_ids`, `logprobs` and `top` (the likeliest others, as id and log-probability) go together, one for each token
    that begins in this piece; with token healing the tokens of the required prefix are among them. Foreign engines
    send no ids and no `top`.
    """

    text: str
    index: int = 0
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    top: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """What `/health` says. `state`: "building", "loading", "ready", "failed" or "leaving"; `fraction` 0..1 meanwhile.

    `features` names our own fields that this engine understands; the front uses no others.
    `model_path` is the model directory (tokenizer.json, fim.json), None for foreign engines.
    `prefill_tokens_per_s` is the best measured so far: the context budget follows it.
    `numerics`: what else decides about the last bits of a result: the library, its threads, the processor or card.
    `ways`: how steps of the model are run; `notes`: what could be faster here, and why it is not; `memory`: what of the
    device's memory is for what, in bytes, as planned;
    `resident_bytes`: what the process really has of the machine's (not a card's) memory at this moment.
    """

    protocol: int
    state: str
    model: str
    model_path: str | None = None
    detail: str = ""
    fraction: float = 0.0
    version: str = ""
    device: str = ""
    weights: str = ""
    kv_cache: str = ""
    attention: str = ""
    ways: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    numerics: str = ""
    memory: Mapping[str, int] = field(default_factory=dict)
    context_length: int = 0
    prefill_tokens_per_s: float = 0.0
    features: tuple[str, ...] = ()
    pid: int = 0
    resident_bytes: int = 0
