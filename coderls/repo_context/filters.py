"""Which files are source that people write, by name and by text."""

from __future__ import annotations

import re
from fnmatch import translate

from coderls.repo_context.exclusion import Reason
from coderls.repo_context.languages import by_path, is_settings_file

#: Longer files are not indexed (bytes).
MAX_FILE_BYTES = 1_000_000
#: Longer paths (characters) are no names that people give, and would fill a prompt.
_MAX_PATH = 500
#: Folders that are skipped where no git says what is ignored.
NOT_SOURCE = frozenset(
    {"node_modules", "__pycache__", "site-packages", ".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache",
     ".pytest_cache", ".cache", ".idea", ".vscode", ".gradle", ".next"}
)  # fmt: skip
_GENERATED_NAMES = (
    "*.min.js", "*.min.mjs", "*.bundle.js", "*_pb2.py", "*_pb2_grpc.py", "*_pb2.pyi", "*.pb.go", "*.pb.cc", "*.pb.h",
    "*.g.cs", "*.designer.cs", "*_generated.go", "zz_generated.*",
)  # fmt: skip
_MACHINE_NAME = re.compile("|".join(translate(pattern) for pattern in _GENERATED_NAMES))
#: `@generated` at the beginning of a comment, or a sentence that says so.
_GENERATED = re.compile(
    r"^[ \t]*(?:#|//|/?\*+|--|<!--)[ \t]*@generated\b"
    r"|\b(?:code|file) (?:is |was )?(?:auto-?|automatically )?generated\b.*\bdo not (?:edit|modify)",
    re.IGNORECASE | re.MULTILINE,
)
#: Where a file says that it is generated (characters).
_HEAD = 2_000
#: Characters a line, on average, that nobody writes.
_LONG_LINES = 250


def is_plain(path: str) -> bool:
    """Whether a path can be written into a prompt: no broken UTF-8, no line ends, not very long."""
    return len(path) <= _MAX_PATH and path.isprintable()


def name_reason(path: str) -> Reason | None:
    """Why the name alone keeps a file out; None for source and for settings files that imports are resolved by."""
    if not is_plain(path):
        return Reason.NAME
    name = path.rpartition("/")[2]
    if by_path(path) is None:
        return None if is_settings_file(name) else Reason.LANGUAGE
    return Reason.MACHINE_NAME if _MACHINE_NAME.match(name.lower()) else None


def text_reason(text: str) -> Reason | None:
    """Why a text is not one that people write."""
    head = text[:_HEAD]
    if "generated" in head.lower() and _GENERATED.search(head):
        return Reason.GENERATED
    if len(text) > _HEAD and len(text) / (text.count("\n") + 1) > _LONG_LINES:
        return Reason.MINIFIED
    return None


def decoded(data: bytes) -> str:
    """Source as text, without a byte order mark; broken UTF-8 becomes U+FFFD."""
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def is_binary(data: bytes) -> bool:
    """Whether this is no text (or UTF-16, which no compiler of our languages expects)."""
    return b"\0" in data[:8192]
