from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coderls import paths
from coderls.cli import main, models
from coderls.models import embedded, recipe, safetensors_file
from tests.models.hub import Hub
from tests.models.tiny import TinyModel, make_tiny_model


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyModel:
    """A small stand-in for the embedded model, under its name."""
    model = make_tiny_model(tmp_path)
    facts = json.loads((model.recipe.data / "source.json").read_text(encoding="utf-8"))
    (model.recipe.data / "source.json").write_text(json.dumps({**facts, "name": "nano"}), encoding="utf-8")
    small = recipe.read_recipe(model.recipe.data)
    monkeypatch.setattr(recipe, "nano_recipe", lambda: small)
    return model


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    path = tmp_path / "weights"
    safetensors_file.write_bfloat16(path, {"a": (8,)}, iter([("a", np.ones(8))]))
    files = {"config.json": b'{"model_type": "qwen2"}', "tokenizer.json": b"{}", "model.safetensors": path.read_bytes()}
    with Hub(files=files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    capsys.readouterr()
    assert main(["models", "list", "--json", *options]) == 0
    return {row["name"]: row["state"] for row in json.loads(capsys.readouterr().out)}


def test_build_list_path_and_remove(tiny: TinyModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {"nano": "built when first needed"}
    assert main(["models", "build", "--from-wheel", str(tiny.wheel)]) == 0
    said = capsys.readouterr()
    assert "nano is in" in said.out
    assert "building the model" in said.err
    assert listed(capsys) == {"nano": "ready"}
    assert main(["models", "path", "nano"]) == 0
    built = Path(capsys.readouterr().out.strip())
    assert (built / "model.safetensors").is_file()
    assert main(["models", "remove", "nano"]) == 0
    assert not built.exists()
    assert list(embedded.downloads_dir().iterdir()) == []
    assert main(["models", "remove", "nano"]) == 2


def test_a_wheel_that_is_not_there_is_an_error(tiny: TinyModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "build", "--from-wheel", "nowhere.whl"]) == 2
    assert "There is no file nowhere.whl." in capsys.readouterr().err


def test_pull_list_and_remove(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "Qwen/Qwen2.5-Coder-0.5B"]) == 0
    said = capsys.readouterr()
    assert '"qwen2.5-coder-0.5b"' in said.out
    assert "fetching model.safetensors" in said.err
    assert listed(capsys)["qwen2.5-coder-0.5b"] == "ready"
    (paths.models_dir() / "qwen2.5-coder-0.5b" / "model.safetensors").write_bytes(b"x")
    assert "damaged" in listed(capsys)["qwen2.5-coder-0.5b"]
    assert main(["models", "remove", "Qwen/Qwen2.5-Coder-0.5B"]) == 0
    assert "qwen2.5-coder-0.5b" not in listed(capsys)


def test_a_licence_for_research_only_is_said(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.name = "Qwen/Qwen2.5-Coder-3B"
    assert main(["models", "pull", "qwen2.5-coder-3b"]) == 0
    assert "no commercial use" in capsys.readouterr().out


def test_offline_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["models", "pull", "qwen2.5-coder-7b"]) == 1
    assert "coderls: http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err


def test_all_known_models_are_listed(tiny: TinyModel, capsys: pytest.CaptureFixture[str]) -> None:
    states = listed(capsys, "--all")
    assert states["qwen2.5-coder-32b-instruct"] == "can be pulled"
    assert len(states) == 13


@pytest.mark.parametrize("name", ["../outside", "/etc", ".", "..", "a/../../b", "~", "nowhere"])
def test_nothing_outside_the_folder_of_models_is_removed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = paths.cache_dir() / "outside"
    outside.mkdir(parents=True)
    assert main(["models", "remove", name]) == 2
    assert outside.is_dir()
    assert capsys.readouterr().err.startswith("coderls: ")


def test_recommend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "recommend", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["machine"]["memory"] > 0
    assert facts["disk_free"] > 0
    assert sum(one["recommended"] for one in facts["models"]) == 1
    assert main(["models", "recommend"]) == 0
    text = capsys.readouterr().out
    assert "Recommended: " in text
    assert next(line for line in text.splitlines() if "nano " in line).split("nano")[1].split()[:2] == ["93", "MB"]
    assert "Qwen Research License (not for commercial use)" in text


@pytest.mark.parametrize(("rate", "said"), [(0.2, "under 1/s"), (1.2, "1 token/s"), (1.6, "2 tokens/s")])
def test_a_slow_model_has_no_speed_of_nothing(rate: float, said: str) -> None:
    assert models._rate(rate) == said


def test_removing_a_model_leaves_what_was_begun_of_another_with_a_longer_name() -> None:
    begun = paths.models_dir() / ".pulling-qwen2.5-coder-0.5b-instruct-1234567890ab"
    own = paths.models_dir() / ".pulling-qwen2.5-coder-0.5b-1234567890ab"
    begun.mkdir(parents=True)
    own.mkdir()
    assert main(["models", "remove", "qwen2.5-coder-0.5b"]) == 0
    assert begun.is_dir()
    assert not own.exists()
