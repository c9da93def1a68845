"""A folder of wheels to install coderls from, without a network and in seconds.

The wheel of coderls is the real one. The packages that it needs are some hundred MB, so their wheels here have the real
names and versions, which pip resolves and installs, and hold one line each: where this Python has them.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.editors.home import EDITORS


def server_wheel() -> Path:
    """The wheel that is in the packed extension."""
    [wheel] = (EDITORS / "vscode" / "server").glob("coderls-*.whl")
    return wheel


def wheel_folder(folder: Path, coderls: Path) -> Path:
    """Fill `folder` with what `coderls` (a wheel) requires on this machine; returns it."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(coderls) as wheel:
        [name] = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
        wanted = [
            Requirement(line.partition(":")[2])
            for line in wheel.read(name).decode().splitlines()
            if line.startswith("Requires-Dist:")
        ]
    paths = "\n".join(path for path in sys.path if path.endswith("site-packages"))
    for one in wanted:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            _borrowed(folder, one.name, metadata.version(one.name), paths)
    return folder


def _borrowed(folder: Path, name: str, version: str, paths: str) -> None:
    """A wheel of that name and version (https://packaging.python.org/specifications/binary-distribution-format)."""
    plain = name.replace("-", "_").lower()
    info = f"{plain}-{version}.dist-info"
    files = {
        f"borrowed_{plain}.pth": paths + "\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},{_digest(text)},{len(text.encode())}" for path, text in files.items()]
    with zipfile.ZipFile(folder / f"{plain}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
