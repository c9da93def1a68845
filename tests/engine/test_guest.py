"""The engine as a guest: its priority, and no work while nobody asks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from coderls.engine.guest import NICENESS

posix = pytest.mark.skipif(os.name != "posix", reason="niceness is POSIX's; Windows has priority classes")


def niceness_after(script: str, add: int = 0) -> int:
    """The niceness of a process (and of a thread in it) that stood back; `add`: what it was started with."""
    code = (
        f"import os, threading; os.nice({add}); from coderls.engine.guest import stand_back; {script}; "
        "found = []; thread = threading.Thread(target=lambda: found.append(os.nice(0))); thread.start(); "
        "thread.join(); print(os.nice(0), *found)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    main, thread = map(int, done.stdout.split())
    assert main == thread
    return main


@posix
def test_it_stands_back_behind_an_editor() -> None:
    before = niceness_after("pass")
    assert niceness_after("assert stand_back()") == max(before, NICENESS)
    assert niceness_after("stand_back(); stand_back()") == max(before, NICENESS), "once is enough"


@posix
def test_it_is_not_less_nice_than_it_was() -> None:
    before = niceness_after("pass")
    if before + 12 <= 19:
        assert niceness_after("stand_back()", add=12) == before + 12
