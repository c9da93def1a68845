"""Progress on a terminal, and where there is none."""

from __future__ import annotations

import io

import pytest

from coderls.cli import progress
from coderls.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_where_nobody_watches() -> None:
    stream = io.StringIO()
    with Progress(stream) as report:
        report("building the model", 0.0)
        report("building the model", 0.4)
        report("loading the model", 0.5)
    assert stream.getvalue() == "building the model\nloading the model (50%)\n"


def test_a_long_step_is_said_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    with Progress(stream) as report:
        report("fetching", 0.25)
        report("fetching", 0.75)
    assert stream.getvalue() == "fetching (25%)\nfetching (75%)\n"


def test_what_has_not_moved_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    with Progress(stream) as report:
        report("loading nano", 0.0)
        report("loading nano", 0.0)
    assert stream.getvalue() == "loading nano\n"


def test_what_is_quick_says_nothing() -> None:
    for stream in (io.StringIO(), Terminal()):
        with Progress(stream, after_s=1000.0) as report:
            report("reading", 0.5)
        assert stream.getvalue() == ""


def test_a_bar_on_a_terminal_that_goes_away() -> None:
    stream = Terminal()
    with Progress(stream) as report:
        report("building the model", 0.25)
        report("loading the model", 1.5)
    shown = stream.getvalue()
    assert "building the model  25%" in shown
    assert "loading the model 100%" in shown
    assert shown.endswith("\r"), "the line is cleared for what is printed next"


def test_nothing_is_shown_when_nothing_is_long() -> None:
    stream = Terminal()
    with Progress(stream):
        pass
    assert stream.getvalue() == ""
