"""Which tokens are in which KV slot, and which slot a request gets. Bookkeeping only: no tensors here.

A slot holds the KV of one run of tokens. A new request goes on from the slot that shares the longest prefix with
it, exact to the token, and that was computed the same way: keys of a sequence with YaRN (`long`) are other numbers than
those of one without. A prefix that must stay (its slot is in use, or holds much that the request would destroy)
is copied to another slot. Slots have several lengths; the smallest that fits is taken, the least recently used first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Grant:
    """A slot for a request. Its first `cached` tokens are there, after `copy_from` (if any) was copied to it."""

    slot: int
    cached: int
    copy_from: int | None = None


@dataclass(slots=True)
class _Slot:
    length: int
    tokens: list[int] = field(default_factory=list)
    long: bool = False
    in_use: bool = False
    spare: bool = False  # what is in it was made by somebody who spares the others
    last_used: int = 0


def common_prefix(left: Sequence[object], right: Sequence[object]) -> int:
    """How many tokens (or characters) the two have in common at their start."""
    size = min(len(left), len(right))
    if left[:size] == right[:size]:  # one comparison in C: a prompt that only grew
        return size
    low, high = 0, size  # left[:low] is equal, left[:high] is not
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low


class KvSlots:
    """The slots of one runner, with room for `lengths[i]` tokens each."""

    def __init__(self, lengths: Sequence[int]) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"a runner needs at least one slot with room, not {list(lengths)}")
        self._slots = [_Slot(length) for length in lengths]
        self._clock = 0

    @property
    def longest(self) -> int:
        """Room of the longest slot, in tokens."""
        return max(slot.length for slot in self._slots)

    def tokens(self, slot: int) -> Sequence[int]:
        """The tokens whose KV is in `slot`."""
        return self._slots[slot].tokens

    def holds(self, slot: int, tokens: Sequence[int], *, long: bool) -> bool:
        """Whether exactly these tokens, computed in this way, are in `slot`."""
        entry = self._slots[slot]
        return entry.tokens == list(tokens) and entry.long == long

    @property
    def in_use(self) -> frozenset[int]:
        """The slots that somebody holds."""
        return frozenset(number for number, slot in enumerate(self._slots) if slot.in_use)

    def length(self, slot: int) -> int:
        """Room of one slot, in tokens."""
        return self._slots[slot].length

    def has_free(self, room: int) -> bool:
        """Whether a slot with room for `room` tokens is free."""
        return any(not slot.in_use and slot.length >= room for slot in self._slots)

    def cached(self, tokens: Sequence[int], *, long: bool) -> int:
        """How many of `tokens` a request for them would find, but for the last, which is always computed."""
        wanted = list(tokens[:-1])
        return max((common_prefix(slot.tokens, wanted) for slot in self._slots if slot.long == long), default=0)

    def acquire(
        self, tokens: Sequence[int], room: int, *, long: bool = False, fresh: bool = False, spares: bool = False
    ) -> Grant | None:
        """A slot for `tokens` (at least one) with room for `room`, or None while all that fit are in use.

        At least the last token is left to compute, since its logits are needed. `long`: see `Work.long`. `fresh`:
        nothing that is there is used. `spares`: what others left is copied where there is another slot, not taken over.
        """
        if not tokens:
            raise ValueError("a request needs at least one token")
        wanted = list(tokens[:-1])
        free = [number for number, slot in enumerate(self._slots) if not slot.in_use and slot.length >= room]
        if not free:
            return None
        shared = [common_prefix(slot.tokens, wanted) if slot.long == long and not fresh else 0 for slot in self._slots]
        target = self._spare(free, shared) if spares else self._target(free, shared)
        source = max(range(len(shared)), key=lambda number: (shared[number], number == target))
        cached = shared[source]
        self._clock += 1
        slot = self._slots[target]
        slot.tokens = wanted[:cached]
        slot.long = long
        slot.in_use = True
        slot.spare = spares
        slot.last_used = self._clock
        return Grant(target, cached, None if source == target else source)

    def _target(self, free: list[int], shared: list[int]) -> int:
        """The free slot to use: the best match where that keeps most of what it holds, else the oldest that fits."""
        best = max(free, key=lambda number: (shared[number], -self._slots[number].length))
        if shared[best] and shared[best] * 2 >= len(self._slots[best].tokens):
            return best
        return self._oldest(free)

    def _spare(self, free: list[int], shared: list[int]) -> int:
        """A free slot that was spare before, else the oldest but the best match."""
        best = max(range(len(shared)), key=shared.__getitem__)
        mine = [number for number in free if self._slots[number].spare]
        return self._oldest(mine or [number for number in free if number != best] or free)

    def _oldest(self, free: list[int]) -> int:
        return min(free, key=lambda number: (self._slots[number].length, self._slots[number].last_used))

    def extend(self, slot: int, tokens: Sequence[int]) -> None:
        """Note that the KV of `tokens` was appended to `slot`."""
        entry = self._slots[slot]
        if not entry.in_use or len(entry.tokens) + len(tokens) > entry.length:
            raise ValueError(f"slot {slot} is not in use, or has no room for {len(tokens)} more tokens")
        entry.tokens.extend(tokens)

    def release(self, slot: int) -> None:
        """Nobody writes to `slot` any more; what is in it stays until the room is needed."""
        self._clock += 1
        self._slots[slot].in_use = False
        self._slots[slot].last_used = self._clock

    def forget(self, slot: int) -> None:
        """What is in `slot` cannot be trusted (a run failed): nobody may go on from it."""
        self._slots[slot].tokens = []

    def check(self) -> None:
        """Raise RuntimeError when the books do not add up."""
        for number, slot in enumerate(self._slots):
            if len(slot.tokens) > slot.length:
                raise RuntimeError(f"KV slot {number} holds {len(slot.tokens)} tokens in room for {slot.length}")
            if slot.last_used > self._clock:
                raise RuntimeError(f"KV slot {number} was last used in the future")
        stamps = [slot.last_used for slot in self._slots if slot.last_used]
        if len(stamps) != len(set(stamps)):
            raise RuntimeError("two KV slots were last used at the same moment")
