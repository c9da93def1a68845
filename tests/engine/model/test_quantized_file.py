"""Quantized copies of a model: made once, whole or not at all, and loaded as what they are."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from coderls.engine.api import Sampling
from coderls.engine.model import forms, quantized_file, shortlist
from coderls.engine.model.attention.sdpa import SdpaAttention
from coderls.engine.model.batch import make_batch
from coderls.engine.model.config import ModelConfig, read_config
from coderls.engine.model.forms import PLAIN, WeightForm, choose_form, form_bytes, native_bytes
from coderls.engine.model.kv import allocate
from coderls.engine.model.linear import QuantizedLinear
from coderls.engine.model.native.pack import pack
from coderls.engine.model.native.step import _weights, copy_bytes
from coderls.engine.model.quantize import Int4Weight, Int8Weight
from coderls.engine.model.quantized_file import FreshWeights, StoredWeights, make, obtain
from coderls.engine.model.qwen2 import Qwen2, forward
from coderls.engine.model.slim import without_copies
from coderls.engine.model.weights import load_qwen2, open_checkpoint
from coderls.engine.runner import SampleSpec, Work
from coderls.errors import ModelBroken, ModelUnavailable
from coderls.models import quantized

from .checkpoints import FAMILY, SMALL, oracle, save, some_tokens

CPU = torch.device("cpu")
FORMS = [WeightForm(8), WeightForm(4), WeightForm(4, group=64), WeightForm(4, wide=False), WeightForm(8, wide=False)]
UNTIED = FAMILY[4]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(oracle(SMALL), tmp_path / "model")


def load(folder: Path, form: WeightForm) -> Qwen2:
    config = read_config(folder)
    narrow = None if form == PLAIN else obtain(folder, config, form)
    return load_qwen2(folder, config, device=CPU, dtype=torch.bfloat16, context_length=64, narrow=narrow)


@torch.inference_mode()
def logits(model: Qwen2, tokens: list[int], spec: SampleSpec | None = None) -> torch.Tensor:
    """Of the last token, which is run alone: through the quantized weights."""
    cache = allocate(model.config, (64,), CPU, torch.bfloat16)
    attention = SdpaAttention(cache)
    found = None
    for start, part in ((0, tokens[:-1]), (len(tokens) - 1, tokens[-1:])):
        work = Work(0, start, part, (spec or SampleSpec(Sampling()),))
        found = forward(model, make_batch([work], cache, model.rope), cache, attention)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.file_name}-{'wide' if form.wide else 'alone'}")
@pytest.mark.parametrize("member", [SMALL, UNTIED], ids=lambda member: member.name)
def test_a_quantized_model_says_nearly_the_same(form: WeightForm, member: object, tmp_path: Path) -> None:
    folder = save(oracle(member), tmp_path / "model")  # type: ignore[arg-type]
    tokens = some_tokens(20)
    plain, ours = logits(load(folder, PLAIN), tokens), logits(load(folder, form), tokens)
    off = (ours - plain).square().mean().sqrt() / plain.square().mean().sqrt()
    assert 0 < off < (0.03 if form.bits == 8 else 0.25)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.file_name)
def test_what_is_stored_is_what_is_quantized(form: WeightForm, folder: Path) -> None:
    config = read_config(folder)
    stored = obtain(folder, config, form)
    assert isinstance(stored, StoredWeights)
    fresh = FreshWeights(open_checkpoint(folder, config), config, form)
    for product in ("layers.0.qkv", "layers.1.gate_up", "layers.1.mlp_out", "head"):
        one, other = stored.weight(product, CPU), fresh.weight(product, CPU)
        assert type(one) is type(other)
        assert all(map(torch.equal, one.tensors().values(), other.tensors().values()))
    assert isinstance(stored.weight("head", CPU), Int8Weight)
    assert isinstance(stored.weight("layers.0.qkv", CPU), Int4Weight if form.bits == 4 else Int8Weight)


def test_it_is_made_once(folder: Path) -> None:
    config = read_config(folder)
    seen: list[float] = []
    path = make(folder, config, WeightForm(4), lambda _detail, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    before = path.stat().st_mtime_ns
    assert make(folder, config, WeightForm(4)) == path
    assert path.stat().st_mtime_ns == before
    assert path.parent == quantized.quantized_dir()
    assert [file for file in path.parent.iterdir() if file.suffix == ".safetensors"] == [path]


def test_replaced_weights_get_a_new_copy_and_the_old_one_goes(folder: Path) -> None:
    config = read_config(folder)
    old, eight = make(folder, config, WeightForm(4)), make(folder, config, WeightForm(8))
    weights = folder / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    new = make(folder, config, WeightForm(4))
    assert new != old
    assert quantized.files_of(folder) == sorted([new, eight])


def test_an_old_copy_that_is_in_use_is_no_hindrance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, form = read_config(folder), WeightForm(8)
    old = make(folder, config, form)
    os.utime(folder / "model.safetensors", (1, 1))

    def unlink(_: Path, **__: object) -> None:
        raise PermissionError(13, "it is open")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        new = make(folder, config, form)
    assert new.is_file()
    assert new != old


def test_a_copy_in_a_folder_that_cannot_be_written_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, form = read_config(folder), WeightForm(8)
    make(folder, config, form)

    def locked(*_: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(quantized_file, "one_at_a_time", locked)
    assert isinstance(obtain(folder, config, form), StoredWeights)


def test_a_damaged_copy_that_cannot_be_replaced_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, form = read_config(folder), WeightForm(8)
    make(folder, config, form).write_bytes(b"no weights")

    def full(*_args: object) -> None:
        raise ModelUnavailable("The disk is full.", "Free some space.")

    monkeypatch.setattr(quantized_file, "require_space", full)
    assert isinstance(obtain(folder, config, form), FreshWeights)


def test_a_loaded_model_does_not_need_the_copy(folder: Path) -> None:
    config = read_config(folder)
    model = load(folder, WeightForm(4))
    before = logits(model, some_tokens(9))
    make(folder, config, WeightForm(4)).write_bytes(b"")
    assert torch.equal(logits(model, some_tokens(9)), before)


@pytest.mark.parametrize("kept", [0, 7, 300, -1])
def test_a_damaged_copy_is_made_again(folder: Path, kept: int) -> None:
    config = read_config(folder)
    path = make(folder, config, WeightForm(8))
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    with pytest.raises(ModelBroken, match=r"damaged.*made again"):
        StoredWeights(path, WeightForm(8), config)
    assert isinstance(obtain(folder, config, WeightForm(8)), StoredWeights)
    assert path.read_bytes() == whole


def test_a_copy_of_another_format_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config(folder)
    with monkeypatch.context() as older:
        older.setattr(quantized_file, "FORMAT", "coderls-quantized-0")
        path = make(folder, config, WeightForm(8))
    obtain(folder, config, WeightForm(8))
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["format"] == quantized_file.FORMAT


def test_where_no_copy_can_be_kept_the_weights_are_quantized_each_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_args: object) -> None:
        raise ModelUnavailable("The disk is full.", "Free some space.")

    monkeypatch.setattr(quantized_file, "require_space", full)
    config = read_config(folder)
    with pytest.raises(ModelUnavailable):
        make(folder, config, WeightForm(4))
    assert isinstance(obtain(folder, config, WeightForm(4)), FreshWeights)
    assert "not kept: The disk is full" in caplog.text
    assert logits(load(folder, WeightForm(4)), some_tokens(5)).isfinite().all()


def test_nothing_is_left_of_a_copy_that_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise ModelBroken("The weights hold values that are no numbers.")

    monkeypatch.setattr(quantized_file, "quantize", broken)
    with pytest.raises(ModelBroken, match="no numbers"):
        obtain(folder, read_config(folder), WeightForm(4))
    assert not [file for file in quantized.quantized_dir().iterdir() if file.suffix != ".lock"]


def test_the_wide_weights_are_left_out_when_not_wanted(folder: Path) -> None:
    for form in (WeightForm(4), WeightForm(4, wide=False)):
        model = load(folder, form)
        layers = [layer.qkv for layer in model.layers]
        assert all(isinstance(layer, QuantizedLinear) and (layer.wide is not None) == form.wide for layer in layers)
    lean, both = (load(folder, dataclasses.replace(WeightForm(8), wide=wide)).weight_bytes for wide in (False, True))
    assert lean < 0.6 * both


def choose(wanted: str, folder: Path, device: str = "cpu", free: int | None = None) -> WeightForm:
    return choose_form(
        wanted, folder, read_config(folder), device=torch.device(device), itemsize=2, free=free, packs=device == "cpu"
    )


def test_the_form_that_is_wanted(folder: Path) -> None:
    assert choose("bfloat16", folder) == PLAIN
    assert choose("int8", folder) == WeightForm(8)
    assert choose("int4", folder) == WeightForm(4)
    assert choose("int4", folder, free=1000) == WeightForm(4, wide=False)


def test_on_a_processor_auto_is_int8_where_it_fits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config(folder)
    lean = form_bytes(config, WeightForm(8, wide=False), 2, packs=True)
    assert choose("auto", folder) == choose("auto", folder, free=1 << 40) == WeightForm(8)
    assert choose("auto", folder, free=int(lean / 0.8) + 1) == WeightForm(8, wide=False)
    assert choose("auto", folder, free=1000) == WeightForm(4, wide=False)
    monkeypatch.setattr(forms, "quantized_products_work", lambda group: False)
    assert choose("auto", folder) == PLAIN


def test_a_copy_with_larger_groups_that_the_user_made_is_used(folder: Path) -> None:
    assert choose("int4", folder).group == 32
    make(folder, read_config(folder), WeightForm(4, group=64))
    assert choose("int4", folder) == WeightForm(4, group=64)
    assert choose("int8", folder) == WeightForm(8)


def test_on_a_card_the_widest_that_fits_is_taken(folder: Path) -> None:
    config = read_config(folder)
    sizes = [
        form_bytes(config, form, 2, packs=False)
        for form in (PLAIN, WeightForm(8, wide=False), WeightForm(4, wide=False))
    ]
    assert sizes == sorted(sizes, reverse=True)
    room = [int(size / 0.8) + 1 for size in sizes]
    assert choose("auto", folder, "cuda", room[0]) == PLAIN
    assert choose("auto", folder, "cuda", room[0] - 10) == WeightForm(8, wide=False)
    assert choose("auto", folder, "cuda", room[1] - 10) == WeightForm(4, wide=False)
    assert choose("auto", folder, "cuda", None) == PLAIN


@pytest.mark.parametrize("member", [SMALL, UNTIED], ids=lambda member: member.name)
@pytest.mark.parametrize("form", [PLAIN, *FORMS], ids=lambda form: f"{form.file_name}-{form.wide}")
def test_the_planned_memory_is_that_of_the_loaded_model(member: object, form: WeightForm, tmp_path: Path) -> None:
    folder = save(oracle(member), tmp_path / "model")  # type: ignore[arg-type]
    model = load(folder, form)
    logits(model, some_tokens(3))  # torch's int4 product makes its copy
    config: ModelConfig = model.config
    planned = form_bytes(config, form, 2, packs=True)
    assert model.weight_bytes == pytest.approx(planned, rel=0.03)


@pytest.mark.parametrize("form", [PLAIN, *FORMS], ids=lambda form: f"{form.file_name}-{form.wide}")
def test_the_native_steps_copy_is_planned_for(form: WeightForm, tmp_path: Path) -> None:
    model = load(save(oracle(SMALL), tmp_path / "model"), form)
    config: ModelConfig = model.config
    packed = copy_bytes(model)
    assert packed == sum(pack(weight).data.nbytes for weight, _ in _weights(model) if weight is not None)
    assert native_bytes(config, form, 2, packs=False) == pytest.approx(packed, rel=0.05)
    table = config.vocab_size * config.hidden_size
    both = form_bytes(config, form, 2, packs=True) + native_bytes(config, form, 2, packs=True)
    unpacked = form_bytes(config, form, 2, packs=False) + (table * 2 if form.wide else 0)  # a tied head is packed too
    assert both == pytest.approx(unpacked + packed, rel=0.05), "nothing is counted twice"
    assert native_bytes(config, PLAIN, 4, packs=False) == 0, "it reads no float32"


@pytest.mark.parametrize(("bits", "rough"), [(8, False), (4, True)])
def test_a_large_head_is_looked_at_in_4_bits_beside_layers_of_4(
    bits: int, rough: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortlist, "LIKELY", 2)  # so that this one is large
    model = load(folder, WeightForm(bits))
    logits(model, some_tokens(3))
    config: ModelConfig = model.config
    head = model.head
    assert isinstance(head, QuantizedLinear)
    assert head.wide is not None
    copied = config.vocab_size * config.hidden_size * 5 // 8 if rough else 0
    assert head.nbytes - head.weight.nbytes - head.wide.nbytes == copied
    assert model.weight_bytes == pytest.approx(form_bytes(config, WeightForm(bits), 2, packs=True), rel=0.03)
    # Where the native step runs, only ends of prompts come here: one look at all of it, and no copy.
    slim = without_copies(model)
    logits(slim, some_tokens(3))
    assert slim.head.nbytes == head.weight.nbytes + model.embedding.nbytes


@pytest.mark.parametrize(
    ("spec", "sure"),
    [
        (SampleSpec(Sampling()), False),
        (SampleSpec(Sampling(), allowed=(5, 6)), True),
        (SampleSpec(Sampling(temperature=0.8, seed=1)), True),
    ],
    ids=["likeliest", "limited", "drawn"],
)
def test_a_token_that_need_not_be_likely_is_chosen_by_8_bits_of_the_head(
    spec: SampleSpec, sure: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortlist, "LIKELY", 2)
    model = load(folder, WeightForm(4))
    assert isinstance(model.head, shortlist.TwoLooks)
    exact = logits(replace(model, head=model.head.whole), some_tokens(3))
    assert torch.equal(logits(model, some_tokens(3), spec), exact) == sure
