from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coderls import paths
from coderls.errors import ModelBroken, ModelNotFound, ModelUnavailable
from coderls.models import disk, safetensors_file, store
from coderls.models.pull import pull
from tests.models.hub import COMMIT, Hub

WEIGHTS = "model.safetensors"


def weights(tmp_path: Path, name: str = "a") -> bytes:
    path = tmp_path / "weights"
    safetensors_file.write_bfloat16(path, {name: (400, 500)}, iter([(name, np.ones((400, 500), np.float32))]))
    return path.read_bytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {
        "config.json": b'{"model_type": "qwen2"}',
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b'{"auto_map": {"AutoTokenizer": ["elsewhere/repository--tokenization.Evil", null]}}',
        "LICENSE": b"Apache",
        "README.md": b"# hello",
        "tokenization.py": b"raise SystemExit",
        "modeling_evil.py": b"raise SystemExit",
        "pytorch_model.bin": b"pickle",
        "original/model.safetensors": b"x",
        "training_args.bin": b"pickle",
        WEIGHTS: weights(tmp_path),
    }
    with Hub(files=files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


def no_wait(seconds: float) -> None:
    """Tests do not wait for a server to recover."""


def test_only_what_is_needed_is_fetched(hub: Hub) -> None:
    said: list[tuple[str, float]] = []
    model = pull("qwen2.5-coder-0.5b", lambda step, fraction: said.append((step, fraction)))
    names = {path.name for path in model.path.iterdir()}
    assert names == {"config.json", "tokenizer.json", "tokenizer_config.json", "LICENSE", WEIGHTS, store.MANIFEST}
    assert (model.path / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert model.path == paths.models_dir() / "qwen2.5-coder-0.5b"
    assert said[-1] == ("ready", 1.0)
    assert any("model.safetensors (0.4 MB of 0.4 MB)" in step for step, _ in said)
    assert all(0 <= fraction <= 1 for _, fraction in said)


def test_a_pulled_model_is_found_by_either_of_its_names(hub: Hub) -> None:
    pulled = pull("Qwen/Qwen2.5-Coder-0.5B")
    for name in ("qwen2.5-coder-0.5b", "Qwen/Qwen2.5-Coder-0.5B", str(pulled.path)):
        assert store.resolve(name).path == pulled.path
    assert store.fault(pulled, deep=True) is None
    manifest = store.read_manifest(pulled.path)
    assert (manifest["commit"], manifest["licence"]) == (COMMIT, "Apache-2.0")


def test_nothing_is_fetched_twice(hub: Hub) -> None:
    pull("qwen2.5-coder-0.5b")
    hub.requests.clear()
    pull("qwen2.5-coder-0.5b")
    assert [path for path, _ in hub.requests if not path.startswith("/api/")] == []


def test_a_new_commit_replaces_the_old(hub: Hub) -> None:
    pull("qwen2.5-coder-0.5b")
    hub.commit = "f" * 40
    hub.files["config.json"] = b'{"model_type": "qwen2", "new": 1}'
    model = pull("qwen2.5-coder-0.5b")
    assert "new" in json.loads((model.path / "config.json").read_text())


def test_a_revision_can_be_named_and_lives_beside_the_others(hub: Hub) -> None:
    pinned = pull("qwen2.5-coder-0.5b@v1")
    assert any(path.endswith("/revision/v1") for path, _ in hub.requests)
    assert pinned.path.name == "qwen2.5-coder-0.5b@v1"
    assert store.resolve("qwen2.5-coder-0.5b@v1").path == pinned.path
    with pytest.raises(ModelUnavailable, match="no revision 'v9'"):
        pull("qwen2.5-coder-0.5b@v9")


def test_a_broken_connection_is_resumed_at_once(hub: Hub) -> None:
    hub.cut_after[WEIGHTS] = [100_000, 50_000]
    model = pull("qwen2.5-coder-0.5b", wait=no_wait)
    first, second, third = hub.asked_for(WEIGHTS)
    assert first == ""
    assert 0 < int(second[6:-1]) <= 100_000
    assert int(second[6:-1]) <= int(third[6:-1]) <= 150_000
    assert (model.path / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_an_interrupted_pull_goes_on_where_it_stopped(hub: Hub) -> None:
    def interrupt(step: str, fraction: float) -> None:
        if WEIGHTS in step:
            raise KeyboardInterrupt

    hub.cut_after[WEIGHTS] = [100_000]
    with pytest.raises(KeyboardInterrupt):
        pull("qwen2.5-coder-0.5b", interrupt)
    assert not (paths.models_dir() / "qwen2.5-coder-0.5b").exists()
    with pytest.raises(ModelNotFound):
        store.resolve("qwen2.5-coder-0.5b")
    hub.requests.clear()
    model = pull("qwen2.5-coder-0.5b", wait=no_wait)
    assert hub.asked_for("config.json") == []  # whole already
    ranges = hub.asked_for(WEIGHTS)
    assert ranges[0].startswith("bytes=")
    assert (model.path / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_what_was_begun_of_a_model_whose_name_begins_alike_is_kept(hub: Hub) -> None:
    begun = paths.models_dir() / f".pulling-qwen2.5-coder-0.5b-instruct-{COMMIT[:12]}"
    older = paths.models_dir() / f".pulling-qwen2.5-coder-0.5b-{'f' * 12}"
    begun.mkdir(parents=True)
    older.mkdir()
    pull("qwen2.5-coder-0.5b")
    assert begun.is_dir()
    assert not older.exists()


def test_an_empty_file_is_fetched_too(hub: Hub) -> None:
    hub.files["NOTICE"] = b""
    model = pull("qwen2.5-coder-0.5b")
    assert (model.path / "NOTICE").read_bytes() == b""
    assert store.is_ready(model)


def test_a_server_without_ranges_is_asked_again_from_the_start(hub: Hub) -> None:
    hub.knows_ranges = False
    hub.cut_after[WEIGHTS] = [100_000]
    model = pull("qwen2.5-coder-0.5b", wait=no_wait)
    assert (model.path / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_connection_that_always_breaks_is_given_up_and_what_came_is_kept(hub: Hub) -> None:
    waits: list[float] = []
    hub.cut_after[WEIGHTS] = [100_000] + [0] * 20
    with pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
        pull("qwen2.5-coder-0.5b", wait=waits.append)
    assert "what was fetched is kept" in caught.value.todo
    assert len(waits) >= 4
    hub.cut_after.clear()
    hub.requests.clear()
    pull("qwen2.5-coder-0.5b")
    assert hub.asked_for(WEIGHTS)[0].startswith("bytes=")


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json"])
def test_a_wrong_checksum_is_noticed_and_the_file_removed(hub: Hub, name: str) -> None:
    right = hub.files[name]
    hub.wrong_content[name] = bytes(len(right) - 1) + b"!"
    with pytest.raises(ModelUnavailable, match=f"{name} .* wrong checksum"):
        pull("qwen2.5-coder-0.5b")
    assert not (paths.models_dir() / "qwen2.5-coder-0.5b").exists()
    hub.wrong_content.clear()
    assert (pull("qwen2.5-coder-0.5b").path / name).read_bytes() == right


def test_a_file_that_is_longer_than_announced_is_refused(hub: Hub) -> None:
    hub.wrong_content[WEIGHTS] = hub.files[WEIGHTS] + b"more"
    with pytest.raises(ModelUnavailable, match="wrong checksum"):
        pull("qwen2.5-coder-0.5b")


def test_shards_are_fetched_with_their_index(hub: Hub, tmp_path: Path) -> None:
    del hub.files[WEIGHTS]
    hub.files["model-00001-of-00002.safetensors"] = weights(tmp_path, "a")
    hub.files["model-00002-of-00002.safetensors"] = weights(tmp_path, "b")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    hub.files[store.INDEX] = json.dumps(index).encode()
    model = pull("qwen2.5-coder-0.5b")
    assert [path.name for path in store.weight_files(model.path)] == sorted(index["weight_map"].values())
    assert store.is_ready(store.resolve("qwen2.5-coder-0.5b"))


def test_the_token_goes_to_the_hub_only(hub: Hub) -> None:
    with Hub(files=hub.files) as elsewhere:
        hub.cdn = elsewhere.url.replace("127.0.0.1", "localhost")
        pull("qwen2.5-coder-0.5b")
        assert elsewhere.tokens[f"/cdn/{WEIGHTS}"] is None
    assert hub.tokens[f"/{hub.name}/resolve/{COMMIT}/{WEIGHTS}"] == "Bearer hf_secret"


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        ((404, "RepoNotFound"), "has no Qwen/Qwen2.5-Coder-0.5B"),
        ((403, "GatedRepo"), "terms"),
        ((500, ""), "cannot be reached"),
    ],
)
def test_what_the_hub_refuses_is_said(hub: Hub, refuse: tuple[int, str], message: str) -> None:
    hub.refuse = refuse
    with pytest.raises(ModelUnavailable, match=message):
        pull("qwen2.5-coder-0.5b")


def test_offline_is_said_to_be_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
        pull("qwen2.5-coder-7b")
    assert "HF_ENDPOINT" in caught.value.todo


def test_another_architecture_is_refused_before_its_weights_come(hub: Hub) -> None:
    hub.files["config.json"] = b'{"model_type": "llama"}'
    with pytest.raises(ModelBroken, match="'llama'; coderls runs 'qwen2'"):
        pull("qwen2.5-coder-0.5b")
    assert hub.asked_for(WEIGHTS) == []


@pytest.mark.parametrize(
    ("missing", "message"),
    [(WEIGHTS, "only pickled"), ("tokenizer.json", "no tokenizer.json"), ("config.json", "no config.json")],
)
def test_a_repository_that_cannot_be_run_is_refused(hub: Hub, missing: str, message: str) -> None:
    del hub.files[missing]
    with pytest.raises(ModelBroken, match=message):
        pull("qwen2.5-coder-0.5b")


def test_too_little_space_is_said_before_anything_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 5_000_000)
    with pytest.raises(ModelUnavailable, match=r"5 MB are free there, 27 MB too few"):
        pull("qwen2.5-coder-0.5b")
    assert [path for path, _ in hub.requests if not path.startswith("/api/")] == []


def test_any_repository_can_be_named(hub: Hub) -> None:
    hub.name = "Someone/Their-Qwen2"
    model = pull("Someone/Their-Qwen2")
    assert model.path.name == "someone--their-qwen2"
    assert store.resolve("Someone/Their-Qwen2").path == model.path


@pytest.mark.parametrize("name", ["../evil", "a/../b", "a/b/c", "/etc", "", "-x", "a b", "c:\\x", "x@../y"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ModelNotFound, match="is no model name"):
        pull(name)


def test_an_unknown_short_name_is_said_to_be_unknown() -> None:
    with pytest.raises(ModelNotFound, match="knows no model 'gpt-9'"):
        pull("gpt-9")
