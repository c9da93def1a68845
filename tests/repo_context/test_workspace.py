from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coderls.repo_context import git as git_module
from coderls.repo_context import workspace as workspace_module
from coderls.repo_context.exclusion import Reason
from coderls.repo_context.filters import MAX_FILE_BYTES, text_reason
from coderls.repo_context.reading import read_regular
from coderls.repo_context.workspace import Workspace
from coderls.secret_files import is_secret
from tests.repo_context.repository import write

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX links and permissions")


def git(root: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]
    subprocess.run([*command, *arguments], cwd=root, check=True, capture_output=True)


def listed(root: Path) -> list[str]:
    return Workspace([root]).list_files(0)


def readable(root: Path) -> list[str]:
    """What is listed and can be read."""
    workspace = Workspace([root])
    return [path for path in workspace.list_files(0) if workspace.read(0, path) is not None]


@needs_git
def test_git_lists_tracked_and_untracked_files_but_not_ignored_ones(tmp_path: Path):
    write(
        tmp_path,
        {
            "a.py": "",
            "new.py": "",
            "old.py": "",
            "out/gen.py": "",
            ".gitignore": "out/\n",
            "deep/er/b.go": "",
            "c.txt": "",
        },
    )
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "a.py", "old.py", "deep")
    (tmp_path / "old.py").unlink()  # deleted, still in git's index
    assert readable(tmp_path) == ["a.py", "deep/er/b.go", "new.py"]
    assert readable(tmp_path / "deep") == ["er/b.go"]


@needs_git
def test_a_repository_cannot_run_programs(tmp_path: Path):
    repository, proof = tmp_path / "repo", tmp_path / "it-ran"
    program = tmp_path / "program.sh"
    program.write_text(f"#!/bin/sh\ntouch '{proof}'\n")
    program.chmod(0o755)
    write(repository, {"a.py": "x = 1\n", ".git/hooks/post-index-change": f"#!/bin/sh\ntouch '{proof}'\n"})
    git(repository, "init", "-q")
    (repository / ".git/hooks/post-index-change").chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    git(repository, "config", "core.hooksPath", str(repository / ".git/hooks"))
    git(repository, "config", "core.pager", str(program))
    git(repository, "config", "core.sshCommand", str(program))
    # The trap works: plain git does run it.
    subprocess.run(["git", "ls-files", "--others"], cwd=repository, check=True, capture_output=True)
    if sys.platform != "win32":
        assert proof.exists()
        proof.unlink()
    assert listed(repository) == ["a.py"]
    assert not proof.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as a program")
def test_a_git_that_lies_in_the_workspace_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    repository, proof = tmp_path / "repo", tmp_path / "it-ran"
    write(repository, {"git": f"#!/bin/sh\ntouch '{proof}'\n", "src/a.py": "x = 1\n"})
    (repository / "git").chmod(0o755)
    monkeypatch.chdir(repository)
    for path in (str(repository), "."):
        monkeypatch.setenv("PATH", path)
        assert listed(repository) == ["src/a.py"]
        assert Workspace([repository]).is_allowed(repository / "src/a.py")
        assert not proof.exists()


@needs_git
def test_a_work_tree_elsewhere_gives_nothing_away(tmp_path: Path):
    write(tmp_path, {"outside/other.py": "key = 1\n", "repo/a.py": ""})
    git(tmp_path / "repo", "init", "-q")
    git(tmp_path / "repo", "config", "core.worktree", str(tmp_path / "outside"))
    assert listed(tmp_path / "repo") == ["a.py"]


@needs_git
def test_variables_of_a_git_hook_around_us_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, {"other/b.py": "", "repo/a.py": ""})
    git(tmp_path / "other", "init", "-q")
    git(tmp_path / "repo", "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    assert listed(tmp_path / "repo") == ["a.py"]


@needs_git
def test_submodules_and_repositories_inside_are_listed(tmp_path: Path):
    write(tmp_path, {"library/lib.py": "", "main/a.py": "", "main/inner/b.py": ""})
    for name in ("library", "main", "main/inner"):
        git(tmp_path / name, "init", "-q")
    git(tmp_path / "library", "add", ".")
    git(tmp_path / "library", "commit", "-qm", "one")
    git(tmp_path / "main", "submodule", "--quiet", "add", str(tmp_path / "library"), "vendor")
    assert listed(tmp_path / "main") == ["a.py", "inner/b.py", "vendor/lib.py"]


@needs_git
def test_a_broken_repository_is_walked(tmp_path: Path):
    write(tmp_path, {"a.py": "", ".git/HEAD": "nonsense", ".git/config": "[core\n"})
    assert listed(tmp_path) == ["a.py"]


def test_without_git_ignore_files_count(tmp_path: Path):
    write(
        tmp_path,
        {
            ".gitignore": "*.log.py\n/build/\n!keep.log.py\n",
            "a.py": "",
            "x.log.py": "",
            "keep.log.py": "",
            "build/b.py": "",
            "src/build/c.py": "",
            "src/.ignore": "d.py\n",
            "src/d.py": "",
            "src/.gitignore": "[\n\\\n",
            ".coderlsignore": "private/\n",
            "private/e.py": "",
            "node_modules/m/index.js": "",
            "__pycache__/f.py": "",
        },
    )
    assert listed(tmp_path) == ["a.py", "keep.log.py", "src/build/c.py"]


@needs_git
def test_our_ignore_files_count_with_git_too(tmp_path: Path):
    write(tmp_path, {".coderlsignore": "b.py\n", "a.py": "", "b.py": "", "c/.ignore": "*\n", "c/d.py": ""})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert listed(tmp_path) == ["a.py"]
    assert not Workspace([tmp_path]).is_allowed(tmp_path / "b.py")


def test_a_git_that_does_not_answer_in_time_is_asked_about_one_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Path] = []
    monkeypatch.setattr(workspace_module, "git_ignores", lambda path, folder: asked.append(path))
    monkeypatch.setattr(workspace_module, "CHECK_LIMIT_S", 0.0)
    write(tmp_path, {"a.py": "", "b.py": "", "c.py": "", ".gitignore": "c.py\n"})
    workspace = Workspace([tmp_path])
    assert [workspace.is_allowed(tmp_path / f"{name}.py") for name in "abc"] == [True, True, False]
    assert asked == [tmp_path / "a.py"]


def test_an_ignore_file_that_is_too_long_to_be_read_lets_nothing_in(tmp_path: Path):
    write(tmp_path, {"a.py": "", "b/c.py": "", "b/.coderlsignore": "# " + "x" * 200_000 + "\nc.py\n", "b/d/e.py": ""})
    workspace = Workspace([tmp_path])
    assert workspace.list_files(0) == ["a.py"]
    assert workspace.forbidden(tmp_path / "b" / "d" / "e.py") is Reason.IGNORED
    assert workspace.ignore_rule(0, "b/c.py").startswith("b/.coderlsignore: too long")


def test_lines_of_ignore_files_end_where_git_ends_them(tmp_path: Path):
    names = ["a.py", "b.py", "c\u2028d.py", "d.py"]
    write(tmp_path, dict.fromkeys(names, "") | {".ignore": "\ufeffa.py\r\nb.py\r\nc\u2028d.py\n"})
    assert listed(tmp_path) == ["d.py"]


@pytest.mark.parametrize(
    "path",
    [".env", ".env.local", "prod.env", "a/b/server.pem", "id_rsa", "id_ed25519.pub", ".npmrc", ".pypirc", ".netrc",
     ".aws/config.py", "credentials", "credentials.json", "secrets.py", "gcp-credentials.json", ".ssh/config",
     "ID_RSA", "key.P12", ".git/config"],
)  # fmt: skip
def test_secrets_are_known_by_name(path: str):
    assert is_secret(path)


@pytest.mark.parametrize("path", ["environment.py", "env.py", "src/keys.py", "credential_store.py", "id.py", "a.envoy"])
def test_ordinary_names_are_no_secrets(path: str):
    assert not is_secret(path)


def test_secrets_are_never_listed_or_allowed(tmp_path: Path):
    write(tmp_path, {"a.py": "", "secrets.py": "KEY = 1\n", ".ssh/b.py": ""})
    assert listed(tmp_path) == ["a.py"]
    workspace = Workspace([tmp_path])
    assert not workspace.is_allowed(tmp_path / "secrets.py")
    assert not workspace.is_allowed(tmp_path / ".env")
    assert workspace.is_allowed(tmp_path / "new_file.py")


@posix_only
def test_links_do_not_lead_out(tmp_path: Path):
    write(tmp_path, {"outside/o.py": "secret = 1\n", "repo/a.py": "x = 1\n", "repo/.env": "KEY=1\n"})
    repo = tmp_path / "repo"
    (repo / "out.py").symlink_to(tmp_path / "outside/o.py")
    (repo / "out_folder").symlink_to(tmp_path / "outside")
    (repo / "in.py").symlink_to("a.py")
    (repo / "env.py").symlink_to(".env")
    (repo / "loop.py").symlink_to("loop.py")
    (repo / "around").symlink_to(".")
    (repo / "nothing.py").symlink_to("gone.py")
    assert readable(repo) == ["a.py", "in.py"]
    workspace = Workspace([repo])
    assert workspace.read(0, "out_folder/o.py") is None
    assert workspace.read(0, "../outside/o.py") is None
    for name in ("out.py", "out_folder/o.py", "env.py", "../outside/o.py"):
        assert not workspace.is_allowed(repo / name), name


@posix_only
def test_a_workspace_reached_by_a_link_works(tmp_path: Path):
    write(tmp_path, {"real/a.py": "x = 1\n"})
    (tmp_path / "link").symlink_to("real")
    workspace = Workspace([tmp_path / "link"])
    assert workspace.list_files(0) == ["a.py"]
    assert workspace.read(0, "a.py") == "x = 1\n"
    assert workspace.locate(tmp_path / "real/a.py") == (0, "a.py")


@posix_only
def test_pipes_do_not_block(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.py")
    os.mkfifo(tmp_path / ".gitignore")
    write(tmp_path, {"a.py": "x = 1\n"})
    assert readable(tmp_path) == ["a.py"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="needs a user who is not root")
def test_folders_that_cannot_be_read_are_named(tmp_path: Path):
    write(tmp_path, {"a.py": "", "closed/b.py": ""})
    (tmp_path / "closed").chmod(0)
    try:
        workspace = Workspace([tmp_path])
        assert workspace.list_files(0) == ["a.py"]
        assert any("closed cannot be read" in note for note in workspace.notes)
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_a_folder_that_refuses_is_named_and_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, {"a.py": "", "closed/b.py": "", "open/c.py": ""})
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    workspace = Workspace([tmp_path])
    assert workspace.list_files(0) == ["a.py", "open/c.py"]
    assert any("closed cannot be read" in note for note in workspace.notes)


def test_big_binary_minified_and_generated_files_are_not_read(tmp_path: Path):
    write(
        tmp_path,
        {
            "big.py": "x = 1\n" * (MAX_FILE_BYTES // 6 + 1),
            "binary.py": b"x = 1\n\0\1\2",
            "utf16.py": "x = 1".encode("utf-16"),
            "packed.js": "var a=1;" * 1000,
            "lib.min.js": "x",
            "made.go": "// Code generated by stringer. DO NOT EDIT.\npackage a\n",
            "service_pb2.py": "x = 1\n",
            "fine.py": "x = 1\n",
            "latin.py": b"name = 'caf\xe9'\n",
            "marked.py": b"\xef\xbb\xbfx = 1\n",
        },
    )
    assert readable(tmp_path) == ["fine.py", "latin.py", "marked.py"]
    workspace = Workspace([tmp_path])
    assert workspace.read(0, "latin.py") == "name = 'caf\ufffd'\n"
    assert workspace.read(0, "marked.py") == "x = 1\n"
    assert workspace.read(0, "vanished.py") is None


@posix_only
def test_names_that_cannot_be_written_are_left_out(tmp_path: Path):
    write(tmp_path, {"a.py": "", "line\nbreak.py": "", "é漢.py": ""})
    with contextlib.suppress(OSError):  # macOS does not allow such names
        (tmp_path / os.fsdecode(b"bad\xff.py")).write_text("")
    assert listed(tmp_path) == ["a.py", "é漢.py"]


def test_a_path_that_is_very_deep_or_long_is_left_out(tmp_path: Path):
    write(tmp_path, {".gitignore": "*.log\n", "a.py": ""})
    workspace = Workspace([tmp_path])
    deep = tmp_path / ("d/" * 1500 + "x.py")

    assert workspace.list_files(0) == ["a.py"]
    assert workspace.forbidden(deep) is Reason.NAME
    assert not workspace.may_hold_sources(deep.parent)


def test_patterns_of_many_stars_cost_nothing_and_still_ignore(tmp_path: Path):
    """Each star multiplies the time that a match takes: with these a match would never end."""
    write(tmp_path, {".ignore": "*a" * 30 + "*b\n" + "**/c/" * 30 + "d\n!" + "*a" * 30 + "\n*.min.*.x*\n"})
    allowed = Workspace([tmp_path]).is_allowed

    assert not allowed(tmp_path / ("a" * 240 + "b"))
    assert not allowed(tmp_path / ("c/" * 40 + "d"))
    assert not allowed(tmp_path / "j.min.a.xy")
    assert allowed(tmp_path / ("x/" * 40 + "y" * 200))


def test_the_home_folder_is_not_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, {"home/me/a.py": "", "home/me/project/b.py": ""})
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home/me")
    for folder in (tmp_path / "home/me", tmp_path / "home"):
        workspace = Workspace([folder])
        assert workspace.list_files(0) == []
        assert any("only open files are indexed" in note for note in workspace.notes)
    assert listed(tmp_path / "home/me/project") == ["b.py"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    workspace = Workspace([tmp_path / "gone"])
    assert workspace.list_files(0) == []
    assert any("gone is no folder" in note for note in workspace.notes)


def test_a_workspace_with_too_many_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workspace_module, "MAX_FILES", 3)
    write(tmp_path, {f"m{n}.py": "" for n in range(9)})
    workspace = Workspace([tmp_path])
    assert len(workspace.list_files(0)) == 3
    assert any("more than 3 source files" in note for note in workspace.notes)


def test_the_innermost_folder_has_the_file(tmp_path: Path):
    workspace = Workspace([tmp_path, tmp_path / "inner"])
    assert workspace.locate(tmp_path / "a.py") == (0, "a.py")
    assert workspace.locate(tmp_path / "inner/a.py") == (1, "a.py")
    assert workspace.locate(tmp_path.parent / "a.py") is None
    assert workspace.locate(tmp_path) is None


@needs_git
@pytest.mark.skipif(sys.platform == "win32", reason="the trap is a shell command")
def test_a_repository_cannot_make_git_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder that its sparse index only names, a remote that is said to have it: older versions of git fetch it."""
    root, proof = tmp_path / "repo", tmp_path / "it-ran"
    write(root, {"in/a.py": "x = 1\n", "out/b.py": "y = 1\n"})
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "all")
    git(root, "sparse-checkout", "set", "--cone", "--sparse-index", "in")
    tree = subprocess.run(["git", "rev-parse", "HEAD:out"], cwd=root, check=True, capture_output=True, text=True).stdout
    (root / ".git/objects" / tree[:2] / tree[2:].strip()).unlink()
    for name, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::touch {proof}"),
        ("protocol.ext.allow", "always"),
    ):
        git(root, "config", name, value)
    subprocess.run(["git", "ls-files"], cwd=root, check=False, capture_output=True)
    assert proof.exists(), "the trap works"
    proof.unlink()
    environment = git_module._environment()
    environment.pop("GIT_NO_LAZY_FETCH")
    monkeypatch.setattr(git_module, "_environment", lambda: environment)
    Workspace([root]).list_files(0)
    assert not proof.exists()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_what_cannot_be_read_leaves_nothing_open(tmp_path: Path):
    write(tmp_path, {"long.py": "x" * 100})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        assert read_regular(tmp_path, 10) is None
        assert read_regular(tmp_path / "long.py", 10) is None
        assert read_regular(tmp_path / "long.py", 100) == b"x" * 100
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@needs_git
def test_a_folder_that_a_repository_around_it_ignores_is_walked_and_said(tmp_path: Path):
    write(
        tmp_path,
        {".gitignore": "scratch/\n", "a.py": "", "scratch/b.py": "", "scratch/deep/c.py": "",
         "scratch/.gitignore": "out/\n", "scratch/out/d.py": "", "scratch/own/e.py": ""},
    )  # fmt: skip
    git(tmp_path, "init", "-q")
    git(tmp_path / "scratch/own", "init", "-q")
    workspace = Workspace([tmp_path / "scratch"])
    assert workspace.list_files(0) == ["b.py", "deep/c.py", "own/e.py"]
    assert any("ignores it" in note for note in workspace.notes)
    assert workspace.is_allowed(tmp_path / "scratch/new.py")
    assert not workspace.is_allowed(tmp_path / "scratch/out/new.py")
    assert workspace.list_below(0, "deep") == ["deep/c.py"]
    assert listed(tmp_path) == ["a.py"]
    assert listed(tmp_path / "scratch/own") == ["e.py"], "a repository of its own is not ignored"


@needs_git
def test_a_repository_of_its_own_is_not_said_to_be_ignored(tmp_path: Path):
    write(tmp_path, {".gitignore": "*\n", "own/a.py": "", "own/.gitignore": "b.py\n", "own/b.py": ""})
    git(tmp_path, "init", "-q")
    git(tmp_path / "own", "init", "-q")
    workspace = Workspace([tmp_path / "own"])
    assert workspace.list_files(0) == ["a.py"]
    assert not workspace.notes


def test_names_in_another_case_are_the_same_file_where_the_disk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path, {"Shop/Model.py": "", "b.py": ""})
    exact = Workspace([tmp_path])
    exact.list_files(0)
    monkeypatch.setattr(workspace_module, "_folds_case", lambda folder: True)
    folding = Workspace([tmp_path])
    folding.list_files(0)
    path = tmp_path / "shop/model.PY"
    assert folding.locate(path) == (0, "Shop/Model.py")
    assert folding.locate(tmp_path / "New.py") == (0, "New.py")
    if not path.exists():
        assert exact.locate(path) == (0, "shop/model.PY")


def test_left_out_files_are_counted_with_their_reasons(tmp_path: Path):
    write(
        tmp_path,
        {".coderlsignore": "private/\nmine.py\n", "private/a.py": "", "private/b.py": "", "mine.py": "", "c.txt": "",
         "x.min.js": "", ".env": "", ".ssh/d.py": "", "node_modules/e.js": "", "fine.py": ""},
    )  # fmt: skip
    workspace = Workspace([tmp_path])
    assert workspace.list_files(0) == ["fine.py"]
    assert workspace.tallies[0].examples == {
        Reason.LANGUAGE: [".coderlsignore", "c.txt"],
        Reason.SECRET: [".env", ".ssh/"],
        Reason.IGNORED: ["mine.py", "private/"],
        Reason.FOLDER: ["node_modules/"],
        Reason.MACHINE_NAME: ["x.min.js"],
    }
    workspace.list_files(0)
    assert sum(workspace.tallies[0].counts.values()) == 8, "counted anew"


def test_rules_name_their_line(tmp_path: Path):
    write(tmp_path, {".coderlsignore": "# ours\n*.gen.py\n", "sub/.ignore": "/x/\n", "sub/x/a.py": "", "b.gen.py": ""})
    workspace = Workspace([tmp_path])
    workspace.list_files(0)
    assert workspace.ignore_rule(0, "b.gen.py") == ".coderlsignore:2: *.gen.py"
    assert workspace.ignore_rule(0, "sub/x/a.py") == "sub/.ignore:1: /x/"
    assert workspace.ignore_rule(0, "c.py") == ""


def test_the_disk_is_too_much(monkeypatch: pytest.MonkeyPatch):
    def nowhere() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    assert Workspace([Path(os.path.abspath(os.sep))]).open_only == (True,)
    assert Workspace([Path.cwd()]).open_only == (False,)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# @generated by protoc\n", Reason.GENERATED),
        ("/* eslint-disable */\n/**\n * @generated SignedSource<<x>>\n */\n", Reason.GENERATED),
        ("// Code generated by stringer. DO NOT EDIT.\n", Reason.GENERATED),
        ("# This file was automatically generated. Please do not modify.\n", Reason.GENERATED),
        ('MARK = re.compile("@generated")\n', None),
        ("# How code is generated\n", None),
        ("x = 1\n" * 1_000, None),
        ("a" * 10_000, Reason.MINIFIED),
        ("", None),
    ],
)
def test_what_people_did_not_write(text: str, reason: Reason | None):
    assert text_reason(text) is reason
