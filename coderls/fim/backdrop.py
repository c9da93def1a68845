"""The part of a prompt that stays the same from one to the next, so that the engine has read it before.

As much of the repository as the model's context holds stands there, in an order that edits do not change. It is used
only while the engine has it in its cache: reading it takes seconds, and no keystroke waits for that.
"""

from __future__ import annotations

from dataclasses import dataclass

from coderls.beginning import Beginning
from coderls.document import Snippet


@dataclass(frozen=True, slots=True)
class Part:
    """Where text of a prompt came from. `kind`: "prefix", "suffix", "typed" (since an anchor), or a snippet's `source`.

    Lines count from 0; `end_line` is the first line not included. `tokens` is an estimate without a tokenizer.
    """

    kind: str
    path: str
    start_line: int
    end_line: int
    tokens: int


@dataclass(frozen=True)
class Backdrop:
    """`beginning` is what a prompt begins with; `snippets` stand in it in their order, and `parts` say what is where.

    `room`: tokens that it takes at most together with any prompt behind it and its answer.
    """

    snippets: tuple[Snippet, ...]
    parts: tuple[Part, ...]
    beginning: Beginning
    room: int
