"""Real projects to work on: source distributions from the package index, checked and unpacked once.

    folder = project(HTTPX)      # .demo/httpx-0.28.1, ready to be opened as a workspace

The first call needs the package index; later ones need nothing. pip compares the checksum before it looks into the
archive. (To name a source distribution's metadata pip prepares it with its build backend, in an environment of its
own; nothing is built or installed.)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

#: Ignored by git; `make clean` removes it.
FOLDER = Path(__file__).resolve().parent.parent / ".demo"

TIMEOUT_S = 300


class NotFetched(Exception):
    """A source distribution could not be had; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Sdist:
    """One source distribution, by name, version and the SHA-256 of its archive."""

    name: str
    version: str
    sha256: str

    @property
    def stem(self) -> str:
        """The archive's name without `.tar.gz`, and the folder inside it."""
        return f"{self.name}-{self.version}"


HTTPX = Sdist("httpx", "0.28.1", "75e98c5f16b0f35b567856f597f06ff2270a374470a5c2392242528e3e3e42fc")


def project(sdist: Sdist, folder: Path = FOLDER, say: Callable[[str], None] = lambda line: None) -> Path:
    """The unpacked sources, fetched first if they are not here. Raises NotFetched."""
    target = folder / sdist.stem
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{sdist.stem}.lock"):
        if not target.is_dir():
            archive = folder / f"{sdist.stem}.tar.gz"
            if not archive.is_file():
                say(f"fetching {sdist.stem}.tar.gz from the package index")
                fetch(sdist, archive)
            unpack(sdist, archive, target)
        if not (target / ".git").exists():
            _make_repository(target)
    return target


def fetch(sdist: Sdist, archive: Path) -> None:
    """Download the archive with pip, which compares its checksum. Raises NotFetched."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(f"{sdist.name}=={sdist.version} --hash=sha256:{sdist.sha256}\n", encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--no-deps", "--no-binary", sdist.name, "--require-hashes", "--requirement", str(wanted)),
            *("--dest", scratch),
        ]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise NotFetched(f"pip did not fetch {sdist.stem} within {TIMEOUT_S} s. Is the network up?") from error
        found = Path(scratch) / archive.name
        if done.returncode or not found.is_file():
            last = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise NotFetched(
                f"pip could not fetch {sdist.stem}:\n{last}\n"
                f"The first run needs the package index. Without it, put {archive.name} into {archive.parent}."
            )
        found.replace(archive)


def unpack(sdist: Sdist, archive: Path, target: Path) -> None:
    """Unpack a checked archive to `target`, whole or not at all. Raises NotFetched."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != sdist.sha256:
        raise NotFetched(f"{archive} is not the archive that was asked for (SHA-256). Delete it and try again.")
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        (scratch / sdist.stem).replace(target)
    except (tarfile.TarError, OSError) as error:
        raise NotFetched(f"{archive} could not be unpacked: {error}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make_repository(folder: Path) -> None:
    """A repository of its own, as a developer would have it: around it lies ours, which ignores this folder."""
    if git := shutil.which("git"):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command = [git, "-c", "init.defaultBranch=main", "init", "--quiet", str(folder)]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True, env=environment, timeout=TIMEOUT_S)
