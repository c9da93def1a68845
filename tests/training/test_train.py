"""Training at the smallest size: the network, what is learnt, and going on exactly where it was stopped."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from coderls.errors import CoderlsError, ModelBroken
from coderls.models import embedded, recipe
from coderls.models.gguf_llama import Qwen2Tensors
from training import checkpoint, delta, network, plot, shards, train, weights
from training.network import LowRank, Network
from training.shards import Shards
from training.train import Plan, Trainer

LOW = LowRank(rank=4, scale=2.0, rows=(7, 8, 9, 10, 0))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On busy cores two threads wait for each other at each of these tiny products."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Qwen2, as a folder."""
    torch.manual_seed(5)
    config = Qwen2Config(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    built = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for value in built.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    built.save_pretrained(folder)
    return folder


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Middles that follow from what stands before them."""
    chooser = random.Random(3)
    made = []
    for _ in range(24):
        first = chooser.randrange(20, 40)
        prompt = [8, *(chooser.randrange(20, 60) for _ in range(chooser.randrange(4, 12))), 7, first]
        made.append(([*prompt, first + 1, first + 2, first + 3, 0], len(prompt)))
    shards.write(tmp_path / "examples", made)
    return tmp_path / "examples"


def small(model: Path, low: LowRank | None = LOW) -> Network:
    torch.manual_seed(0)
    return network.load(model, low, torch.float32)


def test_the_network_is_that_of_transformers(model: Path) -> None:
    reference = Qwen2ForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    ids = torch.randint(11, 64, (3, 17))
    for low in (LOW, None):
        net = small(model, low)
        with torch.no_grad():
            mine = net.logits(net.hidden(ids).reshape(-1, 32)).reshape(3, 17, 64)
            assert torch.allclose(mine, reference(ids).logits, atol=1e-4)


def test_padding_changes_nothing(model: Path) -> None:
    net = small(model)
    long, short = np.arange(20, 40), np.arange(30, 38)
    together = train.losses(net, [(long, 15), (short, 5)], 0.5, 1)
    alone = [train.losses(net, [one], 0.5, 1) for one in ((long, 15), (short, 5))]
    for place in (0, 1):
        assert torch.isclose(together[place], alone[0][place] + alone[1][place], rtol=1e-5)
    assert together[2].middle_tokens == 5 + 3
    assert together[2].tokens == 28


def test_text_teaches_nothing_about_the_end(model: Path) -> None:
    """Marks and the end token are neither wanted nor unwanted in text, only in middles."""
    net = small(model)
    ids = np.array([8, 20, 21, 22, 7, 23, 24, 25, 26, 30, 31, 0])
    _, text, counts = train.losses(net, [(ids, 9)], 1.0, 0)
    assert counts.text_tokens == 7, "of eight one is a mark"
    text.backward()
    slope = net.E.grad
    assert slope is not None
    rows = dict(zip(LOW.rows, slope, strict=True))
    assert rows[0].abs().max() == 0, "the end token is not in the likelihood"
    assert rows[7].abs().max() > 0, "a mark that stands in the prompt is read"
    middle, _, _ = train.losses(net, [(ids, 9)], 0.0, 0)
    net.zero_grad()
    middle.backward()
    assert net.E.grad is not None
    assert net.E.grad[LOW.rows.index(0)].abs().max() > 0


def test_a_loss_in_parts_is_the_whole(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small(model)
    hidden, targets = torch.randn(30, 32, requires_grad=True), torch.randint(0, 64, (30,))
    whole = network.loss_of(net, hidden, torch.arange(30), targets)
    [one] = torch.autograd.grad(whole, hidden)
    monkeypatch.setattr(network, "_AT_ONCE", 7)
    parts = network.loss_of(net, hidden, torch.arange(30), targets)
    [other] = torch.autograd.grad(parts, hidden)
    assert torch.isclose(whole, parts)
    assert torch.allclose(one, other)


@torch.no_grad()
def likeliest(net: Network, ids: npt.NDArray[np.int64], middle: int) -> bool:
    """Whether greedy generation behind the first token of the middle gives the others."""
    for place in range(middle + 1, len(ids)):
        hidden = net.hidden(torch.from_numpy(ids[None, :place]))
        if net.logits(hidden[0, -1:]).argmax() != ids[place]:
            return False
    return True


@pytest.mark.parametrize("full", [False, True])
def test_it_learns(model: Path, examples: Path, full: bool) -> None:
    net = small(model, None if full else LOW)
    held = Shards.open(examples)
    before = train.validate(net, held, 24, 4)
    trainer = Trainer(net, held, Plan(steps=30, batch=8, rows=8, rate=2e-2, warmup=2, full=full))
    while trainer.step < 30:
        trainer.advance()
    after = train.validate(net, held, 24, 4)
    assert after.loss < 0.5 * before.loss
    assert (before.count, after.count) == (24, 24)
    assert after.exact > before.exact
    assert after.exact == sum(likeliest(net, *held.example(number)) for number in range(24))


@pytest.mark.parametrize("full", [False, True])
def test_going_on_is_bit_for_bit_as_if_never_stopped(model: Path, examples: Path, tmp_path: Path, full: bool) -> None:
    plan = Plan(steps=8, batch=3, rows=2, rate=1e-2, warmup=2, full=full)
    straight = Trainer(small(model, None if full else LOW), Shards.open(examples), plan)
    for _ in range(8):
        straight.advance()
    stopped = Trainer(small(model, None if full else LOW), Shards.open(examples), plan)
    for _ in range(5):
        stopped.advance()
    stopped.save(tmp_path / "state")
    torch.manual_seed(99)
    resumed = Trainer(network.load(model, None if full else LOW, torch.float32), Shards.open(examples), plan)
    resumed.restore(tmp_path / "state")
    assert resumed.step == 5
    for _ in range(3):
        resumed.advance()
    for name, value in straight.net.trained().items():
        assert torch.equal(value, resumed.net.trained()[name]), name


def test_the_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=100, rate=1.0, warmup=4)
    assert [plan.rate_at(step) for step in (0, 3, 50, 80)] == [0.25, 1.0, 1.0, 1.0]
    assert plan.rate_at(90) == pytest.approx(0.5)
    assert plan.rate_at(99) == pytest.approx(0.05)


def test_the_command_goes_on_and_keeps_deltas(model: Path, examples: Path, tmp_path: Path) -> None:
    command = [str(examples), str(tmp_path / "out"), "--model", str(model), "--dtype", "float32", "--batch", "2"]
    command += ["--save-minutes", "0", "--log-every", "1", "--validation", str(examples), "--validate", "4"]
    assert train.main([*command, "--steps", "2"]) == 0
    assert train.main([*command, "--steps", "4"]) == 0
    assert {path.name for path in (tmp_path / "out").glob("delta-*")} == {
        f"delta-{step:06}.safetensors" for step in range(1, 5)
    }
    rows = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [row["step"] for row in rows if "middle" in row] == [1, 2, 3, 4]
    assert sum("validation" in row for row in rows) == 4
    chart = tmp_path / "log.svg"
    assert plot.main([str(tmp_path / "out" / "log.jsonl"), str(chart)]) == 0
    assert chart.read_text("utf-8").count("<polyline") == 3
    assert train.main(["nowhere", str(tmp_path / "new"), "--model", str(model), "--steps", "1"]) == 1


def test_a_delta_does_to_the_base_what_training_did(model: Path, examples: Path, tmp_path: Path) -> None:
    """The file that ships, applied by the code that builds the embedded model, gives the trained network."""
    net = network.load(model, LowRank(), torch.float32)
    trainer = Trainer(net, Shards.open(examples), Plan(steps=6, batch=4, rate=1e-2))
    for _ in range(6):
        trainer.advance()
    path = tmp_path / "delta.safetensors"
    delta.save(net, path)
    base = load_file(str(model / "model.safetensors"))
    shapes = {name: tuple(value.shape) for name, value in base.items()}
    loaders = {name: value.float().numpy for name, value in base.items()}
    wanted = recipe.Recipe(
        data=tmp_path, name="tiny", requirement="", wheel="", wheel_sha256="", wheel_bytes=0, gguf="", gguf_sha256="",
        gguf_bytes=0, delta_scale=2.0, delta_rows=(7, 8, 9, 10, 0),
    )  # fmt: skip
    changed = dict(embedded.with_delta(Qwen2Tensors(shapes, loaders), wanted))
    mine = dict(weights.tensors(net))
    assert set(mine) == set(changed)
    for name, values in changed.items():
        assert np.allclose(values, mine[name].numpy(), atol=5e-2, rtol=2e-2), name
    again = network.load(model, LowRank(), torch.float32)
    delta.load(again, path)
    for name, value in again.trained().items():
        assert torch.equal(value, net.trained()[name].to(torch.bfloat16).float())
    with pytest.raises(ModelBroken, match=r"another network|shape"):
        delta.load(small(model, LowRank(rank=2)), path)


def test_whole_weights_are_a_checkpoint_in_pieces(
    model: Path, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "PIECE_BYTES", 20_000)
    net = small(model)
    trainer = Trainer(net, Shards.open(examples), Plan(steps=3, batch=4, rate=1e-2))
    trainer.advance()
    folder = tmp_path / "whole"
    weights.save(net, folder)
    (folder / "config.json").write_bytes((model / "config.json").read_bytes())
    files = sorted(folder.glob("model-*.safetensors"))
    assert len(files) > 1
    assert all(file.stat().st_size < 25_000 for file in files)
    reference = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(0, 64, (2, 9))
    with torch.no_grad():
        mine = net.logits(net.hidden(ids).reshape(-1, 32)).reshape(2, 9, 64)
        assert (mine - reference(ids).logits).abs().max() < 0.1, "but for rounding to bfloat16"


def test_checkpoints_in_pieces(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(300, 100), "b": torch.randn(7), "c": torch.randn(200, 150), "empty": torch.zeros(0)}
    folder = tmp_path / "state"
    checkpoint.save(folder, tensors, {"step": 3}, piece_bytes=64 * 1024 + 50_000)
    sizes = [path.stat().st_size for path in folder.glob("piece-*.safetensors")]
    assert len(sizes) == 5
    assert max(sizes) <= 64 * 1024 + 50_000
    found, facts = checkpoint.load(folder)
    assert facts == {"step": 3}
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    folder.rename(tmp_path / "state.old")  # stopped between the two renames
    assert checkpoint.load(folder)[1] == {"step": 3}
    (tmp_path / "state.old" / "piece-002.safetensors").unlink()
    with pytest.raises(CoderlsError, match="no whole checkpoint"):
        checkpoint.load(folder)


def test_a_model_that_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken):
        network.load(tmp_path, LOW, torch.float32)
    save_file({"x": torch.zeros(1)}, str(tmp_path / "model.safetensors"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelBroken):
        network.load(tmp_path, LOW, torch.float32)
