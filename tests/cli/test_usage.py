"""What was typed and has to be corrected: exit code 2 from every command, at once, with a sentence that helps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coderls import cli

from .conftest import Shown

Run = Callable[..., Shown]
#: Words, and what is said. `app.py` is a file of five lines, `folder` is one.
WRONG: list[tuple[str, str]] = [
    ("complete none.py:1:1", "There is no file none.py."),
    ("complete folder:1:1", "folder is a folder."),
    ("complete app.py:9:1", "app.py has 5 lines; there is no line 9."),
    ("complete app.py", "no FILE:LINE:COLUMN"),
    ("complete app.py:1:1 --root none", "none is no folder."),
    ("complete app.py:1:1 --set foo", "--set foo has no value."),
    ("complete app.py:1:1 --set foo=1", "foo"),
    ("complete app.py:1:1 --max-tokens 0", "completion.max_tokens"),
    ("complete app.py:1:1 --model nonesuch", "There is no model 'nonesuch' here."),
    ("complete app.py:1:1 --explian", "Did you mean --explain?"),
    ("replay none.json", "There is no file none.json."),
    ("replay app.py app.py --as-test x.json", "A test is made of one record."),
    ("repair", "There is no FILE"),
    ("repair none.py", "There is no file none.py."),
    ("repair folder", "need --check"),
    ("repair app.py --line 9", "app.py has 5 lines; there is no line 9."),
    ("repair app.py --root none", "none is no folder."),
    ("repair app.py --set foo", "--set foo has no value."),
    ("models none", "invalid choice"),
    ("models path nonesuch", "There is no model 'nonesuch' here."),
    ("models remove nonesuch", "nonesuch is not among the models"),
    ("models pull nonesuch", "coderls knows no model 'nonesuch'."),
    ("models build --from-wheel none.whl", "There is no file none.whl."),
    ("models quantize nonesuch", "There is no model 'nonesuch' here."),
    ("models list foo", "takes no 'foo'."),
    ("engine", "The engine needs an address."),
    ("engine stop", "coderls engine takes no 'stop'. Did you mean --stop?"),
    ("engine list", "Did you mean --list?"),
    ("engine --stop nonesuch", "No engine is called 'nonesuch'."),
    ("engine --socket x.sock --model nonesuch", "There is no model 'nonesuch' here."),
    ("engine --json", "--json goes with --list only."),
    ("index none", "none is no folder."),
    ("index app.py", "app.py is no folder."),
    ("index --rebiuld", "Did you mean --rebuild?"),
    ("stats foo", "coderls stats takes no 'foo'. `coderls stats --help` says what it takes."),
    ("stats --days -3", "'-3' is no number of days"),
    ("doctor --folder none", "none is no folder."),
    ("doctor --set foo", "--set foo has no value."),
    ("doctor now", "coderls doctor takes no 'now'."),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app.py").write_text("a = 1\n" * 5, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("words", "says"), WRONG)
def test_what_has_to_be_corrected_is_two(
    coderls: Run, runtime_folder: Path, words: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        shown = coderls(*words.split())
        code, said = shown.code, shown.err
    except SystemExit as left:
        code, said = int(str(left.code)), capfd.readouterr().err
    assert code == 2
    assert says in said
    assert not list(runtime_folder.rglob("*.sock")), "nothing was started for it"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["complete", "{}:1:1"], 1),
        (["repair", "{}"], 1),
        (["replay", "{}"], 1),
        (["index", "{}"], 2),
        (["doctor", "--folder", "{}"], 2),
        (["models", "build", "--from-wheel", "{}"], 1),
    ],
)
def test_a_name_that_no_file_system_takes_is_said_to_be_wrong(coderls: Run, words: list[str], code: int) -> None:
    shown = coderls(*(word.format("x" * 5000) for word in words))
    assert shown.code == code
    assert shown.err.startswith("coderls: ")


def test_no_command_is_left_out() -> None:
    assert {words.split()[0] for words, _ in WRONG} == set(cli.COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        "complete none.py:1:1",
        "repair none.py",
        "replay none.json",
        "index none",
        "doctor --folder none",
        "models quantize nonesuch",
        "models path nonesuch",
    ],
)
def test_it_is_told_before_anything_heavy_is_imported(here: Path, words: str) -> None:
    code = (
        "import sys\n"
        "from coderls.cli import main\n"
        "heavy = {'tokenizers', 'httpx', 'torch', 'tree_sitter', 'sqlite3'}\n"
        "print(main(sys.argv[1:]), sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, text=True, check=True)
    assert ended.stdout == "2 []\n"


def test_a_place_behind_the_last_line_end_is_one(coderls: Run, here: Path, model: Path) -> None:
    """Editors show a line there; `complete` and `repair` count the same lines all the same."""
    assert coderls("complete", "app.py:6:1", "--model", model).code == 0
    assert "app.py has 5 lines" in coderls("complete", "app.py:7:1", "--model", model).err
    assert "app.py has 5 lines" in coderls("repair", "app.py", "--line", "6", "--no-model").err


def test_models_alone_lists_them(coderls: Run) -> None:
    shown = coderls("models")
    assert shown.code == 0
    assert shown.out.startswith(coderls("models", "list").out)
    assert "nano" in shown.out
