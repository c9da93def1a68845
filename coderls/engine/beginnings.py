"""What clients have sent as the beginning of prompts, so that they need not send it again.

It is kept under a digest that is computed here, from ids that a request was run with: nobody can put other ids in
their place. Only who reaches the socket can name one, and whose digest is named holds the ids already.
"""

from __future__ import annotations

from collections import OrderedDict

from coderls.beginning import Beginning

#: One for each window of an editor; 128K tokens take some 5 MB.
MOST = 4


class Beginnings:
    """The last few. Used from the event loop only."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def keep(self, ids: tuple[int, ...]) -> None:
        """Remember these; the one that was used longest ago gives way."""
        self._known[Beginning(ids).digest] = ids
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def get(self, digest: str) -> tuple[int, ...] | None:
        """The ids with this digest; None where they are not known (any more)."""
        if digest in self._known:
            self._known.move_to_end(digest)
        return self._known.get(digest)
