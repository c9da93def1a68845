"""The server of this checkout as if it were of another version: `other_server.py VERSION --stdio`.

One before 0.1 knows neither the status nor what came with it.
"""

from __future__ import annotations

import sys
from typing import Any

import coderls
from coderls.cli import main
from coderls.server import methods
from coderls.server.editor import Editor

LATER = {methods.STATUS, methods.EXPLAIN, methods.PAUSE}


def as_before() -> None:
    """Leave out what is newer."""
    able = methods._capabilities

    def fewer(encoding: str, *, popup: bool) -> Any:
        capabilities = able(encoding, popup=popup)
        provider = capabilities.execute_command_provider
        assert provider is not None
        provider.commands = [command for command in provider.commands if command not in LATER]
        return capabilities

    methods._capabilities = fewer
    Editor.status = lambda self, status: None  # type: ignore[method-assign]


if __name__ == "__main__":
    coderls.__version__ = sys.argv.pop(1)
    if coderls.__version__ < "0.1":
        as_before()
    sys.exit(main())
