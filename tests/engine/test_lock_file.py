"""One holder at a time, also while files of locks come and go."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from coderls.engine import lock_file
from coderls.engine.lock_file import LockFile


def test_one_holder_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    first, second = LockFile(path), LockFile(path)
    assert first.acquire()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not second.acquire()
    first.release()
    assert not path.exists()
    assert second.acquire()
    first.release()  # does not hold it any more: nothing happens
    assert path.exists()
    assert not first.acquire()
    second.release()
    second.release()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(lock_file.fcntl is None, reason="files of locks cannot be removed under their holders there")
def test_a_lock_whose_file_was_removed_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the opening and the locking of its file, the holder before gave it up."""
    path = tmp_path / "x.lock"
    before, late, other = LockFile(path), LockFile(path), LockFile(path)
    assert before.acquire()
    real = lock_file.fcntl.flock
    times: list[int] = []

    def flock(file: int, how: int) -> None:
        times.append(file)
        if len(times) == 1:
            before.release()
        real(file, how)

    monkeypatch.setattr(lock_file.fcntl, "flock", flock)
    assert late.acquire()
    assert len(times) == 2, "it tried again with a new file"
    assert not other.acquire(), "and holds the one that everybody sees"
    late.release()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "no" / "x.lock")
    with pytest.raises(FileNotFoundError):
        lock.acquire()
    lock.release()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no such option there")
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        LockFile(tmp_path / "x.lock").acquire()
    assert not (tmp_path / "elsewhere").exists()
