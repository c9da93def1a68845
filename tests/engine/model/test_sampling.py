"""Choosing a token."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model import sampling
from coderls.engine.model.sampling import choose_all
from coderls.engine.runner import Blend, Sample, SampleSpec
from coderls.errors import EngineError

LOGITS = torch.tensor([1.0, 3.0, 2.0, 3.0, -1.0, 0.5])
PROBABILITIES = torch.softmax(LOGITS, 0)


def choose(logits: torch.Tensor, spec: SampleSpec) -> Sample:
    """One row; what is wrong is raised."""
    (found,) = choose_all(logits.unsqueeze(0), [spec])
    if isinstance(found, EngineError):
        raise found
    return found


def draws(count: int, allowed: tuple[int, ...] | None = None, **sampling: float) -> Counter[int]:
    """How often each token was chosen, over as many seeds."""
    return Counter(
        choose(LOGITS, SampleSpec(Sampling(seed=seed, **sampling), step=seed % 5, allowed=allowed)).token
        for seed in range(count)
    )


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    sample = choose(LOGITS, SampleSpec(Sampling(temperature=0.0, top_k=3, top_p=0.5)))
    assert sample.token == 1
    assert sample.logprob == pytest.approx(math.log(float(PROBABILITIES[1])), abs=1e-6)
    assert sample.top == ()


@pytest.mark.parametrize("vocabulary", [64, 640, 641])
def test_greedy_takes_the_first_of_the_likeliest_of_a_whole_vocabulary(vocabulary: int) -> None:
    """In one block of it or in several, in every row."""
    rows = [(0, 1), (3, 60), (63, vocabulary - 1), (vocabulary - 2, vocabulary - 1)]
    logits = torch.randn(len(rows), vocabulary, generator=torch.Generator().manual_seed(vocabulary))
    for row, places in enumerate(rows):
        logits[row, list(places)] = 9.0
    samples = choose_all(logits, [SampleSpec(Sampling())] * len(rows))
    assert [sample.token for sample in samples if isinstance(sample, Sample)] == [min(places) for places in rows]


def test_temperature_one_draws_from_the_distribution() -> None:
    found = draws(4000, temperature=1.0)
    for token, probability in enumerate(PROBABILITIES.tolist()):
        # Four standard deviations of a binomial count: seeds are fixed, so this never flickers.
        assert abs(found[token] - 4000 * probability) < 4 * math.sqrt(4000 * probability * (1 - probability)) + 1


def test_temperature_flattens_and_sharpens() -> None:
    # Of the likeliest two of six: 38% each at temperature 1, 49% at 0.3, 25% at 3.
    sharp, flat = draws(800, temperature=0.3), draws(800, temperature=3.0)
    assert sharp[1] + sharp[3] > 0.93 * 800
    assert flat[1] + flat[3] < 0.56 * 800
    assert flat[4] > 20


@pytest.mark.parametrize("temperature", [1e-12, 1e-45, 1e-60, 5e-324])
def test_tiny_temperature_is_greedy_up_to_ties(temperature: float) -> None:
    assert set(draws(50, temperature=temperature)) == {1, 3}


@pytest.mark.parametrize(
    ("top_k", "expected"), [(1, {1}), (3, {1, 2, 3}), (4, {0, 1, 2, 3}), (100, {0, 1, 2, 3, 4, 5})]
)
def test_top_k_leaves_the_likeliest(top_k: int, expected: set[int]) -> None:
    assert set(draws(2000, temperature=2.0, top_k=top_k)) == expected


def test_top_p_leaves_the_fewest_that_reach_it() -> None:
    # Probabilities in order: 0.38, 0.38, 0.14, 0.05, 0.03, 0.01.
    assert set(draws(300, temperature=1.0, top_p=0.75)) == {1, 3}
    assert set(draws(300, temperature=1.0, top_p=0.8)) == {1, 2, 3}
    assert len(set(draws(50, temperature=1.0, top_p=1e-9))) == 1


def test_top_k_comes_before_top_p() -> None:
    # Of the best three, 1 and 3 hold 84%: with top_p alone 0.8 would need the third too.
    assert set(draws(300, temperature=1.0, top_k=3, top_p=0.8)) == {1, 3}


def test_large_vocabulary_with_a_wide_nucleus() -> None:
    flat = torch.zeros(5000)
    found = {choose(flat, SampleSpec(Sampling(1.0, top_p=0.5, seed=seed))).token for seed in range(200)}
    assert len(found) > 150  # a nucleus of 2,500, of which the first guess has 1,024
    kept = {choose(flat, SampleSpec(Sampling(1.0, top_k=2000, seed=seed))).token for seed in range(200)}
    assert len(kept) > 150


def test_seed_and_step_fix_the_draw() -> None:
    wide = torch.zeros(1000)

    def one(seed: int | None, step: int) -> int:
        return choose(wide, SampleSpec(Sampling(temperature=1.0, seed=seed), step=step)).token

    assert [one(7, step) for step in range(8)] == [one(7, step) for step in range(8)]
    assert len({one(7, step) for step in range(8)}) > 4
    assert len({one(seed, 0) for seed in range(8)}) > 4
    assert len({one(None, 0) for _ in range(20)}) > 4


def test_the_draw_is_the_same_on_every_machine() -> None:
    wide = torch.zeros(1000)
    found = [choose(wide, SampleSpec(Sampling(temperature=1.0, seed=7), step=step)).token for step in range(4)]
    assert found == [701, 989, 251, 774]


def test_allowed_ids_only() -> None:
    assert choose(LOGITS, SampleSpec(Sampling(), allowed=(4, 0))).token == 0
    assert set(draws(200, allowed=(5, 0), temperature=1.0)) == {0, 5}
    assert set(draws(200, allowed=(5, 0, 4), temperature=1.0, top_k=2)) == {0, 5}


def test_allowed_keeps_the_logprob_of_the_whole_distribution() -> None:
    sample = choose(LOGITS, SampleSpec(Sampling(temperature=0.5, seed=1), allowed=(4,), top=2))
    assert sample.token == 4
    assert sample.logprob == pytest.approx(math.log(float(PROBABILITIES[4])), abs=1e-6)
    assert [token for token, _ in sample.top] == [1, 3]


def test_ids_beyond_the_vocabulary_cannot_be_chosen() -> None:
    assert choose(LOGITS, SampleSpec(Sampling(), allowed=(2, 6, 10_000, -1))).token == 2


@pytest.mark.parametrize("allowed", [(), (99,)])
def test_nothing_allowed(allowed: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match="No token is allowed"):
        choose(LOGITS, SampleSpec(Sampling(), allowed=allowed))


def test_more_alternatives_than_tokens() -> None:
    assert len(choose(LOGITS, SampleSpec(Sampling(), top=20)).top) == 6


def test_minus_infinity_is_never_drawn() -> None:
    masked = torch.tensor([-math.inf, 0.0, -math.inf, 0.0])
    found = {choose(masked, SampleSpec(Sampling(temperature=1.5, seed=seed))).token for seed in range(100)}
    assert found == {1, 3}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_numbers(bad: float) -> None:
    damaged = LOGITS.clone()
    damaged[2] = bad
    with pytest.raises(EngineError, match=r"not numbers.*coderls doctor"):
        choose(damaged, SampleSpec(Sampling()))
    with pytest.raises(EngineError, match="not numbers"):
        choose(torch.full((4,), -math.inf), SampleSpec(Sampling()))


MANY = (
    SampleSpec(Sampling()),
    SampleSpec(Sampling(), allowed=(5, 2, 4)),
    SampleSpec(Sampling(), allowed=(900, 3)),
    SampleSpec(Sampling(), top=3),
    SampleSpec(Sampling(temperature=0.8, seed=4), step=2),
    SampleSpec(Sampling(temperature=0.8, seed=4, top_k=7), allowed=tuple(range(40)), top=1),
    SampleSpec(Sampling(temperature=1.2, seed=5, top_p=0.9), step=1),
)


def many_logits() -> torch.Tensor:
    return torch.randn(len(MANY), 1000, generator=torch.Generator().manual_seed(3)) * 3


def test_rows_together_are_chosen_as_each_alone() -> None:
    logits = many_logits()
    for found, row, spec in zip(choose_all(logits, MANY), logits, MANY, strict=True):
        alone = choose(row, spec)
        assert isinstance(found, Sample)
        assert (found.token, [i for i, _ in found.top]) == (alone.token, [i for i, _ in alone.top])
        assert found.logprob == pytest.approx(float(row.log_softmax(0)[found.token]), abs=1e-5)
        assert len(found.top) == spec.top


def test_a_row_without_numbers_or_without_a_choice_fails_alone() -> None:
    logits = many_logits()
    logits[0, 17] = float("nan")
    logits[4, 17] = float("inf")
    specs = [MANY[0], SampleSpec(Sampling(), allowed=()), *MANY[2:6], SampleSpec(Sampling(0.5), allowed=(5000,))]
    found = choose_all(logits, specs)
    assert [isinstance(one, EngineError) for one in found] == [True, True, False, False, True, False, True]
    assert found[2] == choose(logits[2], specs[2])


class Transfers(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts what makes the host wait for a card: numbers that become Python's."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("specs", [MANY, MANY[:4], MANY[:1] * 7])
def test_a_card_is_waited_for_once(specs: tuple[SampleSpec, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows and of whatever kind: one `tolist`, and no other number comes to the host."""
    monkeypatch.setattr(sampling, "_nucleus_size", lambda weights, top_k, goal: top_k)  # what a card takes
    lists: list[torch.Size] = []
    real = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: lists.append(self.shape) or real(self))
    for name in ("item", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, lambda self, *_, name=name: pytest.fail(f"{name} waits for the card"))
    with Transfers() as transfers:
        assert len(choose_all(many_logits()[: len(specs)], specs)) == len(specs)
    assert len(lists) == 1
    assert transfers.count == 0


def test_what_is_blended_in_is_a_part_of_the_probabilities() -> None:
    blend = Blend((4, 2), (0.5, 0.2), untouched=(1,))
    kept = float(PROBABILITIES[1])
    expected = PROBABILITIES * 0.3
    expected[4] += 0.5 * (1 - kept)
    expected[2] += 0.2 * (1 - kept)
    expected[1] = kept
    sample = choose(LOGITS, SampleSpec(Sampling(), top=6, blend=blend))
    assert dict(sample.top) == pytest.approx({i: math.log(float(p)) for i, p in enumerate(expected)}, abs=1e-5)
    assert float(expected.sum()) == pytest.approx(1.0)
    assert sample.token == int(expected.argmax())
    allowed = choose(LOGITS, SampleSpec(Sampling(), allowed=(0, 2), blend=blend))
    assert (allowed.token, allowed.logprob) == (2, pytest.approx(math.log(float(expected[2])), abs=1e-5))


def test_rows_without_a_blend_stay_as_they_are_beside_one_that_has_it() -> None:
    rows = LOGITS.repeat(3, 1)
    specs = [SampleSpec(Sampling()), SampleSpec(Sampling(), blend=Blend((5,), (0.999,))), SampleSpec(Sampling())]
    found = [sample for sample in choose_all(rows, specs) if isinstance(sample, Sample)]
    assert [sample.token for sample in found] == [1, 5, 1]
    alone = choose(LOGITS, SampleSpec(Sampling()))
    assert [found[0].logprob, found[2].logprob] == pytest.approx([alone.logprob] * 2, abs=1e-6)
    drawn = Counter(
        choose(LOGITS, SampleSpec(Sampling(temperature=1.0, seed=seed), blend=Blend((5,), (0.9,)))).token
        for seed in range(400)
    )
    assert drawn[5] > 320


def test_a_row_without_a_blend_is_chosen_from_as_if_it_were_alone() -> None:
    logits = torch.zeros(2, 6)
    logits[:, 4] += 1e-9  # its logarithm is that of the others
    logits[:, 5] += 2e-9
    assert logits[0].argmax() == 5
    assert torch.log_softmax(logits, -1)[0].argmax() == 0
    plain = SampleSpec(Sampling())
    beside = choose_all(logits, [plain, SampleSpec(Sampling(), blend=Blend((1,), (0.9,)))])[0]
    assert isinstance(beside, Sample)
    assert beside.token == choose(logits[0], plain).token == 5


def test_a_model_that_is_sure_of_an_end_blends_nothing() -> None:
    logits = torch.full((8,), -200.0)
    logits[3] = 200.0
    sample = choose(logits, SampleSpec(Sampling(), blend=Blend((1,), (0.9,), untouched=(3,))))
    assert (sample.token, sample.logprob) == (3, pytest.approx(0.0, abs=1e-6))
