"""Packs a model as the distribution `coderls-nano`: weights in pieces that a repository and an index take.

    python -m training.package MODEL_DIR OUT --version 0.2.0 [--layers q4_1] [--embedding q8_0]
        [--calibrate EXAMPLES] [--build]

OUT becomes a source tree: `pyproject.toml`, `coderls_nano/` with the GGUF in pieces of at most 50 MB, MODEL.md and the
licences; `--build` builds its wheel, without a network. It also gets `source.json`: put it into `coderls/models/nano/`
in the place of delta and old source, and the embedded model is built from this wheel and from no other package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from coderls.errors import CoderlsError, ModelUnavailable
from coderls.models.recipe import nano_recipe, sha256_of
from training import gguf_export

PIECE_BYTES = 50 * 10**6
_ROOT = Path(__file__).resolve().parent.parent
_GGUF = "nano.gguf"

_PYPROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "coderls-nano"
version = "{version}"
description = "Weights of the code completion model that comes with coderls"
readme = "MODEL.md"
license = "Apache-2.0"
license-files = ["LICENSE", "NOTICE"]
requires-python = ">=3.10"

[tool.hatch.build.targets.wheel]
packages = ["coderls_nano"]
"""
_INIT = '''"""Weights of the model that comes with coderls, as a GGUF file in pieces. Nothing here runs."""

__version__ = "{version}"
'''


def lay_out(model: Path, out: Path, version: str, form: gguf_export.Form) -> str:
    """Write the source tree in place of what is in `out`; the GGUF's checksum. Raises CoderlsError."""
    shutil.rmtree(out, ignore_errors=True)
    package = out / "coderls_nano"
    package.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=out) as place:
        whole = Path(place) / _GGUF
        gguf_export.export(model, whole, form)
        checksum, size = sha256_of(whole), whole.stat().st_size
        split(whole, package)
    (package / "__init__.py").write_text(_INIT.format(version=version), encoding="utf-8")
    (out / "pyproject.toml").write_text(_PYPROJECT.format(version=version), encoding="utf-8")
    shutil.copyfile(nano_recipe().data / "README.md", out / "MODEL.md")
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(_ROOT / name, out / name)
    (out / "gguf.json").write_text(json.dumps({"gguf_sha256": checksum, "gguf_bytes": size}), encoding="utf-8")
    return checksum


def split(whole: Path, folder: Path) -> list[Path]:
    """The file's bytes as `NAME.000`, `NAME.001` and on, each of at most `PIECE_BYTES`."""
    pieces: list[Path] = []
    with whole.open("rb") as source:
        while block := source.read(PIECE_BYTES):
            pieces.append(folder / f"{whole.name}.{len(pieces):03}")
            pieces[-1].write_bytes(block)
    return pieces


def build(out: Path, version: str) -> Path:
    """Build the wheel in `out/dist` and write the `source.json` that names it. Raises ModelUnavailable."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out / "dist"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ModelUnavailable(f"The wheel could not be built: {(done.stderr or done.stdout).strip()[-500:]}")
    [wheel] = (out / "dist").glob("coderls_nano-*.whl")
    facts = json.loads((out / "gguf.json").read_text(encoding="utf-8"))
    source = {
        "name": "nano",
        "requirement": f"coderls-nano=={version}",
        "wheel": wheel.name,
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "wheel_bytes": wheel.stat().st_size,
        "gguf": f"coderls_nano/{_GGUF}",
        **facts,
    }
    (out / "source.json").write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
    return wheel


def main(argv: Sequence[str] | None = None) -> int:
    """Pack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.package")
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", required=True)
    gguf_export.add_options(parser)
    parser.add_argument("--build", action="store_true", help="build the wheel as well")
    args = parser.parse_args(argv)
    try:
        form = gguf_export.Form.of(args)
        print(f"{_GGUF}: sha256 {lay_out(args.model, args.out, args.version, form)}")
        if args.build:
            wheel = build(args.out, args.version)
            print(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB")
    except CoderlsError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
