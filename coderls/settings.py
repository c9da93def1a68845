"""Options, as a client or the command line sends them, become frozen settings: once, here.

A bad option is never fatal: it is reported as a `Problem` that names it, and its default is used.
`OPTIONS` at the end is the one table from which the README's list of settings is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coderls.option import Option, auto_or, flag, gigabytes, one_of, seconds, text, texts, url, whole


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine answers, and with what.

    coderls reads no settings from a repository. A client that merges a project's own settings into what it sends
    must leave these out: nothing here can tell where a value came from.
    """

    model: str = "nano"
    url: str = ""
    token: str = ""
    device: str = "auto"
    dtype: str = "auto"
    weights: str = "auto"
    kv_cache: str = "auto"
    native: str = "auto"
    threads: int = 0
    context_length: int = 0
    memory_gb: float = 0.0
    gpu_memory_gb: float = 0.0
    speculation: str = "auto"
    draft_model: str = ""
    battery: str = "auto"
    idle_exit_s: float = 900.0


@dataclass(frozen=True, slots=True)
class CompletionSettings:
    """When and how much to complete.

    `debounce_ms` None: the delay follows how the user types. `deadline_ms` None: lines that are whole are wanted after
    a second, and nobody has to answer before there is one.
    """

    enabled: bool = True
    max_tokens: int = 64
    multiline: str = "auto"
    debounce_ms: int | None = None
    in_comments: bool = False
    in_strings: bool = False
    exclude: tuple[str, ...] = ()
    exclude_languages: tuple[str, ...] = ()
    alternatives: int = 3
    prefix_tokens: int = 0
    suffix_tokens: int = 0
    ahead: str = "auto"
    deadline_ms: int | None = None
    anchored: str = "auto"
    min_worth: str = "auto"
    own_parser: str = "auto"


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What of the repository goes into prompts."""

    enabled: bool = True
    tokens: int = 0
    layout: str = "before"
    whole: str = "auto"
    words: str = "auto"


@dataclass(frozen=True, slots=True)
class RepairSettings:
    """Which repairs are looked for, and who is asked. `url`: a chat engine of its own; empty: `engine` is asked."""

    enabled: bool = True
    checkers: tuple[str, ...] = ()
    diagnostics: str = "off"
    when_idle: bool = True
    unverified: bool = False
    deadline_s: int = 30
    test_command: str = ""
    chat: str = "auto"
    url: str = ""
    token: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class NextEditSettings:
    """Whether to offer the edits that follow from what was changed in a document."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class StatsSettings:
    """Whether to count on this machine what became of completions."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one client."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    completion: CompletionSettings = field(default_factory=CompletionSettings)
    context: ContextSettings = field(default_factory=ContextSettings)
    repair: RepairSettings = field(default_factory=RepairSettings)
    next_edit: NextEditSettings = field(default_factory=NextEditSettings)
    stats: StatsSettings = field(default_factory=StatsSettings)


@dataclass(frozen=True, slots=True)
class Problem:
    """An option that was not used: its name, what is wrong with it, and what happens instead, if something does."""

    option: str
    what: str
    instead: str = ""

    @property
    def message(self) -> str:
        """A sentence for the user."""
        return f"{self.what}; {self.instead}." if self.instead else f"{self.what}."


DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "bfloat16", "float16", "float32")
WEIGHTS = ("auto", "bfloat16", "int8", "int4")
KV_CACHES = ("auto", "int8", "fp8")
NATIVE = ("auto", "off")
SPECULATION = ("auto", "off")
BATTERY = ("auto", "off")

OPTIONS: tuple[Option, ...] = (
    Option("engine.model", "model name (`coderls models list`) or directory", text),
    Option("engine.url", "address of another OpenAI-compatible engine; empty: coderls runs its own", url),
    Option("engine.token", "bearer token for `engine.url`", text),
    Option("engine.device", "`auto`, `cpu`, `cuda` (NVIDIA and ROCm) or `mps` (Apple)", one_of(*DEVICES)),
    Option("engine.dtype", "`auto`, `bfloat16`, `float16` (cards only) or `float32`", one_of(*DTYPES)),
    Option(
        "engine.weights",
        "`auto`, `bfloat16`, `int8` or `int4`: fewer bits are faster, and less exact",
        one_of(*WEIGHTS),
    ),
    Option("engine.kv_cache", "`auto`: exact; `int8` or `fp8`: twice the context in a memory", one_of(*KV_CACHES)),
    Option(
        "engine.native",
        "`auto`: kernels compiled for this machine (C++ for a processor, Triton for a card); `off`: PyTorch's own",
        one_of(*NATIVE),
    ),
    Option("engine.threads", "processor threads for the engine; 0: as many as there are cores", whole(0, 1024)),
    Option(
        "engine.context_length", "longest prompt with its output, in tokens; 0: what memory allows", whole(0, 1 << 20)
    ),
    Option("engine.memory_gb", "memory that the engine may take on the processor, in GB; 0: what is free", gigabytes),
    Option("engine.gpu_memory_gb", "memory that it may take on a card, in GB; 0: what is free", gigabytes),
    Option(
        "engine.speculation",
        "`auto`: guess tokens and verify several in one run where that is faster, which changes no answer; `off`",
        one_of(*SPECULATION),
    ),
    Option(
        "engine.draft_model", "smaller model of the same family that guesses too (0.5B for 7B, say); empty: none", text
    ),
    Option(
        "engine.battery",
        "`auto`: on battery half the threads for prompts, no guessed tokens, and no work that nobody waits for; `off`",
        one_of(*BATTERY),
    ),
    Option("engine.idle_exit_s", "the engine leaves after so many seconds without a request; 0: never", seconds),
    Option("completion.enabled", "offer completions at all", flag),
    Option("completion.max_tokens", "longest completion, in tokens", whole(1, 4096)),
    Option("completion.multiline", "`auto` (by the syntax), `never` or `always`", one_of("auto", "never", "always")),
    Option(
        "completion.debounce_ms",
        "milliseconds from a keystroke to its automatic request; `auto`: by your typing, and longer after rejections",
        auto_or(0, 5000),
    ),
    Option("completion.in_comments", "complete in comments without being asked by a key", flag),
    Option("completion.in_strings", "complete in strings without being asked by a key", flag),
    Option("completion.exclude", "files in which nothing is ever completed, as globs: `*.min.js`, `docs/**`", texts),
    Option("completion.alternatives", "how many different completions to offer when asked by a key", whole(1, 8)),
    Option("completion.exclude_languages", "languages in which nothing is ever completed: `markdown`", texts),
    Option("completion.prefix_tokens", "tokens before the cursor; 0: chosen for the engine", whole(0, 131072)),
    Option("completion.suffix_tokens", "tokens after the cursor; 0: chosen for the engine", whole(0, 131072)),
    Option(
        "completion.anchored",
        "what is typed goes after the middle mark, and a key moves no suffix: `auto` (by the model), `on`, `off`",
        one_of("auto", "on", "off"),
    ),
    Option(
        "completion.min_worth",
        "`auto`: answers that the model itself thinks unlikely are not shown unasked (measured by model); `off`",
        one_of("auto", "off"),
    ),
    Option(
        "completion.own_parser",
        "`auto`: rustc, gofmt, gcc, node, javac ... parse (no more) what is offered, where you have them; `off`",
        one_of("auto", "off"),
    ),
    Option(
        "completion.deadline_ms",
        "an answer comes after so many milliseconds, whatever is slow: the whole lines that there are, or nothing; the "
        "rest with the next key, or when asked again. `auto`: whole lines after 1000, or as soon as there is one; "
        "0: wait for all of it",
        auto_or(0, 60_000),
    ),
    Option(
        "completion.ahead",
        "`auto`: read ahead what a resting cursor will ask and what follows a shown completion, and weigh its prompt "
        "(not on battery); `off`",
        one_of("auto", "off"),
    ),
    Option("context.enabled", "put definitions from other files of the repository into the prompt", flag),
    Option("context.tokens", "tokens for them; 0: chosen for the engine", whole(0, 131072)),
    Option(
        "context.layout",
        "where they go: `before` the current file, or `after-suffix` (the layout of Qwen's published scores)",
        one_of("before", "after-suffix"),
    ),
    Option(
        "context.whole",
        "as much of the repository as fits before all that, once the engine has read it: `auto` (fast engines), "
        "`on`, `off`",
        one_of("auto", "on", "off"),
    ),
    Option(
        "context.words",
        "`auto`: blend into the model's choice of words how the repository goes on after the same ones, for models "
        "whose weights for it were measured (the one that comes with coderls); `off`",
        one_of("auto", "off"),
    ),
    Option("repair.enabled", "offer verified fixes as code actions", flag),
    Option("repair.checkers", "checkers to ask, by name; empty: all that are found", texts),
    Option(
        "repair.diagnostics",
        "`off`, or `onSave`: show what the checkers that coderls runs complain about, where no other server does",
        one_of("off", "onSave"),
    ),
    Option("repair.when_idle", "look for fixes before they are asked for, while you rest", flag),
    Option("repair.unverified", "offer what could not be verified, too, and say so", flag),
    Option(
        "repair.deadline_s",
        "looking for one fix begins nothing new after so many seconds; what runs then is waited for",
        whole(1, 3600),
    ),
    Option(
        "repair.test_command",
        "command that runs a test, `{test}` is the nearest test file: `python -m pytest {test}`; trusted folders only",
        text,
    ),
    Option(
        "repair.chat",
        "`auto`: ask the model in its chat form if its name says instruct or chat; `on`: always; `off`: never",
        one_of("auto", "on", "off"),
    ),
    Option("repair.url", "address of an OpenAI-compatible chat engine for repairs; empty: `engine.*` is asked", url),
    Option("repair.token", "bearer token for `repair.url`", text),
    Option("repair.model", "name of the chat model at `repair.url`; empty: the first that it lists", text),
    Option(
        "next_edit.enabled",
        "offer the edit that follows from your last ones elsewhere in the document (in editors that show it)",
        flag,
    ),
    Option("stats.enabled", "count on this machine, without any text, what became of completions", flag),
)


#: Never repeated in a message or a log.
_SECRET = ("engine.token", "repair.token")
#: Sections that belong to the editor's own client (`coderls.trace.server` of VS Code), not to us.
_EDITORS = ("trace",)


def parse_settings(options: Any, base: Settings | None = None) -> tuple[Settings, list[Problem]]:
    """Settings from nested (`{"engine": {"model": ...}}`) or dotted (`{"engine.model": ...}`) options.

    Unknown and bad options are reported and fall back to `base` (or the defaults); nothing raises.
    """
    settings = base or Settings()
    if options is None:
        return settings, []
    if not isinstance(options, Mapping):
        return settings, [Problem("coderls", f"The options are ignored: an object was expected, not {options!r:.60}")]
    problems: list[Problem] = []
    known = {option.key: option for option in OPTIONS}
    for key, value in _flatten(options):
        option = known.get(key)
        if option is None and key.partition(".")[0] in _EDITORS:
            continue
        if option is None:
            problems.append(Problem(key, f"There is no option {key!r}{_like(key, known)}", "it is ignored"))
        elif value is not None:
            try:
                settings = _with(settings, key, option.check(value))
            except ValueError as error:
                default = "the one before" if key in _SECRET else repr(_get(settings, key))
                given = "this" if key in _SECRET else f"{value!r:.60}"
                problems.append(
                    Problem(key, f"Option {key!r} must be {error}, not {given}", f"{default} is used instead")
                )
    return settings, problems


def _like(key: str, known: Iterable[str]) -> str:
    """The option that was probably meant, as the end of a sentence."""
    import difflib  # noqa: PLC0415 - a start has no slip, as a rule

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    return f": perhaps {near[0]!r} was meant" if near else ""


def _flatten(options: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in options.items():
        if isinstance(value, Mapping) and "." not in str(key):
            flat.extend((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            flat.append((str(key), value))
    return flat


def _get(settings: Settings, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(settings, section), name)


def _with(settings: Settings, key: str, value: Any) -> Settings:
    section, name = key.split(".")
    changed: dict[str, Any] = {section: replace(getattr(settings, section), **{name: value})}
    return replace(settings, **changed)
