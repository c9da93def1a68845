"""Fetching projects to work on, without a network: pip is pointed at folders of ours."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from devtools.sdists import NotFetched, Sdist, project


def pack(folder: Path, members: dict[str, str], name: str = "sample-1.0.tar.gz") -> Sdist:
    """Write a source distribution `sample` 1.0 with these files."""
    with tarfile.open(folder / name, "w:gz") as tar:
        for member, text in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return Sdist("sample", "1.0", hashlib.sha256((folder / name).read_bytes()).hexdigest())


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is the only place where pip may look."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


def test_an_archive_that_is_here_needs_no_pip(tmp_path: Path, no_index: Path) -> None:
    sdist = pack(tmp_path, {"sample-1.0/a.py": "x = 1\n"})
    said: list[str] = []
    folder = project(sdist, tmp_path, said.append)
    assert (folder / "a.py").read_text() == "x = 1\n"
    assert project(sdist, tmp_path, said.append) == folder
    assert said == []


def test_another_archive_is_refused(tmp_path: Path, no_index: Path) -> None:
    sdist = pack(tmp_path, {"sample-1.0/a.py": "x = 1\n"})
    pack(tmp_path, {"sample-1.0/a.py": "import os\n"})
    with pytest.raises(NotFetched, match="SHA-256"):
        project(sdist, tmp_path)
    assert not (tmp_path / "sample-1.0").exists()


def test_members_outside_the_folder_are_refused(tmp_path: Path, no_index: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    sdist = pack(folder, {"sample-1.0/a.py": "x = 1\n", "../escaped.py": "import os\n"})
    with pytest.raises(NotFetched, match="could not be unpacked"):
        project(sdist, folder)
    assert not (tmp_path / "escaped.py").exists()
    assert not (folder / "sample-1.0").exists()


def test_offline_and_not_here_says_what_to_do(tmp_path: Path, no_index: Path) -> None:
    with pytest.raises(NotFetched, match=r"put sample-1\.0\.tar\.gz into"):
        project(Sdist("sample", "1.0", "0" * 64), tmp_path / "demo")


def test_pip_compares_the_checksum_before_it_looks_inside(tmp_path: Path, no_index: Path) -> None:
    pack(no_index, {"sample-1.0/setup.py": "raise SystemExit('this must not run')\n"})
    with pytest.raises(NotFetched, match="HASHES"):
        project(Sdist("sample", "1.0", "0" * 64), tmp_path / "demo")
