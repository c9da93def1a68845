"""Compiles the native step with the machine's own C++ compiler, once for each processor, compiler and source.

The library is kept in the user's cache, in a folder that nobody else can write to: what is loaded is code. A source
that did not compile is noted there too, so that an engine does not try it again at each start.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from coderls.paths import cache_dir
from coderls.stand_ins import stands_for_nothing

log = logging.getLogger(__name__)

_SOURCES = ("step.cpp", "model.hpp", "attention.hpp", "pool.hpp", "products.hpp", "simd.hpp")
_COMPILERS = ("c++", "g++", "clang++")
#: Compiling takes some five seconds. Another engine that compiles is waited for as long.
_LIMIT_S = 180
#: GCC's own headers of AVX-512 use a variable that they never set, which is what they mean to do. Clang does not know
#: that warning, and would warn of it.
_FLAGS = ("-std=c++20", "-O3", "-fPIC", "-shared", "-pthread", "-Wno-unknown-warning-option", "-Wno-psabi",
          "-Wno-uninitialized", "-Wno-maybe-uninitialized")  # fmt: skip


def build(
    progress: Callable[[str, float], None] | None = None,
    flags: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda reason: log.warning("No native step: %s", reason),
) -> Path | None:
    """The compiled library, from the cache where it is there; None where there can be none, and `say` is told why.

    `flags` instead of those for this processor: tests compile for others.
    """
    compiler = find_compiler()
    if compiler is None:
        say(why_none())
        return None
    try:
        chosen = [*_FLAGS, *(flags if flags is not None else native_flags())]
        library = _place(compiler, chosen)
        if library.exists():
            return library
        if progress is not None:
            progress("compiling the native step (once)", 0.0)
        with FileLock(library.with_suffix(".lock"), timeout=_LIMIT_S):
            if not library.exists():  # whoever held the lock may have compiled it
                _compile(compiler, chosen, library)
    except _NotBuilt as error:
        say(str(error))
    except (OSError, Timeout, subprocess.SubprocessError) as error:
        say(f"compiling it failed: {error}")
    else:
        return library
    return None


def why_not() -> str:
    """Why `build` will give nothing, as far as that is known without compiling; "": nothing speaks against it."""
    compiler = find_compiler()
    if compiler is None:
        return why_none()
    try:
        _place(compiler, [*_FLAGS, *native_flags()])
    except _NotBuilt as error:
        return str(error)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{compiler} cannot be used: {error}"
    return ""


class _NotBuilt(Exception):
    """Why there is no library."""


def find_compiler() -> str | None:
    """A C++ compiler of this machine; None where there is none, and on Windows, which was never tried."""
    if sys.platform == "win32":
        return None
    found = (shutil.which(name) for name in _COMPILERS)
    # Not one that lies where somebody happens to work: a repository must not choose what is run.
    there = (path for path in found if path is not None and Path(path).is_absolute())
    return next((path for path in there if not stands_for_nothing(Path(path))), None)


def why_none() -> str:
    """Why `find_compiler` found none, and what to do."""
    if sys.platform == "win32":
        return "it is not compiled on Windows, where it was never tried"
    if sys.platform == "darwin":
        return "there is no C++ compiler (`xcode-select --install` fetches one)"
    return f"there is no C++ compiler ({', '.join(_COMPILERS)}); install g++ or clang, and restart the engine"


def native_flags() -> list[str]:
    """What makes the compiler use all that this processor has."""
    return ["-mcpu=native" if platform.machine().lower() in {"arm64", "aarch64"} else "-march=native"]


def _folder() -> Path:
    """Where libraries are kept. Raises _NotBuilt where others could put theirs."""
    folder = cache_dir() / "native"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise _NotBuilt(f"{folder} cannot be made: {error}") from error
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _NotBuilt(f"{folder} belongs to or can be written by others; remove it")
    return folder


def _place(compiler: str, flags: Sequence[str]) -> Path:
    """Where the library is, or is to be. Raises _NotBuilt where it can be none."""
    library = _folder() / f"step-{_key(compiler, flags)}.so"
    if not library.exists() and (failed := library.with_suffix(".failed")).exists():
        raise _NotBuilt(f"it did not compile before, see {failed}")
    return library


def _key(compiler: str, flags: Sequence[str]) -> str:
    """Names source, compiler and processor: the compiler itself tells its version and what the processor has."""
    command = [compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull]
    macros = subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL)
    digest = hashlib.sha256(macros.stdout)
    digest.update(" ".join([compiler, *flags]).encode())
    here = Path(__file__).parent
    for name in _SOURCES:
        digest.update((here / name).read_bytes())
    return digest.hexdigest()[:16]


def _compile(compiler: str, flags: Sequence[str], library: Path) -> None:
    """The library appears whole or not at all. Raises _NotBuilt."""
    source = Path(__file__).parent / _SOURCES[0]
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        made = Path(scratch) / library.name
        done = subprocess.run(
            [compiler, *flags, str(source), "-o", str(made)],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            made.replace(library)
            return
    failed = library.with_suffix(".failed")
    failed.write_text(done.stderr[-10_000:], encoding="utf-8")
    raise _NotBuilt(f"{compiler} could not compile it, see {failed}")
