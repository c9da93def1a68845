"""Frozen dataclasses from JSON, checked by their types. (The way there is `dataclasses.asdict`.)"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], data: Any, where: str = "the record") -> T:
    """`data`, as `json.loads` gives it, as a `kind`. Raises ValueError that names the place that is wrong.

    What is missing has its default; names that `kind` does not know are passed over.
    """
    found: T = _decoded(kind, data, where)
    return found


def _decoded(kind: Any, data: Any, where: str) -> Any:
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _object(kind, data, where)
    if origin in (Union, types.UnionType):
        return _any_of(get_args(kind), data, where)
    if origin is tuple:
        return _row(get_args(kind), data, where)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(kind)[1], data, where)
    if origin is frozenset:
        return frozenset(_row((get_args(kind)[0], ...), data, where))
    return _plain(kind, data, where)


def _object(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object")
    hints = _hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _decoded(hints[field.name], data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where} has no {field.name}")
    return kind(**values)


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _any_of(kinds: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in kinds:
        return None
    for kind in kinds:
        try:
            return _decoded(kind, data, where)
        except ValueError as error:
            reason = error
    raise reason


def _row(kinds: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise ValueError(f"{where} must be a list")
    if len(kinds) == 2 and kinds[1] is ...:
        return tuple(_decoded(kinds[0], each, f"{where}[{number}]") for number, each in enumerate(data))
    if len(kinds) != len(data):
        raise ValueError(f"{where} must have {len(kinds)} entries")
    pairs = zip(kinds, data, strict=True)
    return tuple(_decoded(kind, each, f"{where}[{number}]") for number, (kind, each) in enumerate(pairs))


def _mapping(kind: Any, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object")
    return {str(name): _decoded(kind, value, f"{where}.{name}") for name, value in data.items()}


def _plain(kind: Any, data: Any, where: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and issubclass(kind, IntEnum) and data in list(kind):
        return kind(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"{where} must be {'null' if kind is type(None) else kind.__name__}")
    return data
