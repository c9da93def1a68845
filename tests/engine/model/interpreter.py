"""Triton's interpreter, without most of what it does twice.

At each launch it puts functions of its own in the place of the language's, and again at each call of a function inside
of a kernel: for every block of a cache that takes ten times as long as the arithmetic. Once for each module and launch
is enough.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Patch the interpreter, where there is one."""
    if find_spec("triton") is None:
        return
    from triton.runtime import interpreter

    launch, prepare = interpreter.GridExecutor.__call__, interpreter._patch_lang
    prepared: set[str] = set()

    def launched(self: Any, *args: Any, **options: Any) -> None:
        prepared.clear()
        launch(self, *args, **options)

    def called(self: Any, *args: Any, **options: Any) -> Any:
        if self.fn.__module__ not in prepared:
            prepared.add(self.fn.__module__)
            prepare(self.fn)
        return self.rewrite()(*args, **options)

    patch.setattr(interpreter.GridExecutor, "__call__", launched)
    patch.setattr(interpreter.InterpretedFunction, "__call__", called)
