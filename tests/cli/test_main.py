"""The command line itself: exit codes, error lines, and what it imports."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable

import pytest

import coderls
from coderls import cli
from coderls.errors import ModelBroken


def command(monkeypatch: pytest.MonkeyPatch, run: Callable[[object], int]) -> None:
    """Put a command `doctor` of ours in the place of the real one."""
    module = types.ModuleType("scripted_command")
    module.add_parser = lambda subparsers: subparsers.add_parser("doctor")  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scripted_command", module)
    monkeypatch.setitem(cli.COMMANDS, "doctor", ("scripted_command", "scripted"))


def fails_with(error: BaseException) -> Callable[[object], int]:
    def run(args: object) -> int:
        raise error

    return run


def test_an_error_of_ours_is_one_line_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, fails_with(ModelBroken("The model 'x' is torn.", "Pull it.")))
    assert cli.main(["doctor"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "coderls: The model 'x' is torn. Pull it.\n"
    assert shown.out == ""


def test_ctrl_c_is_130_and_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command(monkeypatch, fails_with(KeyboardInterrupt()))
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == ""


def test_an_error_that_is_not_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, fails_with(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_the_exit_code_is_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, lambda args: 7)
    assert cli.main(["doctor"]) == 7


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--tcp", "seventy"], "no port"),
        (["--tcp", "70000"], "no port"),
        (["--stdio", "--tcp", "7000"], "not allowed with"),
        (["repiar"], "invalid choice"),
        (["--record", "folder"], "--record goes with --stdio or --tcp"),
        (["--studio"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_exit_2(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("--stdio", "--tcp", *cli.COMMANDS))


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    assert f"usage: coderls {name}" in capsys.readouterr().out


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "coderls", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"coderls {coderls.__version__}\n"


def test_a_reader_that_left_is_no_traceback() -> None:
    """`coderls ... | true`: nothing on stderr."""
    code = "import sys, coderls.cli; sys.exit(coderls.cli.main([]))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(30) != 0


@pytest.mark.parametrize("name", sorted(cli.APART))
def test_a_slip_is_told_before_anything_heavy_is_imported(name: str) -> None:
    code = (
        "import sys\n"
        "from coderls.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    print(end.code, sorted({'tokenizers', 'httpx', 'tqdm'} & set(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, name, "--no-such-option"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "2 []\n"
    assert f"coderls {name}" in ended.stderr
