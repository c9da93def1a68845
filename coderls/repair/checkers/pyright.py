"""pyright or basedpyright as a warm language server. It reads types and runs nothing of the project.

One program is started by it: the Python whose packages it looks up. In a trusted folder that is the project's own,
else the one that runs coderls; the packages of an untrusted project's environment are read as files.
Settings: microsoft.github.io/pyright/#/settings.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from coderls.repair.checkers.checker import Step
from coderls.repair.checkers.warm import WarmChecker


class Pyright(WarmChecker):
    """The type checker behind Pylance; `basedpyright` is its fork, which brings its own Node."""

    name = "pyright"
    languages = frozenset({"python"})
    step = Step.TYPES

    def command(self) -> list[str]:
        return [str(self.program), "--stdio"]

    def configure(self, section: str) -> Any:
        analysis = {
            "diagnosticMode": "openFilesOnly",
            "extraPaths": [str(path) for path in self._packages()],
            "autoSearchPaths": True,
        }
        interpreter = str(self._interpreter() or "")
        if section == "python":
            return {"analysis": analysis, **({"pythonPath": interpreter} if interpreter else {})}
        if section in ("python.analysis", "basedpyright.analysis"):
            return analysis
        return {"analysis": analysis} if section == "basedpyright" else {}

    def _interpreter(self) -> Path | None:
        places = self.surroundings
        if not places.trusted:
            own = Path(sys.executable)
            return None if places.holds(own) else own
        return places.find("python3", "python")

    def _packages(self) -> list[Path]:
        folder = self.surroundings.folder
        if self.surroundings.trusted or folder is None:
            return []
        inside = "Lib/site-packages" if os.name == "nt" else "lib/python3*/site-packages"
        found = [path for name in (".venv", "venv") for path in sorted((folder / name).glob(inside))]
        return [path for path in found if self.surroundings.holds(Path(os.path.realpath(path)))]
