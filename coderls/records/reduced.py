"""A record made small: what a test of the same fault needs, and no more of anybody's code than that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from coderls.document import ParseFile
from coderls.engine.api import Chunk
from coderls.fim.prompt import Prompt
from coderls.fim.stopping import gap_at
from coderls.records.record import Change, Identity, Place, Record, Stream
from coderls.records.replay import Replay, replay_recorded

#: So often it is tried to leave lines out.
_MOST_TRIES = 200


async def as_test(record: Record, parse: ParseFile) -> Record:
    """The record without what its replay does not need: other files' text, tokens, the machine, and all lines of the
    document that can go without another outcome. `shown` is what comes now: correct it to what should come.
    """
    outcome = await replay_recorded(record, parse)
    wanted = _relative(outcome.shown, record.place.offset)

    async def same(place: Place) -> bool:
        again: Replay = await replay_recorded(_at(record, place), parse)
        return _relative(again.shown, place.offset) == wanted

    place = await _fewer_lines(record.place, same)
    made = _at(record, place)
    shown = (await replay_recorded(made, parse)).shown
    prompt = Prompt((), made.prompt.parts, None, "", "")
    streams = tuple(_plain(stream) for stream in record.streams)
    return replace(made, prompt=prompt, streams=streams, shown=shown, snippets=(), identity=Identity(), at="")


def _relative(shown: tuple[Change, ...], offset: int) -> list[tuple[str, int, int]]:
    return [(change.text, change.start - offset, change.end - offset) for change in shown]


def _at(record: Record, place: Place) -> Record:
    moved = replace(record, place=place)
    gap = gap_at(moved.document, place.offset, record.completion.multiline)
    return replace(moved, gap=gap, shown=())


async def _fewer_lines(place: Place, same: Callable[[Place], Awaitable[bool]]) -> Place:
    """Leave out ever smaller runs of whole lines, as long as the outcome stays (delta debugging, Zeller 1999)."""
    tries = 0
    size = max(1, place.text.count("\n") // 2)
    while size:
        start = 0
        while start < (lines := place.text.count("\n") + 1) and tries < _MOST_TRIES:
            shorter = _without(place, start, min(start + size, lines))
            tries += 1
            if shorter is not None and await same(shorter):
                place = shorter
            else:
                start += size
        size //= 2
    return place


def _without(place: Place, first: int, last: int) -> Place | None:
    """Without the lines `first` up to `last`; None where the cursor is in them."""
    lines = _lines(place.text)
    before, gone, after = "".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:])
    if not gone or len(before) <= place.offset <= len(before) + len(gone) - (1 if after else 0):
        return None
    offset = place.offset if place.offset < len(before) else place.offset - len(gone)
    return replace(place, text=before + after, offset=offset)


def _lines(text: str) -> list[str]:
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _plain(stream: Stream) -> Stream:
    """The stream without its prompt and token ids: the text is what is judged."""
    chunks = tuple(
        Chunk(chunk.text, chunk.index, logprobs=chunk.logprobs, finish_reason=chunk.finish_reason)
        for chunk in stream.chunks
    )
    return replace(stream, asked=replace(stream.asked, prompt="", drafts=()), chunks=chunks)
