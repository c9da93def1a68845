"""Text of a repository on somebody's terminal: a terminal obeys control characters, and a file name may hold any."""

from __future__ import annotations

import re

#: Control characters, line ends, marks that turn the direction of writing, and bytes that are no UTF-8.
_OBEYED = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str, keep: str = "") -> str:
    """`text` with an escape (`\\x1b`, `\\n`, `\\u202e`) for each character that a terminal obeys instead of showing it.

    `keep`: those that stay all the same.
    """
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)
