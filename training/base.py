"""The model to begin from: the embedded one without its delta.

python -m training.base DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from coderls.errors import CoderlsError
from coderls.models import embedded, recipe


def main(argv: Sequence[str] | None = None) -> int:
    """Build it in a folder and print where it is; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(embedded.build(recipe.nano_recipe().without_delta(), into=Path(arguments[0])).path)
    except CoderlsError as error:
        print(f"base: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
