"""What an option is, and the checks that its value has to pass: `settings.py` makes its table of them."""

# ruff: noqa: D103  (each check says what it wants in its error)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Sections that no project may set. Here nothing can tell where a value came from: an editor's client has to.
_GUARDED = ("engine", "repair")


@dataclass(frozen=True, slots=True)
class Check:
    """Turns a raw value into a setting, or raises ValueError with the end of the sentence "it must be ...".

    `schema` says the same in JSON Schema, for editors that help with writing settings.
    """

    schema: Mapping[str, Any]
    read: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return self.read(value)


def _check(**schema: Any) -> Callable[[Callable[[Any], Any]], Check]:
    return lambda read: Check(schema, read)


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `section.name`, what it is for, and the check that a value has to pass."""

    key: str
    help: str
    check: Check

    @property
    def is_guarded(self) -> bool:
        """Whether an editor must not take it from a project's own settings: it chooses what runs, or who is asked."""
        return self.key.partition(".")[0] in _GUARDED


@_check(type="string")
def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string")
    return value


@_check(type="boolean")
def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def one_of(*choices: str) -> Check:
    @_check(type="string", enum=list(choices))
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return str(value)

    return check


def whole(low: int, high: int) -> Check:
    @_check(type="integer", minimum=low, maximum=high)
    def check(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON clients send 64.0 for 64
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def auto_or(low: int, high: int) -> Check:
    @_check(type=["integer", "string"], pattern="^auto$", minimum=low, maximum=high)
    def check(value: Any) -> int | None:
        try:
            number: int | None = None if value in ("auto", None) else whole(low, high)(value)
        except ValueError as error:
            raise ValueError(f"`auto` or {error}") from None
        return number

    return check


@_check(type="array", items={"type": "string", "minLength": 1})
def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("a list of strings")
    return tuple(value)


@_check(type="number", minimum=0)
def seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise ValueError("a number of seconds, 0 or more")
    return float(value)


@_check(type="number", minimum=0)
def gigabytes(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
        raise ValueError("a number of gigabytes, 0 or more")
    return float(value)


@_check(type="string", pattern="^$|^(https?://|unix:)")
def url(value: Any) -> str:
    if not isinstance(value, str) or (value and not value.startswith(("http://", "https://", "unix:"))):
        raise ValueError("an address that begins with http://, https:// or unix:")
    return value.rstrip("/")
