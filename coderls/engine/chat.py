"""Chat messages become token ids by the model's own template; text of a user never becomes a control token.

The template is rendered as text, and that text is then cut at the names of control tokens. Wherever a message
itself holds such a name, or an end or a beginning of one at its edge, a private-use character is put into it first,
and taken out again when the plain parts are encoded. (transformers would do the rendering, at a second of import.)
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coderls.errors import RequestRefused
from coderls.tokenizer import Tokenizer

if TYPE_CHECKING:
    import jinja2

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


ROLES = ("system", "developer", "user", "assistant", "tool")


class ChatTemplate:
    """The chat template of one model directory, compiled when it is first used."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        names = sorted(tokenizer.special, key=len, reverse=True)
        self._control = re.compile("|".join(re.escape(name) for name in names) or r"(?!)")

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Control tokens that end a turn."""
        names = [_token_name(self._config.get("eos_token")), "<|im_end|>", "<|endoftext|>"]
        ids = [self._tokenizer.special_id(name) for name in names if name]
        return tuple(dict.fromkeys(number for number in ids if number is not None))

    def encode(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids of the conversation (`role` and `content` each), up to where the assistant's next turn begins.

        Raises RequestRefused when the model has no template or the template refuses these messages.
        """
        import jinja2  # noqa: PLC0415  most engines never get a chat request

        mark = _unused_character(messages)
        wrong = next((message["role"] for message in messages if message["role"] not in ROLES), None)
        if wrong is not None:  # templates write roles between control tokens, or as a part of one: `<|user|>`
            raise RequestRefused(f"There is no role {wrong!r:.40}.", "Roles are " + ", ".join(ROLES) + ".")
        guarded = [{**message, "content": self._guard(message["content"], mark)} for message in messages]
        try:
            text = self._template.render(
                messages=guarded,
                add_generation_prompt=True,
                bos_token=_token_name(self._config.get("bos_token")) or "",
                eos_token=_token_name(self._config.get("eos_token")) or "",
                tools=None,
            )
        except (jinja2.TemplateError, TypeError, KeyError, ValueError) as error:
            raise RequestRefused(
                f"The model's chat template refuses these messages: {str(error).replace(mark, '')}."
            ) from error
        return self._ids(text, mark)

    def _guard(self, text: str, mark: str) -> str:
        """`text` with `mark` inside of every control token's name, and at an edge that is a part of one."""
        text = self._control.sub(lambda found: found[0][0] + mark + found[0][1:], text)
        names = self._tokenizer.special
        inner = bool(text) and any(text in name for name in names)
        if inner or any(text.endswith(name[:size]) for name in names for size in range(1, len(name))):
            text += mark
        if inner or any(text.startswith(name[size:]) for name in names for size in range(1, len(name))):
            text = mark + text
        return text

    def _ids(self, text: str, mark: str) -> list[int]:
        ids: list[int] = []
        at = 0
        for found in self._control.finditer(text):
            ids += self._tokenizer.encode(text[at : found.start()].replace(mark, ""))
            ids.append(self._tokenizer.special[found[0]])
            at = found.end()
        return ids + self._tokenizer.encode(text[at:].replace(mark, ""))

    @cached_property
    def _config(self) -> dict[str, Any]:
        try:
            raw = json.loads((self._folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # a model without one can still complete; chat falls back to ChatML or is refused
        return raw if isinstance(raw, dict) else {}

    def _source(self) -> str:
        file = self._folder / "chat_template.jinja"
        if file.is_file():
            return file.read_text(encoding="utf-8")
        source = self._config.get("chat_template")
        if isinstance(source, list):  # several, by name
            named = {entry.get("name"): entry.get("template") for entry in source if isinstance(entry, dict)}
            source = named.get("default")
        if isinstance(source, str):
            return source
        if {"<|im_start|>", "<|im_end|>"} <= set(self._tokenizer.special):
            return CHATML
        raise RequestRefused("This model has no chat template.", "Use /v1/completions, or a chat model.")

    @cached_property
    def _template(self) -> jinja2.Template:
        import jinja2  # noqa: PLC0415
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

        def refuse(message: str) -> None:
            raise jinja2.TemplateError(message)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        # What templates may use beside jinja2's own: the same names as in transformers.
        environment.filters["tojson"] = lambda value, **options: json.dumps(value, **{"ensure_ascii": False, **options})
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            return environment.from_string(self._source())
        except jinja2.TemplateError as error:
            raise RequestRefused(f"The model's chat template is broken: {error}.", "Fetch the model again.") from error


def _token_name(value: Any) -> str | None:
    """tokenizer_config.json writes a token as its name or as an object with `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _unused_character(messages: list[dict[str, str]]) -> str:
    """A private-use character that no message holds."""
    used = set(json.dumps(messages, ensure_ascii=False))
    return next(char for char in map(chr, range(0xF0000, 0x10FFFE)) if char not in used)
