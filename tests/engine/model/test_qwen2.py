"""The model against transformers' own, with the same weights, read from disk as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from coderls.engine.api import Sampling
from coderls.engine.model.linear import PackedLinear, PlainLinear, make_linear, packing_works
from coderls.engine.model.torch_runner import TorchRunner, load_runner
from coderls.engine.runner import SampleSpec, Work

from .checkpoints import FAMILY, SMALL, VOCAB, Member, expected_logits, load, oracle, sampled, save, some_tokens

PROMPT = some_tokens(45)
GREEDY = SampleSpec(Sampling())


@pytest.fixture(scope="module", params=FAMILY, ids=lambda member: member.name)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchRunner, torch.Tensor]:
    """Our runner, and transformers' logits for PROMPT."""
    member: Member = request.param
    reference = oracle(member)
    folder = save(reference, tmp_path_factory.mktemp("model"))
    return load_runner(folder, name=member.name, device="cpu", dtype="float32"), expected_logits(reference, PROMPT)


def check(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def logits_in_pieces(runner: TorchRunner, slot: int, start: int, sizes: list[int]) -> torch.Tensor:
    rows = []
    for size in sizes:
        rows.append(runner.logits(Work(slot, start, PROMPT[start : start + size])))
        start += size
    return torch.cat(rows)


def test_whole_prompt(pair: tuple[TorchRunner, torch.Tensor]) -> None:
    runner, expected = pair
    check(runner.logits(Work(0, 0, PROMPT)), expected)


@pytest.mark.parametrize("sizes", [[20, 25], [1, 44], [44, 1], [2, 3, 16, 17, 7]])
def test_prompt_in_chunks(pair: tuple[TorchRunner, torch.Tensor], sizes: list[int]) -> None:
    runner, expected = pair
    check(logits_in_pieces(runner, 0, 0, sizes), expected)


def test_token_by_token(pair: tuple[TorchRunner, torch.Tensor]) -> None:
    runner, expected = pair
    check(logits_in_pieces(runner, 0, 0, [1] * len(PROMPT)), expected)


@pytest.mark.parametrize("rest", [[15], [1] * 15, [7, 1, 7]])
def test_prefix_from_another_slot(pair: tuple[TorchRunner, torch.Tensor], rest: list[int]) -> None:
    runner, expected = pair
    for slot in (1, 2):
        runner.run([Work(slot, 0, some_tokens(60, seed=5), ())])  # what was there before must not matter
    runner.run([Work(1, 0, [*PROMPT[:30], *some_tokens(12, seed=3)], ())])
    runner.copy(1, 2, 30)
    runner.run([Work(1, 0, some_tokens(50, seed=4), ())])  # the copy is one
    check(logits_in_pieces(runner, 2, 30, rest), expected[30:])


def test_run_samples_from_the_last_row(pair: tuple[TorchRunner, torch.Tensor]) -> None:
    runner, expected = pair
    logprobs = torch.log_softmax(expected, -1)
    first, second = runner.run([Work(0, 0, PROMPT, (SampleSpec(Sampling(), top=3),)), Work(1, 0, PROMPT[:9], ())])
    assert second == ()
    assert isinstance(first, tuple)
    (sample,) = first
    assert sample.token == int(expected[-1].argmax())
    assert sample.logprob == pytest.approx(float(logprobs[-1].max()), abs=1e-3)
    best = torch.topk(logprobs[-1], 3)
    assert [token for token, _ in sample.top] == best.indices.tolist()
    assert [value for _, value in sample.top] == pytest.approx(best.values.tolist(), abs=1e-3)


def test_several_sequences_in_one_batch(pair: tuple[TorchRunner, torch.Tensor]) -> None:
    runner, expected = pair
    other = some_tokens(20, seed=8)
    alone = runner.logits(Work(3, 0, other))
    runner.run([Work(0, 0, PROMPT[:41], ()), Work(1, 0, other[:19], ())])
    verify, nothing, step = runner.run(
        [Work(0, 41, PROMPT[41:], (GREEDY,) * 4), Work(2, 0, PROMPT[:9], ()), Work(1, 19, other[19:], (GREEDY,))]
    )
    assert nothing == ()
    assert isinstance(verify, tuple)
    assert isinstance(step, tuple)
    assert [sample.token for sample in verify] == expected[41:].argmax(-1).tolist()
    assert [sample.token for sample in step] == [int(alone[-1].argmax())]


def test_kv_written_without_sampling_is_the_same(pair: tuple[TorchRunner, torch.Tensor]) -> None:
    runner, expected = pair
    runner.run([Work(0, 0, PROMPT[:40], ())])
    check(logits_in_pieces(runner, 0, 40, [5]), expected[40:])


def test_greedy_decoding_is_that_of_generate(tmp_path: Path) -> None:
    reference = oracle(SMALL, eos_token_id=[])
    runner = load_runner(save(reference, tmp_path), name="x", device="cpu", dtype="float32")
    with torch.no_grad():
        expected = reference.generate(
            torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, pad_token_id=0, attention_mask=torch.ones(1, 45)
        )[0, 45:].tolist()
    found: list[int] = []
    given, start = PROMPT, 0
    while len(found) < 24:
        sample = sampled(runner, Work(0, start, given, (GREEDY,)))
        start, given = start + len(given), [sample.token]
        found.append(sample.token)
    assert found == expected


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "3MB"}], ids=["one file", "sharded"])
def test_files(tmp_path: Path, options: dict[str, str]) -> None:
    reference = oracle(FAMILY[0])
    folder = save(reference, tmp_path, **options)
    files = list(folder.glob("*.safetensors"))
    assert len(files) > 1 if options else len(files) == 1
    assert (folder / "model.safetensors.index.json").exists() == bool(options)
    runner = load_runner(folder, name="x", device="cpu", dtype="float32")
    check(runner.logits(Work(0, 0, PROMPT)), expected_logits(reference, PROMPT))


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_stored_dtypes_are_converted(tmp_path: Path, stored: torch.dtype) -> None:
    folder = save(oracle(SMALL).to(stored), tmp_path)
    runner = load_runner(folder, name="x", device="cpu", dtype="float32")
    check(runner.logits(Work(0, 0, PROMPT)), expected_logits(load(folder, torch.float32), PROMPT))


def test_head_dim_that_does_not_follow_from_the_hidden_size(tmp_path: Path) -> None:
    reference = oracle(SMALL, head_dim=32)  # 9 x 32 is not 576
    runner = load_runner(save(reference, tmp_path), name="x", device="cpu", dtype="float32")
    check(runner.logits(Work(0, 0, PROMPT)), expected_logits(reference, PROMPT))


def test_yarn(tmp_path: Path) -> None:
    parameters = {
        "rope_type": "yarn",
        "rope_theta": 1e6,
        "factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    reference = oracle(SMALL, rope_parameters=parameters, max_position_embeddings=256)
    runner = load_runner(save(reference, tmp_path), name="x", device="cpu", dtype="float32")
    prompt = some_tokens(200)
    assert runner.info.context_length == 256
    check(runner.logits(Work(0, 0, prompt, long=True)), expected_logits(reference, prompt))


def test_yarn_is_on_only_where_a_sequence_needs_it(tmp_path: Path) -> None:
    yarn = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 64}
    plain = {"rope_type": "default", "rope_theta": 1e6}
    runner = load_runner(
        save(oracle(SMALL, rope_parameters=yarn, max_position_embeddings=256), tmp_path / "yarn"),
        name="x", device="cpu", dtype="float32",
    )  # fmt: skip
    assert runner.info.plain_context == 64
    short = some_tokens(64)
    check(runner.logits(Work(0, 0, short)), expected_logits(oracle(SMALL, rope_parameters=plain), short))
    (fault,) = runner.run([Work(0, 0, some_tokens(65))])
    assert "without YaRN" in str(fault)


@pytest.mark.parametrize("sizes", [[45], [20, 25], [1] * 45], ids=["whole", "chunks", "tokens"])
def test_bfloat16_errs_at_most_twice_as_much_as_transformers(tmp_path: Path, sizes: list[int]) -> None:
    folder = save(oracle(FAMILY[1], layers=4).to(torch.bfloat16), tmp_path)
    expected = expected_logits(load(folder, torch.bfloat16), PROMPT).float()
    exact = expected_logits(load(folder, torch.float32), PROMPT)
    runner = load_runner(folder, name="x", device="cpu", dtype="bfloat16", weights="bfloat16")
    assert runner.info.dtype == "bfloat16"
    ours = (logits_in_pieces(runner, 0, 0, sizes) - exact).square().mean().sqrt()
    theirs = (expected - exact).square().mean().sqrt()
    assert float(theirs) > 0
    assert float(ours) <= 2 * float(theirs)


@pytest.mark.parametrize("shape", [(96, 64), (960, 576), (576, 1536)], ids=str)
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_packed_product_errs_at_most_twice_as_much_as_the_plain_one(rows: int, shape: tuple[int, int]) -> None:
    if not packing_works(torch.bfloat16):
        pytest.skip("this torch has no packed form for this processor")
    generator = torch.Generator().manual_seed(0)

    def numbers(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator).bfloat16()

    weight, bias, x, add = numbers(*shape), numbers(shape[0]), numbers(rows, shape[1]), numbers(rows, shape[0])
    with torch.inference_mode():
        packed, plain = PackedLinear(weight, bias), PlainLinear(weight, bias)
        exact = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
        for extra in (None, add):
            goal = exact if extra is None else exact + extra.double()
            error = (packed(x, extra).double() - goal).abs().max()
            assert error <= 2 * (plain(x, extra).double() - goal).abs().max()
    assert packed.nbytes == plain.nbytes == weight.nbytes


def test_float32_is_not_packed() -> None:
    # Its error against float64 was up to four times the plain product's: see linear.py.
    assert isinstance(make_linear(torch.zeros(4, 4)), PlainLinear)


def test_info(tmp_path: Path) -> None:
    reference = oracle(SMALL)
    runner = load_runner(save(reference, tmp_path), name="small", device="cpu", dtype="float32")
    info = runner.info
    assert (info.name, info.vocab_size, info.context_length, info.stop_ids) == ("small", VOCAB, 512, (7,))
    assert (info.device, info.dtype) == ("cpu", "float32")
    assert info.kv_bytes_per_token == 2 * 2 * 3 * 64 * 4
    weights = sum(weight.nbytes for name, weight in reference.named_parameters() if weight.ndim == 2)
    assert info.weight_bytes == weights
