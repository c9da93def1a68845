"""lsprotocol's types, each finished when it is first used.

attrs writes and compiles the methods of some 550 classes when `lsprotocol.types` is imported, and lsprotocol looks up
their annotations before it has read a message: half a second, most of a start. A session uses some sixty of them. Here
the import leaves the classes as they are written, and one is finished, as lsprotocol would have it, when its fields are
asked for or its first value is made. Import this before anything else imports lsprotocol; later it does nothing.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, TypeVar

import attrs

T = TypeVar("T")

#: Of the classes that are being finished: two threads may need the same one.
_FINISHING = threading.RLock()


class _Late:
    """In place of a class's fields: finishes the class when they are asked for, by it or by a class below it."""

    def __get__(self, instance: object, owner: type) -> Any:
        for each in owner.__mro__:
            if each.__dict__.get("__attrs_attrs__") is self:
                _finish(each)
        return owner.__attrs_attrs__  # type: ignore[attr-defined]


_LATE = _Late()


def _finish(owner: type) -> None:
    with _FINISHING:
        if owner.__dict__["__attrs_attrs__"] is _LATE:
            attrs.define(owner, slots=False, init=True)  # with slots it would be another class
            attrs.resolve_types(owner, sys.modules[owner.__module__].ALL_TYPES_MAP, {})


def _late(owner: type[T]) -> type[T]:
    """What stands for `attrs.define` while lsprotocol's types are read."""

    def first(self: object, *args: Any, **named: Any) -> None:
        """In place of `__init__`: finishes the class, and calls the one that it has then."""
        _finish(owner)
        owner.__init__(self, *args, **named)

    owner.__attrs_attrs__ = _LATE  # type: ignore[attr-defined]
    owner.__init__ = first  # type: ignore[method-assign]
    return owner


def _import() -> None:
    define = attrs.define
    others = 0

    def define_later(owner: type[T] | None = None, **options: Any) -> Any:
        nonlocal others
        if owner is not None and not options:
            return _late(owner)
        others += 1  # lsprotocol 2025.0 has none with options; those are left to attrs
        return define(owner, **options)

    attrs.define = define_later  # type: ignore[assignment]
    try:
        import lsprotocol.types  # noqa: F401, PLC0415
    finally:
        attrs.define = define
    from lsprotocol import _hooks  # noqa: PLC0415

    if not others:
        _hooks._resolved_forward_references = True  # each class's are, when it is finished


if "lsprotocol.types" not in sys.modules:
    _import()
