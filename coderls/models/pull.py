"""Fetches a checkpoint from the model hub: only the files that are needed, checked, and resumed when interrupted.

huggingface_hub knows the hub, its mirrors (HF_ENDPOINT) and the user's token; the transfer itself is ours,
because the library begins an interrupted file anew, and a file may have 5 GB. Nothing that could be run is
ever fetched: no Python, no pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coderls import __version__, paths
from coderls.errors import ModelBroken, ModelNotFound, ModelUnavailable
from coderls.models import catalogue, store
from coderls.models.disk import Progress, disk_error, one_at_a_time, require_space
from coderls.models.store import ModelDir

if TYPE_CHECKING:
    import httpx

#: Whole file names; nothing in subfolders. Weights are safetensors, in one file or in shards with an index.
WANTED = re.compile(
    r"config\.json|generation_config\.json|tokenizer\.json|tokenizer_config\.json|chat_template\.jinja|fim\.json"
    r"|model\.safetensors|model-\d{5}-of-\d{5}\.safetensors|model\.safetensors\.index\.json|(LICENSE|NOTICE)(\.\w+)?"
)
_RUNS = "qwen2"
_ATTEMPTS = 5
_PART = ".part"
_COMMIT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the hub. `sha256` for large files, `git_sha1` (of the blob, with git's header) for small ones."""

    name: str
    size: int
    sha256: str | None
    git_sha1: str | None

    @property
    def key(self) -> str:
        """Names the content, so that what was fetched once is never fetched again."""
        return self.sha256 or self.git_sha1 or ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The wanted files of one commit of a repository."""

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]


def pull(model: str, progress: Progress | None = None, *, wait: Callable[[float], None] = time.sleep) -> ModelDir:
    """Fetch `NAME`, `ORGANISATION/NAME` or either with `@REVISION`; does nothing when that commit is here.

    An interrupted pull goes on where it stopped. Raises ModelUnavailable (offline, not there, gated, no space,
    wrong checksum), ModelNotFound for what is no name, and ModelBroken for what the engine could not run.
    """
    say = progress or (lambda step, fraction: None)
    name, repository, revision = _parse(model)
    models = paths.models_dir()
    target = ModelDir(name, models / store.folder_name(name))
    try:
        models.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(models / f".{target.path.name}.lock", say):
            say(f"asking for {repository}", 0.0)
            snapshot = _look_up(repository, revision)
            if not _is_here(target, snapshot):
                _fetch(target, snapshot, say, wait)
    except OSError as error:
        raise disk_error(error, models) from error
    say("ready", 1.0)
    return target


def _parse(model: str) -> tuple[str, str, str | None]:
    store.folder_name(model)  # raises for what is no name
    name = catalogue.canonical(model)
    plain, _, revision = name.partition("@")
    known = catalogue.find(plain)
    if known is None and "/" not in plain:
        raise ModelNotFound(
            f"coderls knows no model {plain!r}.",
            "`coderls models list --all` shows the known ones; others are named ORGANISATION/NAME.",
        )
    return name, known.repository if known else plain, revision or None


def _look_up(repository: str, revision: str | None) -> Snapshot:
    from huggingface_hub import HfApi  # noqa: PLC0415  (half a second that only this command needs)
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError  # noqa: PLC0415

    hub = _endpoint()
    try:
        info = HfApi(endpoint=hub).model_info(repository, revision=revision, files_metadata=True, timeout=20)
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{repository} wants its terms to be accepted.",
            f"Accept them on {hub}/{repository}, then `hf auth login` and try again.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"{hub} has no {repository}, or it is private.", "Check the name.") from error
    except RevisionNotFoundError as error:
        raise ModelUnavailable(f"{repository} has no revision {revision!r}.", "Check the name after the @.") from error
    except Exception as error:  # the HTTP library below huggingface_hub differs between its versions
        raise _offline(hub, error) from error
    siblings = [file for file in info.siblings or () if WANTED.fullmatch(file.rfilename)]
    files = tuple(
        RemoteFile(file.rfilename, int(file.size or 0), file.lfs.sha256 if file.lfs else None, file.blob_id)
        for file in siblings
    )
    snapshot = Snapshot(repository, str(info.sha), _without_duplicates(files))
    _check_usable(snapshot, [file.rfilename for file in info.siblings or ()])
    return snapshot


def _without_duplicates(files: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
    """Some repositories hold the weights both whole and in shards: the shards with their index are enough."""
    sharded = any(file.name == store.INDEX for file in files)
    kept = [file for file in files if not (sharded and file.name == "model.safetensors")]
    return tuple(sorted(kept, key=lambda file: (file.size, file.name)))  # config.json first, weights last


def _check_usable(snapshot: Snapshot, everything: list[str]) -> None:
    names = {file.name for file in snapshot.files}
    for needed in ("config.json", "tokenizer.json"):
        if needed not in names:
            raise ModelBroken(f"{snapshot.repository} has no {needed}.", "coderls cannot run it: choose another.")
    if not any(name.endswith(".safetensors") for name in names):
        others = "pickled or quantized weights" if any(n.endswith((".bin", ".pt", ".gguf")) for n in everything) else ""
        raise ModelBroken(
            f"{snapshot.repository} has no model.safetensors{', only ' + others if others else ''}.",
            "coderls loads safetensors only: choose a repository that has them.",
        )
    unchecked = [file.name for file in snapshot.files if not file.key]
    if unchecked:
        raise ModelUnavailable(f"{_endpoint()} gives no checksum for {unchecked[0]}.", "Use another HF_ENDPOINT.")


def _is_here(target: ModelDir, snapshot: Snapshot) -> bool:
    try:
        return store.fault(target) is None and store.read_manifest(target.path).get("commit") == snapshot.commit
    except ModelBroken:
        return False


def _fetch(target: ModelDir, snapshot: Snapshot, say: Progress, wait: Callable[[float], None]) -> None:
    partial = _partial_folder(target, snapshot)
    total = sum(file.size for file in snapshot.files)
    told = -1
    require_space(total - _have(partial, snapshot), target.path.parent, f"Fetching {snapshot.repository}")
    done = 0
    for file in snapshot.files:

        def count(size: int, name: str = file.name, before: int = done) -> None:
            nonlocal told
            here = (before + size) * 1000 // total
            if here != told:  # blocks are small, and a bar is a thousand steps at most
                told = here
                say(f"fetching {name} ({_megabytes(before + size)} of {_megabytes(total)})", here / 1000)

        if not (partial / file.name).is_file():  # it gets its name only after its checksum was right
            _fetch_file(snapshot, file, partial / f"{file.name}{_PART}", count, wait)
            os.replace(partial / f"{file.name}{_PART}", partial / file.name)
        if file.name == "config.json":
            _check_architecture(snapshot, partial / file.name)
        done += file.size
    known = catalogue.find(snapshot.repository)
    facts = {
        "format": 1,
        "name": target.name,
        "repository": snapshot.repository,
        "commit": snapshot.commit,
        "licence": known.licence if known else "see its repository",
        "versions": {"coderls": __version__},
    }
    store.write_manifest(partial, facts, {file.name: file.sha256 for file in snapshot.files if file.sha256})
    if target.path.exists():
        shutil.rmtree(target.path)
    os.replace(partial, target.path)


def _partial_folder(target: ModelDir, snapshot: Snapshot) -> Path:
    """Where this commit is being put together; what was begun of another one is removed."""
    partial = target.path.with_name(f".pulling-{target.path.name}-{snapshot.commit[:_COMMIT_DIGITS]}")
    for left in partial_folders(target.path):
        if left != partial:
            shutil.rmtree(left)
    partial.mkdir(exist_ok=True)
    return partial


def partial_folders(target: Path) -> list[Path]:
    """What was begun for the model directory `target`; not for another whose name only begins alike."""
    return list(target.parent.glob(f".pulling-{target.name}-{'?' * _COMMIT_DIGITS}"))


def _have(partial: Path, snapshot: Snapshot) -> int:
    places = [partial / f"{file.name}{ending}" for file in snapshot.files for ending in ("", _PART)]
    return sum(place.stat().st_size for place in places if place.is_file())


def _check_architecture(snapshot: Snapshot, config: Path) -> None:
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelBroken(f"config.json of {snapshot.repository} cannot be read: {error}.") from error
    if kind != _RUNS:
        raise ModelBroken(
            f"{snapshot.repository} has the architecture {kind!r}; coderls runs {_RUNS!r}.",
            "Choose a Qwen2, Qwen2.5 or Qwen2.5-Coder checkpoint, or name another engine by `engine.url`.",
        )


def _fetch_file(
    snapshot: Snapshot, file: RemoteFile, part: Path, count: Callable[[int], None], wait: Callable[[float], None]
) -> None:
    import httpx  # noqa: PLC0415  (only this command needs it here)

    failures = 0
    while True:
        part.touch()  # an empty file needs no transfer
        have = part.stat().st_size
        if have >= file.size:
            break
        try:
            _transfer(snapshot, file, part, have, count)
        except (httpx.TransportError, _Again) as error:
            failures = 1 if part.stat().st_size > have else failures + 1
            if failures == _ATTEMPTS:
                raise _offline(_endpoint(), error) from error
            wait(float(failures))
    if not _is_right(file, part):
        part.unlink()
        raise ModelUnavailable(
            f"{file.name} of {snapshot.repository} came with the wrong checksum; it was removed.",
            "Try again; if that repeats, a proxy or mirror changes files.",
        )
    count(file.size)


class _Again(Exception):
    """The server is busy, or closed the connection early: worth another attempt."""


def _transfer(snapshot: Snapshot, file: RemoteFile, part: Path, have: int, count: Callable[[int], None]) -> None:
    import httpx  # noqa: PLC0415
    from huggingface_hub import get_token, hf_hub_url  # noqa: PLC0415

    hub = _endpoint()
    url = hf_hub_url(snapshot.repository, file.name, revision=snapshot.commit, endpoint=hub)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"coderls/{__version__}"}
    token = get_token()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if have:
        headers["Range"] = f"bytes={have}-"
    # httpx drops the token when a redirect leads to another host
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as response:
        _check_status(response, snapshot, file)
        if response.status_code != 206:
            have = 0  # it does not know ranges: from the beginning
        with part.open("ab" if have else "wb") as target:
            for block in response.iter_bytes():
                target.write(block)
                have += len(block)
                if have > file.size:
                    break  # the checksum will say so
                count(have)
    if have < file.size:
        raise _Again("the connection closed early")


def _check_status(response: httpx.Response, snapshot: Snapshot, file: RemoteFile) -> None:
    if response.status_code in (200, 206):
        return
    if response.status_code in (408, 416, 429) or response.status_code >= 500:
        raise _Again(f"HTTP {response.status_code}")
    raise ModelUnavailable(
        f"{file.name} of {snapshot.repository} cannot be fetched: HTTP {response.status_code}.",
        "`hf auth login`, if the repository is private or has terms to accept.",
    )


def _is_right(file: RemoteFile, part: Path) -> bool:
    size = part.stat().st_size
    if size != file.size:
        return False
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with part.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == file.key


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _offline(hub: str, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(
        f"{hub} cannot be reached, or does not answer as a model hub does ({type(error).__name__}: {error}).",
        "Try again with a network: what was fetched is kept. HF_ENDPOINT names a mirror. A model directory from "
        "elsewhere can be used by its path.",
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
