"""The shadow copy: without secrets, without ways out, and the editor's files stay as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.errors import CheckerFailed
from coderls.repair import shadow as shadow_module
from coderls.repair.shadow import Shadow

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.rs").write_text("old", encoding="utf-8")
    (folder / ".env").write_text("TOKEN=1", encoding="utf-8")
    (folder / "id_rsa").write_text("key", encoding="utf-8")
    (tmp_path / "outside.txt").write_text("outside", encoding="utf-8")
    (folder / "way_out").symlink_to(tmp_path / "outside.txt")
    (folder / "folder_out").symlink_to(tmp_path)
    (folder / "inside").symlink_to(folder / "src" / "a.rs")
    (folder / "to_secret").symlink_to(folder / "id_rsa")
    return folder


@pytest.fixture
def shadow(project: Path) -> Iterator[Shadow]:
    made = Shadow(project)
    made.refresh()
    yield made
    made.close()


def held(shadow: Shadow) -> dict[str, str]:
    found = (path for path in shadow.root.rglob("*") if path.is_file())
    return {path.relative_to(shadow.root).as_posix(): path.read_text(encoding="utf-8") for path in found}


def test_secrets_and_ways_out_are_left_out(shadow: Shadow) -> None:
    assert held(shadow) == {"src/a.rs": "old", "inside": "old"}
    assert not any(path.is_symlink() for path in shadow.root.rglob("*"))
    assert shadow.root.parent.stat().st_mode & 0o077 == 0


def test_a_text_is_held_for_a_while(shadow: Shadow, project: Path) -> None:
    with shadow.holding(project / "src" / "a.rs", "new\r\n") as place:
        assert place.read_bytes() == b"new\r\n"
        assert (project / "src" / "a.rs").read_text(encoding="utf-8") == "old"
    assert held(shadow)["src/a.rs"] == "old"


def test_what_changed_is_copied_and_what_went_goes(shadow: Shadow, project: Path) -> None:
    (project / "src" / "b.rs").write_text("more", encoding="utf-8")
    (project / "inside").unlink()
    shadow.refresh()
    assert held(shadow) == {"src/a.rs": "old", "src/b.rs": "more"}


@pytest.mark.parametrize("name", ["../outside.txt", ".env", "way_out", "folder_out/new.txt"])
def test_nothing_is_held_for_a_secret_or_a_place_outside(shadow: Shadow, project: Path, name: str) -> None:
    with pytest.raises(CheckerFailed), shadow.holding(project / name, "text"):
        pass
    assert (project.parent / "outside.txt").read_text(encoding="utf-8") == "outside"


def test_a_folder_that_is_too_big_is_not_copied(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "MOST_FILES", 1)
    made = Shadow(project)
    with pytest.raises(CheckerFailed, match="too big"):
        made.refresh()
    made.close()


def test_the_copy_goes_and_what_it_links_to_stays(project: Path) -> None:
    (project / "node_modules").mkdir()
    (project / "node_modules" / "kept.js").touch()
    made = Shadow(project)
    made.refresh(linked=("node_modules",))
    assert (made.root / "node_modules" / "kept.js").exists()
    made.close()
    assert not made.root.parent.exists()
    assert (project / "node_modules" / "kept.js").exists()
