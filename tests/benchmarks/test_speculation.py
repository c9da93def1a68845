"""The comparison of guessing on and off, on the scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.speculation import answer, compare, prompts_of
from coderls.engine.draft_lengths import Costs
from coderls.engine.fake import FakeRule, FakeRunner, FakeScript, write_fake_model
from coderls.engine.metrics import Metrics
from coderls.engine.rounds import Rounds
from coderls.errors import CoderlsError
from coderls.tokenizer import Tokenizer


class Fixed(Costs):
    """Costs that do not follow what is measured: a scripted model takes no time."""

    def note(self, tokens: int, seconds: float) -> None:
        pass


def test_both_say_the_same_and_only_one_guesses(tmp_path: Path) -> None:
    script = FakeScript((FakeRule("say: ", "one two one two one two one two"), FakeRule("bad", "x", fail="error")))
    folder = write_fake_model(tmp_path / "m", script)
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json")

    def rounds(*, speculates: bool) -> Rounds:
        made = Rounds(
            FakeRunner(script, tokenizer),
            tokenizer,
            Metrics(),
            ended=lambda: None,
            disturbed=lambda: False,
            speculates=speculates,
        )
        made._speculation.costs = Fixed({1: 1.0, 16: 1.1})
        return made

    on, off = rounds(speculates=True), rounds(speculates=False)
    prompt = tokenizer.encode("say: ")
    first, again = answer(on, prompt, 20), answer(on, prompt, 20)
    assert first.tokens == again.tokens == answer(off, prompt, 20).tokens == 20
    assert again.accepted > 10, "it was said before"
    assert answer(off, prompt, 20).drafted == 0
    rows = compare(on, off, [prompt] * 3, 20)
    assert [(row.turn, row.prompts) for row in rows] == [("cold", 3), ("again", 3)]
    assert all(row.ratio > 0 and row.accepted <= row.drafted for row in rows)
    with pytest.raises(CoderlsError):
        answer(on, tokenizer.encode("bad"), 5)


def test_prompts_end_where_the_seed_says(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(write_fake_model(tmp_path / "m") / "tokenizer.json")
    (tmp_path / "a.py").write_text("x = 1\n" * 500)
    (tmp_path / "short.py").write_text("x = 1\n")
    files = [tmp_path / "a.py", tmp_path / "short.py"]
    found = prompts_of(files, tokenizer, 4, seed=7)
    assert found == prompts_of(files, tokenizer, 4, seed=7)
    assert [len(prompt) for prompt in found] == [400] * 4
