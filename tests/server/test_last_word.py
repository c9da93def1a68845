"""Who has the last word on a completion, and what it was made from, over the wire."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from coderls.engine.fake import FakeRule, FakeScript
from tests.server.conftest import eventually, text_of

#: Go as its formatter reads it: whoever says "two" has made an error.
GOFMT = """#!/bin/sh
echo "$PWD" >> {folder}/starts
case "$(cat)" in *two*) echo '<standard input>:4:9: expected operand' >&2; exit 2;; esac
"""
SCRIPT = FakeScript(rules=(FakeRule("int {\n\treturn ", "one + two"),), default="nothing")
MARKED = "package a\n\nfunc f() int {\n\treturn $0\n}\n"


@pytest.fixture
def gofmt(home: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    folder: Path = home.path / "bin"
    folder.mkdir()
    (folder / "gofmt").write_text(GOFMT.format(folder=home.path))
    (folder / "gofmt").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    return home.path / "starts"  # type: ignore[no-any-return]


def test_a_languages_own_parser_is_asked_by_the_session(home: Any, gofmt: Path) -> None:
    front = home.started(script=SCRIPT).ready()

    def shown(name: str) -> str | None:
        return text_of(front.wait(front.inline_request(*front.put(MARKED, name, "go"))))

    numbers = iter(range(100))
    eventually(lambda: shown(f"a{next(numbers)}.go") == "one", "the part that gofmt takes")  # it may be late at first
    assert set(gofmt.read_text().split()) == {"/"}, "it runs where no file of the project can configure it"


def test_nobody_else_is_asked_where_the_user_wants_none(home: Any, gofmt: Path) -> None:
    front = home.started(script=SCRIPT, options={"completion": {"own_parser": "off"}}).ready()
    assert text_of(front.wait(front.inline_request(*front.put(MARKED, "a.go", "go")))) == "one + two"
    assert not gofmt.exists()


def test_a_parser_of_the_workspace_is_not_started(home: Any, gofmt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.path / "bin").rename(home.path / "work" / "bin")
    monkeypatch.setenv("PATH", f"{home.path / 'work' / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    front = home.started(script=SCRIPT).ready()
    shown = text_of(front.wait(front.inline_request(*front.put(MARKED, "a.go", "go"))))
    assert shown == "one + two"
    assert not gofmt.exists()


def test_a_parser_that_stays_leaves_with_the_session(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`node` is a program of ours here, which counts the letter x as errors and says that it was started."""
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    program = home.path / "bin" / "node"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"open({str(home.path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "for head in iter(sys.stdin.buffer.readline, b''):\n"
        "    number, kind, size = head.split()\n"
        "    text = sys.stdin.buffer.read(int(size))\n"
        "    said = json.dumps({'number': int(number), 'found': text.count(b'two')}).encode()\n"
        "    sys.stdout.buffer.write(b'Content-Length: %d\\r\\n\\r\\n%b' % (len(said), said))\n"
        "    sys.stdout.buffer.flush()\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    front = home.started(script=FakeScript(rules=(FakeRule("const a = ", "one + two;"),), default="0;")).ready()
    numbers = iter(range(1_000))

    def shown() -> str | None:
        asked = front.put("const a = $0\n", f"a{next(numbers)}.js", "javascript")
        items = front.wait(front.inline_request(*asked))["items"]  # the parser may have come up between two of them
        return items[0]["insertText"] if items else None

    assert shown() == "one + two;", "nobody waits for its start"
    eventually(lambda: shown() == "one", "the part that it takes")
    pid = int((home.path / "pid").read_text())
    front.close()
    eventually(lambda: not Path(f"/proc/{pid}").exists() if Path("/proc").exists() else True, "its end")


def test_what_a_snippet_was_worth_is_found_out_when_nobody_types(home: Any) -> None:
    """The model says `seen` only where the definition is in the prompt."""
    (home.path / "work" / "helper.py").write_text("def lend(amount: int) -> int:\n    return amount\n")
    script = FakeScript(rules=(FakeRule("def lend(amount", "(seen"),), default="(unseen", prefill_token_ms=0.05)
    front = home.started(script=script, options={"context": {"tokens": 500}}).ready()
    front.wait_for(lambda: any("index is ready" in line for line in front.logged()), what="the index")
    asked = front.put("from helper import lend\n\nprint(lend($0)\n", "main.py")
    eventually(lambda: text_of(front.wait(front.inline_request(*asked))) == "seen", "the definition in the prompt")
    explain = {"command": "coderls.explain", "arguments": [asked[0]]}
    eventually(lambda: "influence" in front.call("workspace/executeCommand", explain), "the influence of the snippet")
    [snippet] = front.call("workspace/executeCommand", explain)["influence"]
    assert (snippet["path"], snippet["change"] > 1.0) == ("helper.py", True)
    asked_for = front.call("workspace/executeCommand", {"command": "coderls.influence", "arguments": [asked[0]]})
    assert asked_for["snippets"] == [snippet]
