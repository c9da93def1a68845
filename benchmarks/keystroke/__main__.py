"""Completions as somebody at a keyboard meets them.

    python -m benchmarks.keystroke [latency]    milliseconds at drawn places, through LSP
    python -m benchmarks.keystroke typed        real lines typed key by key, through LSP
    python -m benchmarks.keystroke judged       completions in five languages, judged by their own parsers
    python -m benchmarks.keystroke anchored     tokens that a key costs a prompt, plain and anchored
    python -m benchmarks.keystroke steady       the same with code of other files, the best or the steady

Each has its own `--help`.
"""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = ("latency", "typed", "judged", "anchored", "steady")


def main(words: list[str]) -> int:
    """Run the named part, `latency` where none is named; returns the exit code."""
    if words[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    named = bool(words) and words[0] in COMMANDS
    part = import_module(f"benchmarks.keystroke.{words[0] if named else 'latency'}")
    return int(part.main(words[1:] if named else words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
