"""Where programs are looked for, and the environment that they get.

An untrusted folder may hold a file called `ruff` or `node`, or a `.venv` that somebody else filled. Nothing of it is
started: entries of PATH that lie in it are dropped, links are followed before that is decided, and no variable that
makes programs load code (NODE_OPTIONS, PYTHONPATH, LD_PRELOAD, RUSTC_WRAPPER ...) is handed on, trusted or not.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from coderls.stand_ins import stands_for_nothing

#: All that a compiler needs of our environment. Tokens and passwords of the user's shell are not among it.
_KEPT = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TMP", "TEMP", "TZ", "XDG_CACHE_HOME", "XDG_DATA_HOME"),
        *("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR", "USERPROFILE", "APPDATA", "LOCALAPPDATA"),
        *("PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMDATA", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE"),
        *("JAVA_HOME", "GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "CARGO_HOME", "RUSTUP_HOME", "SDKROOT"),
        *("INCLUDE", "LIB", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "DEVELOPER_DIR", "PYENV_ROOT"),
    }
)
#: Wrappers that would download what they wrap at their first start find no way out: nobody listens on that port.
_NOWHERE = "http://127.0.0.1:9"
_OFFLINE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1"),
    "npm_config_offline": "true",
}
_BIN = "Scripts" if os.name == "nt" else "bin"


@dataclass(frozen=True)
class Surroundings:
    """One workspace folder as checkers see it. `folder` None: a file outside of any folder, which is never trusted.

    `path` are the folders in which programs are looked for, best first.
    """

    folder: Path | None
    trusted: bool
    path: tuple[Path, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, folder: Path | None, *, trusted: bool) -> Surroundings:
        """What this process's own environment gives."""
        trusted = trusted and folder is not None
        places: dict[Path, None] = {}
        if folder is not None and trusted:
            places.update(dict.fromkeys(_project_bins(folder)))
        outside = Surroundings(folder, trusted)
        for entry in (*os.environ.get("PATH", "").split(os.pathsep), str(Path(sys.executable).parent)):
            place = Path(entry)
            if entry and place.is_absolute() and (trusted or not outside.holds(place)):
                places[place] = None
        return cls(folder, trusted, tuple(places))

    def holds(self, path: Path) -> bool:
        """Whether `path` lies in the workspace folder, as written or after its links are followed."""
        if self.folder is None:
            return False
        real_folder = Path(os.path.realpath(self.folder))
        written = Path(os.path.abspath(path))
        real = Path(os.path.realpath(path))
        return written.is_relative_to(os.path.abspath(self.folder)) or real.is_relative_to(real_folder)

    def find(self, *names: str) -> Path | None:
        """The first program of one of these names; None if there is none that may be used."""
        for name in names:
            for place in self.path:
                found = shutil.which(name, path=str(place))
                # Windows looks into the current folder first, whatever path it is given.
                if found is None or not Path(found).is_absolute() or Path(found).parent != place:
                    continue
                if stands_for_nothing(Path(found)):
                    continue
                if self.trusted or not self.holds(Path(found)):
                    return Path(found)
        return None

    def said(self, program: Path) -> str:
        """Where a program comes from, for the user."""
        return f"{program} (of the project)" if self.holds(program) else str(program)

    def environment(self, **more: str) -> dict[str, str]:
        """The variables that a checker gets; `more` are its own."""
        kept = {name: value for name, value in os.environ.items() if name.upper() in _KEPT}
        if not self.trusted:
            kept = {name: value for name, value in kept.items() if not self._leads_inside(value)}
        path = os.pathsep.join(str(place) for place in self.path)
        own = {"PATH": path, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "PYTHONSAFEPATH": "1"}
        return kept | _OFFLINE | own | more

    def _leads_inside(self, value: str) -> bool:
        pieces = value.split(os.pathsep)
        return any(os.path.isabs(piece) and self.holds(Path(piece)) for piece in pieces)


def _project_bins(folder: Path) -> Iterator[Path]:
    """Folders of programs that a project has for itself."""
    for name in (".venv", "venv", "env"):
        if (folder / name / "pyvenv.cfg").is_file():
            yield folder / name / _BIN
    if (folder / "node_modules" / ".bin").is_dir():
        yield folder / "node_modules" / ".bin"
    active = os.environ.get("VIRTUAL_ENV", "")
    if active and os.path.isabs(active):
        yield Path(active) / _BIN
