"""Texts of repositories that clients gave the engine, to be blended into what its model says (`blend.py`).

One is known by the SHA-256 of its ids, which is computed here: nobody can put another in its place. Only who reaches
the socket can name one, and who knows its digest has the ids already.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from collections import OrderedDict

import numpy as np

from coderls.engine.api import LONGEST_LOCAL, UNKNOWN_LOCAL
from coderls.engine.blend import GAP, LocalText
from coderls.errors import RequestRefused

#: One for each window of an editor. A million tokens take 12 MB.
MOST = 4
_BYTES = 4


class LocalTexts:
    """The last few. `take` and `get` may be called from several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, LocalText] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, encoded: object, vocabulary: int) -> str:
        """Keep a text and return its digest; the one that was used longest ago gives way.

        `encoded`: base64 of the ids, each as four bytes (little-endian, signed), `GAP` between two files. Takes some
        tens of milliseconds. Raises RequestRefused.
        """
        if not isinstance(encoded, str):
            raise RequestRefused("'ids' must be a string in base64.")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RequestRefused(f"'ids' is no base64: {error}.") from error
        if len(data) % _BYTES or len(data) > _BYTES * LONGEST_LOCAL:
            raise RequestRefused(f"'ids' must be four bytes for each of at most {LONGEST_LOCAL} tokens.", "Send less.")
        ids = np.frombuffer(data, dtype="<i4").astype(np.int32)
        if len(ids) and not (ids.min() >= GAP and ids.max() < vocabulary):
            raise RequestRefused(f"'ids' must be {GAP} (between files) or tokens of this model.")
        digest = hashlib.sha256(data).hexdigest()
        text = self._known.get(digest) or LocalText(ids)
        with self._lock:
            self._known[digest] = text
            self._known.move_to_end(digest)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return digest

    def get(self, digest: str) -> LocalText | None:
        """The text with this digest; None for "". Raises RequestRefused where it is not known (any more)."""
        if not digest:
            return None
        with self._lock:
            found = self._known.get(digest)
            if found is None:
                raise RequestRefused("This local text is not known here.", "Send it first.", UNKNOWN_LOCAL)
            self._known.move_to_end(digest)
        return found
