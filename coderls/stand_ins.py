"""Programs of macOS that only stand for those of another package, and ask the user to install it when they are started.

`/usr/bin/git`, `gcc`, `clang` and others hand on to Apple's developer tools, `/usr/bin/java` to a Java; where those are
not installed, a window opens. `xcode-select -p` (its manual) and `java_home` (its manual) say whether they are, and
open none.
"""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from pathlib import Path

#: The names of what Apple's developer tools have in /usr/bin that is started here.
_DEVELOPER_TOOLS = frozenset({"cc", "c++", "clang", "clang++", "cpp", "g++", "gcc", "git", "make", "python3"})
_JAVA = frozenset({"java", "javac"})
_LIMIT_S = 5.0


def stands_for_nothing(program: Path) -> bool:
    """Whether to start this program would only ask the user to install it."""
    if platform.system() != "Darwin" or program.parent != Path("/usr/bin"):
        return False
    if program.name in _DEVELOPER_TOOLS:
        return not _says("/usr/bin/xcode-select", "-p")
    return program.name in _JAVA and not _says("/usr/libexec/java_home")


@lru_cache(maxsize=8)
def _says(*command: str) -> bool:
    """Whether this command names a folder that is there."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    folder = done.stdout.strip()
    return done.returncode == 0 and bool(folder) and Path(folder).is_dir()
