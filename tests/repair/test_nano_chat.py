"""A real chat model, a small one, on the whole way: asked, read strictly, proved by real checkers."""

from __future__ import annotations

import pytest

from coderls.document import Document
from coderls.engine.launch import connect_or_start
from coderls.models import embedded, recipe
from coderls.paths import cache_dir
from coderls.repair.checkers import find_checkers, of_language
from coderls.repair.pipeline import repair
from coderls.repair.prompt import Task
from coderls.repair.region import enclosing
from coderls.repair.sources import Chatter, of_chat
from coderls.repair.verify import Baseline
from coderls.repo_context.parse import parse_file
from coderls.settings import EngineSettings

GREETING = """def greet(name):
    return 'Hello ' + nam
"""


@pytest.mark.nano
@pytest.mark.timeout(300)
async def test_it_mends_a_name() -> None:
    """SmolLM2-135M-Instruct: what the embedded model is made from. It goes on and on after a right answer."""
    model = embedded.build(recipe.nano_recipe().without_delta(), into=cache_dir() / "instruct")
    document = Document("untitled:greet", "python", 1, GREETING)
    found = of_language(find_checkers(None, trusted=False, parse=parse_file), "python")
    checkers = [checker for checker in found if checker.name in ("parse", "ruff")]
    baseline = Baseline(document)
    [complaint] = [one for checker in checkers for one in (await baseline.report(checker)).diagnostics]
    client = await connect_or_start(EngineSettings(model=str(model.path), idle_exit_s=60))
    try:
        region = enclosing(document, complaint.start, complaint.end)
        task = Task(document, region, complaint, path="x.py")
        chatter = Chatter(client, "smollm2-135m-instruct")
        # On a busy machine drafts have other lengths and near ties fall otherwise: then it is asked again, as always.
        sources = [of_chat(chatter, task), of_chat(chatter, task, again=True)]
        outcome = await repair(document, complaint, checkers=checkers, sources=sources, baseline=baseline, limit_s=240)
    finally:
        await client.aclose()
    assert outcome.repairs, outcome
    best = outcome.repairs[0]
    assert best.candidate.text == GREETING.replace("nam\n", "name\n")
    assert (best.candidate.origin, best.proved_by) == ("chat", "parse, ruff")
