"""When Python looks for garbage in a process that somebody waits for: seldom, and never in what stays.

While it looks, everything else stands still. With the index of a middling project in memory a look at all objects takes
fifty milliseconds, and at those that a few questions have left behind ten to thirty.
"""

from __future__ import annotations

import gc

#: So many more objects than were let go make it look at the new ones. A question makes some ten thousand and lets go
#: of nearly all; with Python's own 700, the collector looks at them a dozen times and now and then at all there are.
#: What only it can find (objects that refer to each other) waits the longer, a few megabytes at most.
_YOUNG = 20_000


def look_seldom() -> None:
    """From now on, in this process."""
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def set_aside() -> None:
    """What was made so far stays: it is not looked at again, until the next call. Takes as long as a look at all."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
