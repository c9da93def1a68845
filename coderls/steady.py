"""Which snippets stand in the prompts of somebody who types: those of the key before, until others are worth it.

What the index finds best changes every few keys, by a little, and whatever comes behind a snippet in the prompt has
then to be read anew: some hundred tokens for a signature that is hardly likelier than the one that it replaces. So
both sides are counted in tokens. A definition that the next line needs is worth reading `WORTH` tokens, the index
says how likely each is needed, and the two prompts say what each costs. By this, members of the object before a typed
dot come at once; the same definitions in another order do not. Where the prompt is new anyway (a jump), the best is
taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coderls.document import Piece, Snippet
from coderls.engine.kv_slots import common_prefix
from coderls.fim.prompt import Prompt

#: Tokens that may be read anew for a definition that is surely needed (`benchmarks.keystroke steady` weighs it).
WORTH = 2_000
#: How likely code is needed that is like that at the cursor: its scores are no likelihoods.
_LIKE_THAT = 0.05
#: Characters in a token, for engines whose tokenizer we do not have.
_CHARACTERS = 3
_DOCUMENTS = 16

Content = tuple[int, ...] | str


@dataclass(frozen=True, slots=True)
class Standing:
    """The `snippets` of the last prompt in a document, in their order, and that prompt. `state`: what the folder was
    like then; in another state they may not be what the files say any more."""

    snippets: tuple[Snippet, ...]
    content: Content
    state: object


class Steady:
    """What stands in each document that is being typed in. Bounded; never asked across threads."""

    def __init__(self) -> None:
        self._standing: OrderedDict[str, Standing] = OrderedDict()

    def settle(
        self,
        uri: str,
        fresh: Sequence[Snippet],
        state: object,
        build: Callable[[Sequence[Snippet]], Prompt],
        *,
        budget: int,
        keep: bool = True,
    ) -> tuple[tuple[Snippet, ...], Prompt]:
        """The snippets for a prompt, and the prompt. `fresh`: what the index finds best, in `state`; `build` makes a
        prompt with snippets; `budget`: their tokens. `keep`: this prompt is going to be read by the engine, and the
        next one follows on it; not so for one that is asked ahead.
        """
        old = self._standing.get(uri)
        if old is not None and (old.state != state or sum(each.tokens for each in old.snippets) > budget):
            old = None
        snippets, prompt = settled(old, tuple(fresh), build)
        if keep:
            self._standing[uri] = Standing(snippets, prompt.content, state)
            self._standing.move_to_end(uri)
            while len(self._standing) > _DOCUMENTS:
                self._standing.popitem(last=False)
        return snippets, prompt


def settled(
    old: Standing | None, fresh: tuple[Snippet, ...], build: Callable[[Sequence[Snippet]], Prompt], worth: int = WORTH
) -> tuple[tuple[Snippet, ...], Prompt]:
    """The snippets of `old`, or `fresh` in the order that costs least, and the prompt with them."""
    if old is None or not old.snippets or not fresh or old.snippets == fresh:
        return fresh, build(fresh)
    held = build(old.snippets)
    cached = common_prefix(old.content, held.content) if type(old.content) is type(held.content) else 0
    lacking = _tokens(held.content, cached)
    if lacking * 2 > _tokens(held.content, 0):
        return fresh, build(fresh)
    gained = worth * gain(old.snippets, fresh)
    if gained + lacking < sum(piece.tokens for piece in _others(fresh, old.snippets)):
        return old.snippets, held  # they have to be read, wherever they stand
    ordered = arranged(old.snippets, fresh)
    anew = build(ordered)
    cost = _tokens(anew.content, common_prefix(old.content, anew.content)) - lacking
    return (ordered, anew) if gained > cost else (old.snippets, held)


def gain(old: Sequence[Snippet], fresh: Sequence[Snippet]) -> float:
    """How many more of the definitions that the next line needs are likely in `fresh` than in `old`.

    Nobody knows how likely those are now that are in `old` alone: at most as the least likely of `fresh`, or they would
    be there.
    """
    least = min((_likelihood(piece) for snippet in fresh for piece in snippet.pieces), default=0.0)
    lost = sum(min(_likelihood(piece), least) for piece in _others(old, fresh))
    return sum(map(_likelihood, _others(fresh, old))) - lost


def arranged(old: Sequence[Snippet], fresh: Sequence[Snippet]) -> tuple[Snippet, ...]:
    """`fresh`, with what stands first in `old` first, as long as it is the same: that far the prompt is cached."""
    first: list[Snippet] = []
    for snippet in old:
        if snippet not in fresh:
            break
        first.append(snippet)
    return (*first, *(snippet for snippet in fresh if snippet not in first))


def _others(of: Sequence[Snippet], than: Sequence[Snippet]) -> list[Piece]:
    """Pieces that are in `of` and not in `than`; the same one in short, or with all that it says, is the same."""
    known = {(snippet.path, piece.start_line, piece.name) for snippet in than for piece in snippet.pieces}
    return [
        piece for snippet in of for piece in snippet.pieces if (snippet.path, piece.start_line, piece.name) not in known
    ]


def _likelihood(piece: Piece) -> float:
    return piece.score if piece.name else _LIKE_THAT


def _tokens(content: Content, since: int) -> int:
    """Tokens behind the first `since` (characters in a text)."""
    rest = len(content) - since
    return -(-rest // _CHARACTERS) if isinstance(content, str) else rest
