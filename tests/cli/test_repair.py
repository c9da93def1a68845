"""`coderls repair`, with ruff for real."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderls.cli.repair import CLEAN, FAILED, NONE_FIXED, SOME_FIXED
from coderls.cli.target import read_document
from coderls.cli.write_back import write_back
from coderls.document import Document
from coderls.errors import DocumentError

from .conftest import Shown

Run = Callable[..., Shown]
#: Two complaints of ruff: one that it mends itself, one that a slip's correction mends.
TEXT = "import os\n\n\ndef total(items):\n    result = len(items)\n    print(result)\n    return reslt\n"
MENDED = "def total(items):\n    result = len(items)\n    print(result)\n    return result\n"


@pytest.fixture
def repair(coderls: Run) -> Run:
    """The command without a model, with the checkers that are quick."""

    def run(*words: object, checkers: str = "parse,ruff") -> Shown:
        names = json.dumps(checkers.split(","))
        return coderls("repair", *words, "--no-model", "--set", f"repair.checkers={names}")

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "a.py"
    path.parent.mkdir()
    path.write_bytes(TEXT.encode())
    (path.parent / "pyproject.toml").write_text('[tool.ruff]\nlint.select = ["E9", "F"]\n', encoding="utf-8")
    return path


def test_each_complaint_gets_its_fix_and_the_file_stays(repair: Run, file: Path) -> None:
    shown = repair(file)
    assert shown.code == SOME_FIXED
    assert f"{file}:1:8: `os` imported but unused (ruff F401)" in shown.out
    assert "Remove unused import: `os`, verified by parse, ruff" in shown.out
    assert "+    return result" in shown.out
    assert "ruff: F821 is gone, nothing new" in shown.out
    assert shown.out.splitlines()[-1].endswith("nothing was changed (--apply writes them).")
    assert file.read_text(encoding="utf-8") == TEXT


def test_the_same_slip_in_lines_that_are_alike_is_repaired_in_each(repair: Run, file: Path) -> None:
    functions = "\n\n".join(f"def f{number}(a):\n    result = a\n    return reslt\n" for number in range(3))
    file.write_text(functions, encoding="utf-8")
    assert repair(file, "--apply").code == CLEAN
    assert file.read_text(encoding="utf-8") == functions.replace("reslt", "result")
    file.write_text("x = qqq\n" * 3 + "y = 1\n", encoding="utf-8")
    shown = repair(file, "--apply")
    assert (shown.code, shown.out.count("Undefined name `qqq`")) == (NONE_FIXED, 3)


def test_apply_writes_what_was_verified(repair: Run, file: Path) -> None:
    shown = repair(file, "--apply")
    assert shown.code == CLEAN
    assert file.read_text(encoding="utf-8").strip() == MENDED.strip()
    again = repair(file)
    assert (again.code, again.out) == (CLEAN, "No complaints in 1 file (asked: parse, ruff).\n")


def test_one_line_only(repair: Run, file: Path) -> None:
    facts = repair(file, "--line", 7, "--json").json
    assert [(one["line"], one["rule"]) for one in facts["files"][0]["complaints"]] == [(7, "F821")]
    shown = repair(file, "--line", 7, "--apply")
    assert shown.code == CLEAN
    assert file.read_text(encoding="utf-8") == TEXT.replace("reslt", "result")
    assert repair(file, "--line", 99).code == 2


def test_json_tells_scripts_everything(repair: Run, file: Path) -> None:
    facts: dict[str, Any] = repair(file, "--json").json
    assert (facts["complaints"], facts["repaired"], facts["applied"]) == (2, 2, 0)
    first, second = facts["files"][0]["complaints"]
    assert first["repair"]["edits"] == [{"line": 1, "column": 1, "end_line": 2, "end_column": 1, "new_text": ""}]
    assert first["repair"]["checked_by"] == ["parse", "ruff"]
    assert (second["message"], second["severity"], second["why_not"]) == ("Undefined name `reslt`", "error", None)


def test_a_tree_is_checked(repair: Run, file: Path) -> None:
    (file.parent / "good.py").write_text("x = 1\n", encoding="utf-8")
    (file.parent / "bad.py").write_text("x = entirely_unknown_thing\n", encoding="utf-8")
    (file.parent / "notes.txt").write_text("no code", encoding="utf-8")
    (file.parent / ".env").write_text("TOKEN=x\n", encoding="utf-8")
    facts = repair("--check", file.parent, "--json").json
    assert {Path(one["path"]).name: len(one["complaints"]) for one in facts["files"] if one["complaints"]} == {
        "a.py": 2,
        "bad.py": 1,
    }
    assert not any(".env" in one["path"] for one in facts["files"])


def test_exit_codes(repair: Run, file: Path) -> None:
    hopeless = file.parent / "hopeless.py"
    hopeless.write_text("x = qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\n", encoding="utf-8")
    shown = repair(hopeless)
    assert shown.code == NONE_FIXED
    assert "No verified fix" in shown.out
    assert repair("--check", file, hopeless).code == SOME_FIXED
    assert repair(file.parent / "nowhere.py").code == 2
    assert repair(file.parent).code == 2
    assert repair().code == 2


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_mark_stay(repair: Run, file: Path, mark: bytes) -> None:
    file.write_bytes(mark + TEXT.replace("\n", "\r\n").encode())
    assert repair(file, "--line", 7, "--apply").code == CLEAN
    assert file.read_bytes() == mark + TEXT.replace("reslt", "result").replace("\n", "\r\n").encode()


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_permissions_stay_and_read_only_is_respected(repair: Run, file: Path) -> None:
    file.chmod(0o755)
    assert repair(file, "--apply").code == CLEAN
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    file.write_bytes(TEXT.encode())
    file.chmod(0o444)
    shown = repair(file, "--apply")
    assert shown.code == 1
    assert "read-only" in shown.err
    assert file.read_bytes() == TEXT.encode()
    assert repair(file).code == SOME_FIXED


def test_a_file_that_changed_meanwhile_is_left_alone(file: Path) -> None:
    with pytest.raises(DocumentError, match="has changed meanwhile"):
        write_back(file, "something else", "new")
    assert file.read_bytes() == TEXT.encode()
    assert [path.name for path in file.parent.iterdir() if "a.py" in path.name] == ["a.py"]


def test_a_checker_that_cannot_be_asked_is_named(repair: Run, file: Path) -> None:
    (file.parent / "pyproject.toml").unlink()
    (file.parent / "ruff.toml").write_text("no toml at all [", encoding="utf-8")
    shown = repair(file)
    assert "ruff: ruff cannot read its configuration: " in shown.err
    assert "ruff.toml" in shown.err
    assert shown.code == CLEAN


def test_what_a_configuration_names_is_not_quoted(repair: Run, file: Path) -> None:
    secret = file.parent.parent / "elsewhere"
    secret.write_text("hidden:password\n", encoding="utf-8")
    (file.parent / "pyproject.toml").write_text(f"[tool.ruff]\nextend = {json.dumps(str(secret))}\n", encoding="utf-8")
    shown = repair(file, "--json")
    assert "cannot read its configuration" in shown.out
    assert "password" not in shown.out + shown.err


def test_a_linter_that_cannot_run_does_not_change_what_others_prove(repair: Run, file: Path) -> None:
    (file.parent / "pyproject.toml").write_text("[tool.ruff]\nnothing = 1\n", encoding="utf-8")
    file.write_text("def f(value: int) -> int:\n    return valeu\n", encoding="utf-8")
    shown = repair(file, checkers="parse,ruff,mypy")
    assert "fix: Change 'valeu' to 'value', verified by parse, mypy" in shown.out


@pytest.mark.parametrize(("text", "line"), [("def f(p):\n    return json.load(p)\n", "import json"),
    ("def f(p):\n    return defaultdict(p)\n", "from collections import defaultdict")])  # fmt: skip
def test_the_first_import_of_a_file_is_in_form(repair: Run, file: Path, text: str, line: str) -> None:
    (file.parent / "pyproject.toml").write_text('[tool.ruff]\nlint.select = ["F", "I"]\n', encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    assert repair(file, "--apply").code == CLEAN
    assert file.read_text(encoding="utf-8") == f"{line}\n\n\n{text}"


def test_a_misspelled_import_is_mended_where_it_is(repair: Run, file: Path) -> None:
    file.with_name("util.py").write_text("class Account: ...\n\n\ndef area(w: int) -> int:\n    return w\n", "utf-8")
    file.write_text("from util import Acount, area\n\nprint(Account(), area(1))\n", encoding="utf-8")
    assert repair(file, "--apply", checkers="parse,ruff,mypy").code == CLEAN
    assert file.read_text(encoding="utf-8") == "from util import Account, area\n\nprint(Account(), area(1))\n"


def test_a_member_that_is_not_written_yet_is_left(repair: Run, file: Path) -> None:
    text = "struct A { b: u8 }\nimpl A {\n    fn f(&self) {\n        self.b.\n    }\n}\n"
    path = file.with_name("a.rs")
    path.write_text(text, encoding="utf-8")
    shown = repair(path, "--apply")
    assert shown.code == NONE_FIXED
    assert "Take away" not in shown.out
    assert path.read_text(encoding="utf-8") == text


def test_a_file_without_a_checker_has_no_complaints(repair: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no code", encoding="utf-8")
    assert repair(path).code == CLEAN


def test_a_slip_is_mended_before_what_it_made_unused_is_removed(repair: Run, file: Path) -> None:
    file.write_text("def total(items):\n    result = len(items)\n    return reslt\n", encoding="utf-8")
    assert repair(file, "--apply").code == CLEAN
    assert file.read_text(encoding="utf-8") == "def total(items):\n    result = len(items)\n    return result\n"


@pytest.mark.parametrize(
    "text",
    [
        "def f(items):\n    subtotal = len(items)\n    return amount\n",
        "import numpy as pn\n\nprint(np.zeros(3))\n",
    ],
)
def test_what_an_unknown_name_may_mean_is_not_removed(repair: Run, file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    shown = repair(file)
    assert "0 with a verified fix" in shown.out
    assert "Guess: Remove" in shown.out
    assert repair(file, "--apply").code == NONE_FIXED
    assert file.read_text(encoding="utf-8") == text


def test_nothing_is_applied_that_is_only_a_guess(repair: Run, file: Path) -> None:
    file.write_text("print(undefined_thing)\n", encoding="utf-8")
    assert repair(file, "--apply").code == NONE_FIXED
    assert file.read_text(encoding="utf-8") == "print(undefined_thing)\n"


def test_guesses_are_shown_as_such_and_never_written(repair: Run, file: Path) -> None:
    text = "def half(items, count):\n    return count / element\n"
    file.write_text(text, encoding="utf-8")
    shown = repair(file)
    assert shown.code == NONE_FIXED
    assert "Guess: Change 'element' to 'count' (passes parse, ruff)" in shown.out
    assert "0 with a verified fix" in shown.out
    [found] = json.loads(repair(file, "--json").out)["files"]
    assert "Change 'element' to 'count'" in [one["title"] for one in found["complaints"][0]["guesses"]]
    assert found["complaints"][0]["repair"] is None
    assert repair(file, "--apply").code == NONE_FIXED
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ('x = 1\nprint "a"\n', 'x = 1\nprint("a")\n'),
        ('p = "."\nprint "dir", p\n', 'p = "."\nprint("dir", p)\n'),
        ("def f(a):\n    return a +\n", None),
        ("def f(a):\n    return a + \n", None),
        ("x = 1.\ny = x.\n", None),
        ("def f(a):\n    return max(a, \n", None),
        ("x = max(\n    1,\n    2,\n", None),
        ("x = max(\n    1,\n    2,\n\ny = x\n", "x = max(\n    1,\n    2,\n)\n\ny = x\n"),
        ("a = 1\nif a ==:\n    print(a)\n", None),
    ],
)
def test_what_was_begun_is_neither_taken_away_nor_made_up(
    repair: Run, file: Path, broken: str, mended: str | None
) -> None:
    file.write_text(broken, encoding="utf-8")
    shown = repair(file, "--apply")
    assert file.read_text(encoding="utf-8") == (mended or broken)
    assert shown.code == (CLEAN if mended else NONE_FIXED)


@pytest.mark.parametrize(
    ("name", "texts", "place"),
    [
        ("a.ts", ("const a = 1;\nif (a > 1 {\n  f(a);\n}\n", "const a = 1;\nif (a > 1) {\n  f(a);\n}\n"), "2:10"),
        ("a.go", ('package a\n\nfunc f() {\n\tg("a"\n}\n', 'package a\n\nfunc f() {\n\tg("a")\n}\n'), "4:7"),
        ("a.c", ("int f(int a) {\n  return (a;\n}\n", "int f(int a) {\n  return (a);\n}\n"), "2:12"),
    ],
)
def test_a_bracket_is_missed_where_it_is_missing(
    repair: Run, file: Path, name: str, texts: tuple[str, str], place: str
) -> None:
    path, (broken, mended) = file.with_name(name), texts
    path.write_text(broken, encoding="utf-8")
    assert f"{path}:{place}: syntax error" in repair(path).out
    assert repair(path, "--apply").code == CLEAN
    assert path.read_text(encoding="utf-8") == mended


def test_one_fault_is_told_once(repair: Run, file: Path) -> None:
    file.write_text("def f(x):\n    return max(x, 1\n", encoding="utf-8")
    shown = json.loads(repair(file, "--json", checkers="parse,ruff,mypy").out)
    assert shown["complaints"] == 1


def test_echoes_of_a_syntax_error_are_not_told(repair: Run, file: Path) -> None:
    text = "def f(x):\n    return max(x, 1\n\n\ndef g(x):\n    with open(x) as y:\n        return y\n"
    file.write_text(text, encoding="utf-8")
    facts = json.loads(repair(file, "--json").out)
    assert (facts["complaints"], facts["repaired"]) == (1, 1)
    file.write_text(text + "\n\ndef h(x)\n    return x\n", encoding="utf-8")
    assert repair(file, "--apply").code == CLEAN
    assert "def h(x):" in file.read_text(encoding="utf-8")


def test_imports_are_put_in_order_though_one_is_wrong(repair: Run, file: Path) -> None:
    (file.parent / "pyproject.toml").write_text('[tool.ruff]\nlint.select = ["F", "I"]\n', encoding="utf-8")
    file.write_text("import sys\nimport nowhere\nimport abc\n\nprint(sys, abc)\n", encoding="utf-8")
    shown = repair(file, "--line", 1)
    assert "fix: Organize imports, verified by parse, ruff" in shown.out


def test_who_was_asked_and_who_was_not_there(repair: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(file.parent))
    path = file.with_name("a.ts")
    path.write_text("const a = 1;\n", encoding="utf-8")
    shown = repair(path, checkers="parse,tsc")
    assert (shown.code, shown.out) == (CLEAN, "No complaints in 1 file (asked: parse only; not found: tsc).\n")
    [facts] = json.loads(repair(path, "--json", checkers="parse,tsc").out)["files"]
    assert (facts["asked"], facts["not_found"]) == (["parse"], ["tsc"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "There is no FILE"),
        (["a.py", "b.py"], "need --check"),
        (["a.py:7"], "For one line: a.py --line 7"),
        (["a.py", "--line", "99"], "a.py has 7 lines; there is no line 99."),
    ],
)
def test_wrong_usage_is_two(
    repair: Run, file: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(file.parent)
    shown = repair(*words)
    assert shown.code == 2
    assert says in shown.err


def test_a_file_that_cannot_be_read_hides_nothing(repair: Run, file: Path) -> None:
    blob = file.with_name("blob.py")
    blob.write_bytes(b"\0\1")
    shown = repair("--check", file.parent)
    assert shown.code == SOME_FIXED
    assert "1 file could not be read." in shown.out.splitlines()[-1]
    file.write_text("x = 1\n", encoding="utf-8")
    again = repair("--check", file.parent)
    assert again.code == 1
    assert "No complaints in" in again.out


def test_a_check_without_a_model_lists_guesses(repair: Run, file: Path) -> None:
    file.write_text("def f(total, count):\n    return total / element\n", encoding="utf-8")
    assert "Guess: Change 'element' to 'count'" in repair("--check", file).out


def test_errors_only_does_not_hide_that_there_are_warnings(repair: Run, file: Path) -> None:
    file.write_text("import os\nimport sys\n", encoding="utf-8")
    shown = repair("--check", "--errors-only", file)
    assert (shown.code, shown.out) == (CLEAN, "No errors (2 warnings not shown) in 1 file (asked: parse, ruff).\n")
    file.write_text("import os\nprint(entirely_unknown_thing)\n", encoding="utf-8")
    shown = repair("--check", "--errors-only", file)
    assert shown.code == NONE_FIXED
    assert shown.out.splitlines()[-1].startswith("1 complaint (1 warning not shown) in 1 file")
    assert json.loads(repair(file, "--errors-only", "--json").out)["files"][0]["warnings_left_out"] == 1


def test_rules_speak_of_all_complaints_before_what_is_left_for_a_model(repair: Run, file: Path) -> None:
    file.write_text("print(entirely_unknown_thing)\nimport os\n", encoding="utf-8")
    lines = [line for line in repair(file).out.splitlines() if line.startswith(f"{file}:")]
    assert [line.split(":")[-3] for line in lines] == ["2", "1"]


def test_one_repair_of_two_complaints_is_told_once(repair: Run, file: Path) -> None:
    file.with_name("util.py").write_text("class Account: ...\n", "utf-8")
    file.write_text("from util import Acount\n\nprint(Account())\n", encoding="utf-8")
    out = repair(file, checkers="parse,ruff,mypy").out
    assert out.count("+from util import Account") == 1
    assert out.count("fix: the one of 1:1 mends this, too") == 2
    assert "3 complaints in 1 file, 3 with a verified fix" in out


def test_a_deletion_is_no_repair_of_another_complaint(repair: Run, file: Path) -> None:
    file.with_name("util.py").write_text("x = 1\n", "utf-8")
    file.write_text("from util import nothing_like_it\n\nprint(1)\n", encoding="utf-8")
    out = repair(file, checkers="parse,ruff,mypy").out
    assert "mends this, too" not in out
    assert "2 complaints in 1 file, 1 with a verified fix" in out


#: Two slips in one line, an import that a slip makes unused, one that nothing needs, and a name that nobody knows.
MANY = """\
import os
from util import Account


def total(items):
    print(entirely_unknown_thing)
    result = Acount(items)
    value = reslt + reslt
    return value
"""


def test_apply_tells_of_the_same_complaints_as_a_look(repair: Run, file: Path) -> None:
    file.with_name("util.py").write_text("class Account: ...\n", "utf-8")
    told = {}
    for text in (MANY, "from util import Acount\n\nprint(Account())\n", TEXT):
        for words in ((), ("--apply",)):
            file.write_text(text, encoding="utf-8")
            facts = repair(file, "--json", *words, checkers="parse,ruff,mypy").json
            found = [
                (one["rule"], one["message"], one["repair"] is not None) for one in facts["files"][0]["complaints"]
            ]
            told[words] = (found, facts["complaints"], facts["repaired"], facts["came_to_light"])
        assert told[()] == told[("--apply",)]
        assert told[()][1] == len(told[()][0])


def test_the_terminal_has_them_in_one_order_too(repair: Run, file: Path) -> None:
    told = []
    for words in ((), ("--apply",)):
        file.write_text(MANY, encoding="utf-8")
        lines = repair(file, *words).out.splitlines()
        told.append([line.partition(": ")[2] for line in lines if line.startswith(f"{file}:")])
    assert sorted(told[0]) == sorted(told[1])
    assert told[0] == told[1]


def test_what_comes_to_light_by_a_repair_is_counted_by_itself(repair: Run, file: Path) -> None:
    file.write_text("def f(x)\n    return x\n\n\nprint(entirely_unknown_thing)\n", encoding="utf-8")
    looked = repair(file)
    shown = repair(file, "--apply")
    assert shown.code == NONE_FIXED
    for one in (looked, shown):
        assert "1 complaint in 1 file, 1 with a verified fix" in one.out.splitlines()[-1]
    assert shown.out.splitlines()[-1].endswith("; 1 applied, 1 more came to light.")


def test_progress_goes_on_from_complaint_to_complaint(repair: Run, file: Path) -> None:
    file.write_text("".join(f"print(entirely_unknown_{number})\n" for number in range(4)), encoding="utf-8")
    said = [line for line in repair(file).err.splitlines() if "complaint" in line]
    assert [line.rpartition("complaint ")[2] for line in said] == [
        "1 of 4",
        "2 of 4 (25%)",
        "3 of 4 (50%)",
        "4 of 4 (75%)",
    ]


@pytest.mark.skipif(os.name == "nt", reason="programs are found by other names there")
def test_who_would_be_asked_in_a_trusted_folder(repair: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = file.parent.parent / "programs"
    programs.mkdir()
    (programs / "cargo").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (programs / "cargo").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    path = file.with_name("a.rs")
    path.write_text("fn main() {}\n", encoding="utf-8")
    shown = repair(path, checkers="parse,cargo check")
    assert "(asked: parse only; with --trust also: cargo check)" in shown.out


def test_what_no_text_mends_is_not_tried(repair: Run, file: Path) -> None:
    (file.parent / "pyproject.toml").write_text('[tool.ruff]\nlint.select = ["INP"]\n', encoding="utf-8")
    path = file.parent / "lacks_init" / "a.py"
    path.parent.mkdir()
    path.write_text("x = 1\n", encoding="utf-8")
    shown = repair(path)
    assert shown.code == NONE_FIXED
    assert "No verified fix. This is about the file" in shown.out


def test_what_is_known_is_printed_before_the_end(repair: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path) -> Document:
        if path.name == "b.py":
            raise KeyboardInterrupt
        return read_document(path)

    monkeypatch.setattr("coderls.cli.repair.read_document", stop)
    file.with_name("b.py").write_text(TEXT, encoding="utf-8")
    shown = repair("--check", file, file.with_name("b.py"))
    assert shown.code == 130
    assert "+    return result" in shown.out


def test_ctrl_c_says_what_was_written(repair: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path) -> Document:
        if path.name == "b.py":
            raise KeyboardInterrupt
        return read_document(path)

    file.with_name("b.py").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr("coderls.cli.repair.read_document", stop)
    shown = repair("--check", "--apply", file, file.with_name("b.py"))
    assert shown.code == 130
    assert f"coderls: stopped. Written before that: {file}." in shown.err
    assert "return result" in file.read_text(encoding="utf-8")


def test_no_link_leads_out_of_the_folder(repair: Run, file: Path) -> None:
    outside = file.parent.parent / "outside.py"
    outside.write_text(TEXT, encoding="utf-8")
    link = file.parent / "link.py"
    link.symlink_to(outside)
    shown = repair("--check", "--apply", file.parent)
    assert (shown.code, "link.py" in shown.out) == (CLEAN, False)
    assert repair("--check", "--apply", link, "--root", file.parent).code == FAILED
    named = repair(link, "--apply", "--root", file.parent)
    assert (named.code, "leads out of" in named.err) == (FAILED, True)
    assert outside.read_text(encoding="utf-8") == TEXT
    assert repair(outside, "--apply", "--root", file.parent).code == CLEAN  # the file itself may be named
    assert outside.read_text(encoding="utf-8") != TEXT


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_what_a_terminal_would_obey_is_written_out(repair: Run, file: Path) -> None:
    odd = file.with_name("\x1b[2J\nb.py")
    odd.write_text(TEXT.replace("items", "it\x1bems"), encoding="utf-8")
    first = repair(odd)
    assert r"\x1b[2J\nb.py:" in first.out
    for shown in (first, repair("--check", file.parent), repair(odd.with_name("\x1b[2J")), repair(odd, "--apply")):
        assert "\x1b" not in shown.out + shown.err
