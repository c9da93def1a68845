"""Model directories on this machine: found by name or path, and checked without reading their weights."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderls import paths
from coderls.errors import ModelBroken, ModelError, ModelNotFound
from coderls.models import catalogue, recipe, safetensors_header

NANO = "nano"
#: Written last into a directory that coderls built or pulled: inputs, versions, and the size of each file.
MANIFEST = "coderls.json"
INDEX = "model.safetensors.index.json"

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9][\w.+-]*)?(@[\w.+-]+)?")


@dataclass(frozen=True, slots=True)
class ModelDir:
    """A model by the name that the user gave it, and its directory (which may not be there yet)."""

    name: str
    path: Path


def resolve(model: str) -> ModelDir:
    """The directory of a model name, a repository id such as `Qwen/Qwen2.5-Coder-1.5B`, or a path.

    A relative path begins with `./` or `../`; a bare name is always a model's name.

    For the embedded model: where it is, or will be once it is built (see `is_ready`).
    Raises ModelNotFound, or ModelBroken for a directory that is there but cannot be used.
    """
    found = _find(model)
    if model != NANO:
        reason = fault(found)
        if reason:
            raise ModelBroken(reason[0], reason[1])
    return found


def _find(model: str) -> ModelDir:
    if model == NANO:
        return nano_dir()
    if not model.strip():
        raise ModelNotFound("The model's name is empty.", "`coderls models list` shows those that are here.")
    if _NAME.fullmatch(model):  # never a folder of the current directory: a repository could plant one
        pulled = paths.models_dir() / folder_name(model)
        if os.path.isdir(pulled):
            return ModelDir(model, pulled)
        hint = f" For the directory of that name write .{os.sep}{Path(model)}." if os.path.isdir(model) else ""
        raise ModelNotFound(
            f"There is no model {model!r} here.",
            "`coderls models list` shows what is here, `coderls models pull NAME` fetches one." + hint,
        )
    # os.path, not pathlib, whose questions raise for `~nobody`, for names that are too long, and for closed folders
    path = Path(os.path.expanduser(model))
    if os.path.isdir(path):
        return ModelDir(path.resolve().name, path.resolve())
    if os.path.exists(path):
        raise ModelBroken(f"{path} is a file.", "Name the directory that holds config.json and model.safetensors.")
    raise ModelNotFound(f"There is no directory {path}.", "`coderls models list` shows the models that are here.")


def nano_dir() -> ModelDir:
    """Where the embedded model is, or will be once it is built."""
    return ModelDir(NANO, paths.models_dir() / recipe.nano_recipe().folder)


def folder_name(model: str) -> str:
    """The folder under `paths.models_dir()` of a model name or repository id. Raises ModelNotFound for no name."""
    if not _NAME.fullmatch(model) or ".." in model:
        raise ModelNotFound(
            f"{model!r} is no model name.", "Names look like qwen2.5-coder-1.5b or Qwen/Qwen2.5-Coder-1.5B."
        )
    return catalogue.canonical(model).replace("/", "--").lower()


def is_ready(model: ModelDir) -> bool:
    """Whether the directory is complete: it can be loaded, as far as can be told without reading its weights."""
    return fault(model) is None


def fault(model: ModelDir, *, deep: bool = False) -> tuple[str, str] | None:
    """What is wrong with a model directory, and what to do; None for one that is whole.

    `deep` also compares the checksums in the manifest (reads every byte).
    """
    path = model.path
    if not path.is_dir():
        return f"{path} is not there.", "Run `coderls models build`." if model.name == NANO else "Pull the model again."
    try:
        if model.name == NANO:
            check_manifest(path, fingerprint=recipe.nano_recipe().fingerprint, deep=deep)
        elif (path / MANIFEST).is_file():
            check_manifest(path, deep=deep)
        _check_files(path)
    except ModelError as error:
        return error.what, error.todo
    except OSError as error:
        return f"{path} cannot be read: {error}.", "Check its permissions, or fetch the model again."
    return None


def read_manifest(path: Path) -> dict[str, Any]:
    """What was written when the directory was built or pulled. Raises ModelBroken."""
    return read_json(path / MANIFEST)


def write_manifest(path: Path, facts: Mapping[str, Any], checksums: Mapping[str, str] | None = None) -> None:
    """Write the manifest, with size and sha256 of every file that is in the directory now.

    `checksums`: those that are known already (file name -> sha256); a large model takes minutes to read.
    """
    files = {
        file.name: {
            "size": file.stat().st_size,
            "sha256": (checksums or {}).get(file.name) or recipe.sha256_of(file),
        }
        for file in sorted(path.iterdir())
        if file.is_file() and file.name != MANIFEST
    }
    (path / MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=1) + "\n", encoding="utf-8")


def check_manifest(path: Path, *, fingerprint: str = "", deep: bool = False) -> None:
    """Compare a directory with its manifest, and the manifest with the recipe's `fingerprint` where one is given.

    Raises ModelBroken.
    """
    again = "Run `coderls models build` to make it again." if fingerprint else "Run `coderls models pull` again."
    manifest = read_manifest(path)
    if fingerprint and manifest.get("fingerprint") != fingerprint:
        raise ModelBroken(f"{path} was made by another version of coderls.", again)
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(isinstance(facts, dict) for facts in files.values()):
        raise ModelBroken(f"{path / MANIFEST} names no files.", again)
    for name, facts in files.items():
        file = path / name
        size = file.stat().st_size if file.is_file() else -1
        if size != facts.get("size"):
            there = "missing" if size < 0 else f"damaged ({size} of {facts.get('size')} bytes)"
            raise ModelBroken(f"{file} is {there}.", again)
        if deep and recipe.sha256_of(file) != facts.get("sha256"):
            raise ModelBroken(f"{file} is damaged: its checksum is not the one that it had.", again)


def _check_files(path: Path) -> None:
    if not (path / "tokenizer.json").is_file():
        raise ModelBroken(f"{path} has no tokenizer.json.", "Name a complete Hugging Face model directory.")
    if (path / "fake.json").is_file():  # a scripted engine, for tests and demos: it has no weights
        return
    read_json(path / "config.json")
    for file in weight_files(path):
        safetensors_header.read_header(file)


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a model directory, by its index where it has one. Raises ModelBroken."""
    if (path / INDEX).is_file():
        weights = read_json(path / INDEX).get("weight_map")
        if not isinstance(weights, dict) or not all(_is_file_name(name) for name in weights.values()):
            raise ModelBroken(f"{path / INDEX} names no weights.", "Fetch the model again.")
        return [path / name for name in sorted(set(weights.values()))]
    files = sorted(path.glob("model*.safetensors"))
    if not files:
        pickled = any(path.glob("*.bin")) or any(path.glob("*.pt"))
        raise ModelBroken(
            f"{path} has no model.safetensors" + (", only pickled weights." if pickled else "."),
            "coderls loads safetensors only: convert or fetch the weights in that format.",
        )
    return files


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors")


def read_json(file: Path) -> dict[str, Any]:
    """The object in one of a model's JSON files. Raises ModelBroken when it is missing or holds no object."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelBroken(f"{file} is missing.", "Fetch or build the model again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBroken(f"{file} cannot be read: {error}.", "Fetch or build the model again.") from error
    if not isinstance(value, dict):
        raise ModelBroken(f"{file} holds no object.", "Fetch or build the model again.")
    return value
