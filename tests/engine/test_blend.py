"""What is blended into a model's probabilities: what followed the last tokens in texts near by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.engine.blend import (
    FEATURES,
    GAP,
    LONGEST,
    Blender,
    Found,
    Gate,
    GrowingText,
    LocalText,
    read_gate,
)
from coderls.engine.runner import GATE_FILE
from coderls.errors import ModelBroken
from coderls.models.recipe import nano_recipe

#: Trusts what follows a match by its share, the text of the repository more than the prompt.
PROMPT, LOCAL = [0.0] * (1 + 2 * FEATURES), [0.0] * (1 + 2 * FEATURES)
LOCAL[0] = 3.0
GATE = Gate(tuple(PROMPT), tuple(LOCAL))


def text(ids: Sequence[int]) -> LocalText:
    return LocalText(np.array(ids, dtype=np.int32))


def by_definition(ids: Sequence[int], last: Sequence[int]) -> dict[int, float]:
    """Witten and Bell's shares, by counting each length anew."""
    shares: dict[int, float] = {}
    for size in range(1, min(LONGEST, len(last)) + 1):
        places = [at for at in range(size, len(ids)) if list(ids[at - size : at]) == list(last[-size:])]
        counts = Counter(ids[at] for at in places if ids[at] != GAP)
        if not places:
            break
        if not counts:
            continue
        total, kinds = sum(counts.values()), len(counts)
        left = kinds / (total + kinds)
        shares = {
            token: shares.get(token, 0.0) * left + (1 - left) * counts[token] / total
            for token in {*shares, *counts}
        }  # fmt: skip
    return shares


def test_the_longer_the_match_the_more_it_says() -> None:
    found = text([1, 2, 3, 9, 2, 4, 9, 2, 4, 9, 1, 2, 3]).after([1, 2])
    assert (found.longest, found.places, found.kinds) == (2, 2, 1)
    assert found.shares[3] > found.shares[4] > 0
    assert 0 < sum(found.shares.values()) < 1


@given(st.lists(st.integers(-1, 3), max_size=60), st.lists(st.integers(0, 3), max_size=12))
def test_the_shares_are_those_of_the_definition(ids: list[int], last: list[int]) -> None:
    expected = by_definition(ids, last)
    assert text(ids).after(last).shares == pytest.approx(expected)
    growing = GrowingText(ids[:20], len(ids[20:]))
    for token in ids[20:]:
        growing.add(token)
    assert growing.after(last).shares == pytest.approx(expected)


def test_nothing_follows_what_never_stood_there() -> None:
    for ids in ([], [5], [1, 2, GAP]):
        assert text(ids).after([5]) == Found({})
        assert text(ids).after([]) == Found({})
    assert text([5, GAP, 7]).after([5]) == Found({}), "another file begins there"


def test_masses_leave_the_model_its_part() -> None:
    prompt, local = text([1, 2, 1, 2]).after([1]), text([1, 3, 1, 3, 1, 3]).after([1])
    blend = GATE.blend(prompt, local, untouched=(0,))
    assert blend is not None
    masses = dict(zip(blend.tokens, blend.masses, strict=True))
    assert set(masses) == {2, 3}
    assert masses[3] > 3 * masses[2] > 0
    assert sum(masses.values()) < 1
    assert blend.untouched == (0,)
    assert GATE.blend(Found({}), Found({})) is None


def test_a_blend_follows_the_output() -> None:
    blender = Blender(GATE, [9, 9], [1, 2], 3, text([1, 2, 3, 4, 5, 6]))

    def likeliest(draft: Sequence[int] = ()) -> int | None:
        blend = blender.after(draft)
        return None if blend is None else blend.tokens[int(np.argmax(blend.masses))]

    assert [likeliest(), likeliest([3]), likeliest([3, 4])] == [3, 4, 5]
    assert likeliest([7]) is None
    blender.came([3, 4])
    assert likeliest() == 5


@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.lists(st.integers(0, 2), max_size=20))
def test_a_draft_is_read_as_if_it_had_been_said(prompt: list[int], draft: list[int]) -> None:
    """So that what is drafted changes nothing but the speed: also where the draft repeats itself."""
    near = text([0, 1, GAP, 2, 2, 1])
    drafted = Blender(GATE, prompt, prompt, len(draft) + 1, near)
    found = [drafted.after(draft[:size]) for size in range(len(draft) + 1)]
    said = Blender(GATE, prompt, prompt, len(draft) + 1, near)
    for size, blend in enumerate(found):
        assert said.after() == blend
        said.came(draft[size : size + 1])
    drafted.came([2])
    assert drafted.found() == Blender(GATE, [*prompt, 2], [*prompt, 2], 0, near).found()


def test_the_model_keeps_a_part_whatever_the_texts_and_the_weights_say() -> None:
    same = text([1] * 3_000).after([1] * LONGEST)
    assert sum(same.shares.values()) == 1.0, "nothing is left of it but what a float cannot hold"
    sure = Gate((1e6, *PROMPT[1:]), (1e6, *LOCAL[1:]))
    blend = sure.blend(same, same)
    assert blend is not None
    assert 0.99 < sum(blend.masses) < 1


def test_what_only_the_model_knows_is_not_blended() -> None:
    blend = GATE.blend(Found({}), text([1, 2, 1, 3]).after([1]), untouched=(3,))
    assert blend is not None
    assert blend.tokens == (2,)
    assert GATE.blend(Found({}), text([1, 3]).after([1]), untouched=(3,)) is None


def test_with_what_a_line_begins_is_the_models_to_say() -> None:
    blender = Blender(
        GATE, [1, 2], [1, 2], 3, text([1, 2, 3, 4, 2, 5]), token_bytes=[b"x", b"x", b"  ", b"x", b"x", b"x"]
    )
    assert blender.after() is None
    assert blender.after([3]) is not None
    assert blender.after([3, 2]) is None
    blender.came([3])
    assert blender.after() is not None


def test_without_a_local_text_there_is_the_prompt() -> None:
    blend = Blender(GATE, [1, 2, 3, 1, 2], [1, 2], 1, None).after()
    assert blend is not None
    assert blend.tokens == (3,)


def test_the_embedded_model_has_a_gate_and_others_need_none(tmp_path: Path) -> None:
    gate = read_gate(nano_recipe().data)
    assert gate is not None
    sure = Found({7: 0.95}, LONGEST, 20, 1)
    blend = gate.blend(Found({}), sure)
    assert blend is not None
    assert blend.masses[0] > 0.4
    assert read_gate(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", json.dumps({"prompt": [0.0], "local": [0.0]}), json.dumps({"prompt": PROMPT, "local": ["x"]}),
     json.dumps({"prompt": PROMPT, "local": [float("nan"), *LOCAL[1:]]})],
)  # fmt: skip
def test_a_broken_gate_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / GATE_FILE).write_text(content)
    with pytest.raises(ModelBroken, match=GATE_FILE):
        read_gate(tmp_path)
