"""A real broken line, repaired by the embedded model and proved by real checkers."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderls.document import Document
from coderls.engine.launch import connect_or_start
from coderls.question import load_fim_model
from coderls.repair.checkers import find_checkers, of_language
from coderls.repair.infill import Filler
from coderls.repair.pipeline import repair
from coderls.repair.sources import of_infill
from coderls.repair.verify import Baseline
from coderls.repo_context.parse import parse_file
from coderls.settings import EngineSettings

BROKEN = """def mean(values):
    total = 0
    for value in values:
        total += value
    return summe / len(values)
"""


@pytest.mark.nano
@pytest.mark.timeout(300)  # the engine starts, and reads some prompts, on whatever else runs here
async def test_the_embedded_model_finds_the_name_that_is_meant(nano_dir: Path, tmp_path: Path) -> None:
    document = Document("untitled:mean", "python", 1, BROKEN)
    found = of_language(find_checkers(None, trusted=False, parse=parse_file), "python")
    checkers = [checker for checker in found if checker.name in ("parse", "ruff")]
    baseline = Baseline(document)
    [complaint] = [one for checker in checkers for one in (await baseline.report(checker)).diagnostics]
    client = await connect_or_start(EngineSettings(model=str(nano_dir), idle_exit_s=60))
    try:
        fim = load_fim_model(await client.health())
        sources = of_infill(Filler(client, fim), document, complaint)[:1]
        outcome = await repair(document, complaint, checkers=checkers, sources=sources, baseline=baseline, limit_s=240)
    finally:
        await client.aclose()
    best = outcome.repairs[0]
    assert best.candidate.text == BROKEN.replace("summe", "total")
    assert best.proved_by == "parse, ruff"
    assert any("F821 is gone" in line for line in best.evidence)
