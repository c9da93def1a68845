"""Token ids that many prompts begin with, known by a digest: an engine is sent them once, and not again at each key."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, eq=False)
class Beginning:
    """Two are equal where their ids are. Comparing and hashing them costs nothing once each digest is made."""

    ids: tuple[int, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the ids, each as four bytes (little-endian), in hexadecimal."""
        return hashlib.sha256(struct.pack(f"<{len(self.ids)}I", *self.ids)).hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Beginning) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)
