"""The engine as a guest: its priority, and no work while nobody asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coderls.engine.guest import NICENESS, wait_briefly

AUTOGROUP = Path("/proc/self/autogroup")
posix = pytest.mark.skipif(os.name != "posix", reason="niceness is POSIX's; Windows has priority classes")


def shares_out_among_sessions() -> bool:
    """Whether this kernel does so now: the file is there, and empty where that is switched off."""
    return AUTOGROUP.exists() and bool(AUTOGROUP.read_text(encoding="ascii").strip())


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


@pytest.mark.skipif(not shares_out_among_sessions(), reason="this kernel does not share its time out among sessions")
@pytest.mark.parametrize("own", [True, False])
def test_a_session_of_its_own_stands_back_and_nobody_elses(own: bool) -> None:
    script = f"from coderls.engine.guest import stand_back; stand_back(); print(open({str(AUTOGROUP)!r}).read())"
    before = AUTOGROUP.read_text(encoding="ascii").split()[-1]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, start_new_session=own
    )
    nice = int(done.stdout.split()[-1])
    assert nice >= NICENESS if own else nice == int(before)


@posix
@pytest.mark.parametrize("place", ["no such folder/file", "."], ids=["a kernel without groups", "not writable"])
def test_where_a_sessions_priority_stays_the_process_stands_back(place: str) -> None:
    script = (
        "import os; from pathlib import Path; from coderls.engine import guest; "
        f"guest._AUTOGROUP = Path({place!r}); assert guest.stand_back(); assert os.nice(0) >= guest.NICENESS"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True, start_new_session=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_that_wait_sleep_soon_unless_the_user_has_said_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    wait_briefly()
    assert 0 < int(os.environ["GOMP_SPINCOUNT"]) < 10_000
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


@posix
def test_it_is_not_less_nice_than_it_was() -> None:
    before = niceness_after("pass")
    if before + 12 <= 19:
        assert niceness_after("stand_back()", add=12) == before + 12
