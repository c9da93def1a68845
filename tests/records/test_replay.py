"""Records made again: from what the engine said, and by an engine that is asked now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coderls.document import Snippet
from coderls.engine.api import Chunk
from coderls.errors import EngineUnreachable
from coderls.fim.model import FimModel
from coderls.question import CompletionRequest, Tools
from coderls.records.record import Identity, Record, read_record, written
from coderls.records.recorder import Recorder, records_in
from coderls.records.reduced import as_test
from coderls.records.replay import replay_live, replay_recorded
from coderls.repo_context.parse import parse_file
from coderls.settings import Settings
from tests.marked_text import at_cursor

from .conftest import HEALTH, Make, Script

MARKED = "import os\n\n\ndef area(w, h):\n    return $0\n\n\nprint(area(1, 2))\n"
CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
async def test_cases(file: Path) -> None:
    """Each file beside this one is a record that was made into a test by `coderls replay FILE --as-test`."""
    outcome = await replay_recorded(read_record(file), parse_file)
    assert outcome.faults == ()


async def test_the_same_comes_of_the_same(make: Make) -> None:
    record = await make(MARKED, "w * h\n\nmore", "h * w\n", "(w\n")
    outcome = await replay_recorded(record, parse_file)
    assert (outcome.verdict, outcome.faults) == ("same", ())
    assert outcome.shown == record.shown
    first = outcome.decisions[0]
    assert (first.wanted, first.inserted, first.kept) == ("w * h", "w * h", "w * h")
    assert outcome.decisions[2].kept != outcome.decisions[2].inserted, "what was cut is said"


class Knows:
    """An index without snippets, which has heard of every name."""

    def snippets(self, *_: object, **__: object) -> list[Snippet]:
        return []

    def state_beside(self, document: object) -> object:
        return ()

    def finds(self, name: str) -> bool:
        return bool(name)


@pytest.mark.parametrize(("said", "shown"), [("w * h\n", True), ("w\n", False), ("made_up(w)\n", False)])
async def test_what_was_not_worth_showing_is_not_in_a_replay_either(
    said: str, shown: bool, recorder: Recorder, fim: FimModel
) -> None:
    picky = replace(fim, template=replace(fim.template, min_logprob=-1.0, min_characters=3))
    document, offset = at_cursor(MARKED, "python")
    request = CompletionRequest(document, offset, path="pkg/here.py", repo_name="sample")
    tools = Tools(Script((said,)), picky, parse_file, Settings(), Knows())
    made = await recorder.complete(request, tools, health=HEALTH)
    assert bool(made) is shown
    outcome = await replay_recorded(read_record(records_in(recorder.folder)[-1]), parse_file)
    assert (outcome.verdict, bool(outcome.shown)) == ("same", shown)


async def test_a_record_of_an_engine_that_failed_shows_nothing_again(make: Make) -> None:
    outcome = await replay_recorded(await make(MARKED, "w * h", fails="gone"), parse_file)
    assert outcome.verdict == "same"
    assert "gone" in outcome.decisions[0].error


async def test_another_outcome_is_a_fault_and_of_another_version_no_verdict(make: Make) -> None:
    record = await make(MARKED, "w * h\n")
    changed = replace(record, shown=(replace(record.shown[0], text="w + h"),))
    outcome = await replay_recorded(changed, parse_file)
    assert outcome.verdict == "other"
    assert outcome.faults == ("completion 1: 'w + h' then, 'w * h' now",)
    older = replace(changed, identity=replace(record.identity, coderls="0.0.1"))
    outcome = await replay_recorded(older, parse_file)
    assert outcome.verdict == "none"
    assert outcome.notes[0].startswith("coderls: 0.0.1 then, ")
    nothing = await replay_recorded(replace(record, shown=()), parse_file)
    assert nothing.faults == ("completion 1: none then, 'w * h' now",)


def known(record: Record) -> Record:
    """As if its model had been on this machine."""
    return replace(record, identity=replace(record.identity, fingerprint="abc"))


async def test_a_live_engine_that_says_the_same(make: Make, fim: FimModel) -> None:
    record = known(await make(MARKED, "w * h\n", "h * w\n"))
    engine = Script(("w * h\n", "h * w\n"))
    outcome = await replay_live(record, engine, fim, record.identity, parse_file)
    assert (outcome.verdict, outcome.notes) == ("same", ())
    assert [asked.prompt for asked in engine.asked] == [record.prompt.token_ids] * 2
    assert all(asked.exact and not asked.drafts for asked in engine.asked)


async def test_a_live_engine_that_says_something_else(make: Make, fim: FimModel) -> None:
    record = known(await make(MARKED, "w * h\n"))
    outcome = await replay_live(record, Script(("w + h\n",)), fim, record.identity, parse_file)
    assert outcome.verdict == "other"
    assert "'w * h\\n' then, 'w + h\\n' now" in outcome.faults[0]


async def test_other_numbers_under_the_same_bytes_are_a_difference_too(make: Make, fim: FimModel) -> None:
    record = known(await make(MARKED, "w * h\n"))
    stream = record.streams[0]
    nudged = replace(stream.chunks[1], logprobs=(-0.5000001,))
    record = replace(record, streams=(replace(stream, chunks=(stream.chunks[0], nudged, *stream.chunks[2:])),))
    outcome = await replay_live(record, Script(("w * h\n",)), fim, record.identity, parse_file)
    assert outcome.faults == (
        "answer 1: the same bytes, but token 2 had the log-probability -0.5000001 then and -0.5 now",
    )


async def test_another_model_or_form_of_weights_is_said_instead_of_a_verdict(make: Make, fim: FimModel) -> None:
    record = known(await make(MARKED, "w * h\n"))
    other = replace(record.identity, weights="bfloat16")
    outcome = await replay_live(record, Script(("w + h\n",)), fim, other, parse_file)
    assert outcome.verdict == "none"
    assert outcome.notes == ("weights: int8 then, bfloat16 now",)
    engine = Script(("w + h\n",))
    stranger = replace(fim, features=frozenset({"token_ids"}), name="other")
    outcome = await replay_live(record, engine, stranger, replace(other, fingerprint="xyz"), parse_file)
    assert outcome.verdict == "none"
    assert "fingerprint: abc then, xyz now" in outcome.notes
    assert engine.asked[0].required_prefix == "", "the prompt is made for the model that is asked"


async def test_who_cannot_be_told_apart_gets_no_verdict(make: Make, fim: FimModel) -> None:
    record = await make(MARKED, "w * h\n")
    outcome = await replay_live(record, Script(("w + h\n",)), fim, record.identity, parse_file)
    assert outcome.verdict == "none"
    assert "nobody can tell" in outcome.notes[0]


async def test_an_engine_that_fails_in_the_replay_is_an_error(make: Make, fim: FimModel) -> None:
    record = known(await make(MARKED, "w * h\n"))
    with pytest.raises(EngineUnreachable):
        await replay_live(record, Script(("w",), fails="gone"), fim, record.identity, parse_file)


async def test_a_test_is_made_of_what_the_outcome_needs(make: Make, tmp_path: Path) -> None:
    private = "".join(f"def private_{number}(x):\n    return x + {number}\n\n\n" for number in range(40))
    record = await make(private + MARKED + private, "w * h)\n")
    made = await as_test(record, parse_file)
    assert "private" not in written(made)
    assert len(made.place.text) < 60
    assert made.place.text[: made.place.offset].endswith("    return ")
    assert (made.snippets, made.identity, made.prompt.token_ids) == ((), Identity(), None)
    assert [change.text for change in made.shown] == [change.text for change in record.shown]
    file = tmp_path / "case.json"
    file.write_text(written(made), encoding="utf-8")
    assert (await replay_recorded(read_record(file), parse_file)).verdict == "same"
    wrong = replace(made, shown=(replace(made.shown[0], text="w"),))
    assert (await replay_recorded(wrong, parse_file)).verdict == "other"


async def test_chunks_are_replayed_as_they_came(make: Make) -> None:
    """Where the stream was cut is a part of what is recorded."""
    record = await make(MARKED, "w * h\n")
    joined = replace(record.streams[0], chunks=(Chunk("w * h\nmore of it\n", finish_reason="stop"),))
    outcome = await replay_recorded(replace(record, streams=(joined,)), parse_file)
    assert outcome.decisions[0].wanted == "w * h"
