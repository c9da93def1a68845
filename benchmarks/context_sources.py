"""Where the sources of completion points come from: a folder, a source distribution, or an npm package.

Fetched ones are kept in the user's cache folder, each in a repository of its own. pip and npm compare checksums
with those of their index; where a file of points has a `sha256`, that one counts.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from coderls import paths

TYPESCRIPT = "typescript@5.9.3"
_TIMEOUT_S = 600
_SDIST = re.compile(r"([\w.-]+)==([\w.+!-]+)")
_NPM = re.compile(r"((?:@[\w.-]+/)?[\w.-]+)@([\w.-]+)")


class SourceError(Exception):
    """Sources cannot be had; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """`kind` is "sdist", "npm" or "folder"; `spec` is `NAME==VERSION`, `NAME@VERSION` or a path."""

    kind: str
    spec: str
    sha256: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Source:
        """From the head of a file of points. Raises KeyError when it names no source."""
        kind = next(kind for kind in ("sdist", "npm", "folder", "missing") if kind in raw or kind == "missing")
        if kind == "missing":
            raise KeyError("sdist, npm or folder")
        return cls(kind, str(raw[kind]), str(raw.get("sha256", "")))

    @property
    def name(self) -> str:
        """A short name for tables."""
        if self.kind == "folder":
            return Path(self.spec).name
        return self.spec.partition("==")[0] if self.kind == "sdist" else self.spec.rpartition("@")[0]

    def named(self) -> dict[str, str]:
        """The head of a file of points."""
        return {self.kind: self.spec} | ({"sha256": self.sha256} if self.sha256 else {})

    def folder(self) -> Path:
        """The sources on this machine, fetched first where needed. Raises SourceError."""
        if self.kind == "folder":
            found = Path(self.spec)
            if not found.is_dir():
                raise SourceError(f"{found} is no folder.")
            return found.resolve()
        target = _cache() / re.sub(r"[^\w.-]+", "-", self.spec).strip("-")
        with FileLock(f"{target}.lock"):
            if not target.is_dir():
                _unpack(self, target)
        return target


def find_source(text: str) -> Source:
    """A source as a user writes it. Raises SourceError for what is none."""
    if Path(text).is_dir():
        return Source("folder", str(Path(text).resolve()))
    for kind, pattern in (("sdist", _SDIST), ("npm", _NPM)):
        if pattern.fullmatch(text):
            return Source(kind, text)
    raise SourceError(f"{text} is no folder, no NAME==VERSION and no NAME@VERSION.")


def _cache() -> Path:
    folder = paths.cache_dir() / "benchmarks" / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _unpack(source: Source, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        archive = _download(source, Path(scratch))
        if source.sha256 and hashlib.sha256(archive.read_bytes()).hexdigest() != source.sha256:
            raise SourceError(f"{source.spec} is not the archive that the points were made on (SHA-256).")
        inner = Path(scratch) / "unpacked"
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(inner, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise SourceError(f"{archive.name} could not be unpacked: {error}.") from error
        folders = [path for path in inner.iterdir() if path.is_dir()]
        made = folders[0] if len(folders) == 1 else inner
        if source.kind == "npm" and source.spec != TYPESCRIPT and (made / "src").is_dir():
            _keep_sources(made)
        if git := shutil.which("git"):
            environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
            _run([git, "-c", "init.defaultBranch=main", "init", "--quiet", str(made)], made, env=environment)
        made.replace(target)


def _keep_sources(folder: Path) -> None:
    """A package as its repository has it: what was compiled from `src` is not checked in."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "src":
            shutil.rmtree(path)


def _download(source: Source, scratch: Path) -> Path:
    if source.kind == "sdist":
        name = source.spec.partition("==")[0]
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input")
        _run([*pip, "--no-deps", "--no-binary", name, "--dest", str(scratch), source.spec], scratch)
    else:
        _run([find_tool("npm"), "pack", "--silent", "--ignore-scripts", source.spec], scratch)
    archives = [path for path in scratch.iterdir() if path.name.endswith((".tar.gz", ".tgz"))]
    if not archives:
        raise SourceError(f"{source.spec} came as something else than a tar archive.")
    return archives[0]


@dataclass(frozen=True, slots=True)
class Node:
    """The node that runs the TypeScript language service."""

    program: str

    def run(self, script: Path, arguments: Sequence[str], text: str) -> str:
        """What `script` writes when it gets `text` on its standard input. Raises SourceError."""
        return _run([self.program, "--max-old-space-size=4096", str(script), *arguments], script.parent, text=text)


def find_node() -> Node:
    """Raises SourceError where there is none."""
    return Node(find_tool("node"))


def fetch_typescript() -> Path:
    """The `typescript` package in the cache, fetched by npm at the first call. Raises SourceError."""
    return Source("npm", TYPESCRIPT).folder()


def find_tool(name: str) -> str:
    """The path of `node` or `npm`. Raises SourceError where it is missing."""
    found = shutil.which(name)
    if found is None:
        raise SourceError(f"{name} is not installed. Points of TypeScript projects need node and npm (version 20 on).")
    return found


def _run(command: Sequence[str], folder: Path, *, text: str = "", env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=env
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"{Path(command[0]).name} failed: {error}.") from error
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise SourceError(f"{' '.join([Path(command[0]).name, *command[1:3]])} failed:\n{last}")
    return done.stdout
