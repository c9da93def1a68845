"""How long to wait after a keystroke, from how the user types and what they make of the answers. Pure bookkeeping.

Somebody who types fast wants nothing between two keys; an answer that takes long anyway is better asked for at once,
since an early request costs a local engine little. Who rejects answers is asked less often, and at last left alone.
Times are seconds of any steady clock, handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Of the mean time between two keys, this part is waited for a next key.
_OF_INTERVAL = 0.35
_SHORTEST_S, _LONGEST_S = 0.01, 1.0
#: Longer pauses say nothing about typing.
_PAUSE_S = 1.5
_UNKNOWN_INTERVAL_S = 0.15
#: Each rejection makes the delay longer, each accept shorter; both fade (published of Copilot: 1.5, 0.8, ten minutes).
_REJECTED, _ACCEPTED = 1.5, 0.8
_FADES_S = 600.0
_LEAST, _MOST = 0.5, 12.0
#: After so many rejections in a row automatic requests rest for a while.
_ENOUGH = 6
_RESTS_S = 45.0


@dataclass(slots=True)
class Rhythm:
    """One user at one keyboard."""

    _interval: float = _UNKNOWN_INTERVAL_S
    _last_key: float | None = None
    _response: float = 0.0
    _mood: float = 1.0
    _mood_at: float = 0.0
    _in_a_row: int = 0
    _rests_until: float = float("-inf")

    def key(self, now: float) -> None:
        """A keystroke, or another change of a document."""
        if self._last_key is not None and 0 < now - self._last_key < _PAUSE_S:
            self._interval += 0.2 * (now - self._last_key - self._interval)
        self._last_key = now

    def responded(self, seconds: float) -> None:
        """An engine took so long to answer."""
        self._response += 0.3 * (seconds - self._response) if self._response else seconds

    def accepted(self, now: float) -> None:
        """A completion was taken, or a part of it."""
        self._change_mood(_ACCEPTED, now)
        self.invoked()

    def rejected(self, now: float) -> None:
        """A completion was seen, and something else was typed."""
        self._change_mood(_REJECTED, now)
        self._in_a_row += 1
        if self._in_a_row >= _ENOUGH:
            self._in_a_row = 0
            self._rests_until = now + _RESTS_S

    def invoked(self) -> None:
        """The user asked for an answer: they are wanted again."""
        self._in_a_row = 0
        self._rests_until = float("-inf")

    def rests(self, now: float) -> bool:
        """Whether automatic requests are left out for now."""
        return now < self._rests_until

    def delay(self, now: float) -> float:
        """Seconds from a keystroke to its request."""
        waited = _OF_INTERVAL * self._interval - 0.1 * self._response
        return min(_LONGEST_S, max(_SHORTEST_S, waited) * self._faded(now))

    def _change_mood(self, factor: float, now: float) -> None:
        self._mood = min(_MOST, max(_LEAST, self._faded(now) * factor))
        self._mood_at = now

    def _faded(self, now: float) -> float:
        """The mood now: on its way back to 1."""
        left = max(0.0, 1.0 - (now - self._mood_at) / _FADES_S)
        return float(self._mood**left)
