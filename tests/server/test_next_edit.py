"""`coderls/nextEdit` over stdio."""

from __future__ import annotations

from typing import Any

import pytest

from coderls.stats import Stats
from devtools.lsp_client import CAPABILITIES, RpcError
from tests.server.conftest import Front, eventually

TEXT = "def f(count):\n    return count + 1\n\n\ndef g(count):\n    return count\n"


class Typist:
    """A document of its own in a front, changed as an editor does it."""

    made = 0

    def __init__(self, front: Front, text: str = TEXT, name: str = "") -> None:
        Typist.made += 1
        self.front, self.text, self.version = front, text, 1
        self.uri = front.open(front.home / "work" / (name or f"next{Typist.made}.py"), text)

    def replace(self, line: int, start: int, end: int, new: str) -> None:
        """Replace characters of a line, in one change."""
        self.version += 1
        span = {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}
        self.front.change(self.uri, self.version, [{"range": span, "text": new}])

    def ask(self, line: int, character: int, **more: Any) -> Any:
        document = {"uri": self.uri, **({"version": more.pop("version")} if "version" in more else {})}
        position = {"line": line, "character": character}
        return self.front.call("coderls/nextEdit", {"textDocument": document, "position": position, **more})

    def run(self, command: str, *arguments: Any) -> Any:
        return self.front.call("workspace/executeCommand", {"command": command, "arguments": list(arguments)})


def test_the_server_says_that_it_can(shared: Front) -> None:
    assert shared.initialize_result["capabilities"]["experimental"] == {"coderlsNextEdit": True}


def test_the_next_use_of_a_renamed_parameter(shared: Front) -> None:
    typist = Typist(shared)
    typist.replace(0, 6, 11, "total")
    assert typist.ask(0, 11) is None  # still in the word
    found = typist.ask(1, 0)
    assert found.pop("id") > 0
    assert found == {
        "textDocument": {"uri": typist.uri, "version": 2},
        "range": {"start": {"line": 1, "character": 11}, "end": {"line": 1, "character": 16}},
        "newText": "total",
        "kind": "repeat",
        "reason": "`count` became `total`",
        "evidence": [],
        "more": 0,
    }
    assert typist.ask(0, 11, typing=False) is not None
    typist.replace(1, 11, 16, "total")
    assert typist.ask(4, 0) is None  # the other function's is another one


def test_columns_are_counted_as_agreed(shared: Front) -> None:
    typist = Typist(shared, "def f(count):\n    return '😀', count\n")
    typist.replace(0, 6, 11, "total")
    assert typist.ask(1, 0)["range"]["start"] == {"line": 1, "character": 17}


def test_the_same_offer_has_the_same_number_until_it_is_rejected(shared: Front) -> None:
    typist = Typist(shared)
    typist.replace(0, 6, 11, "total")
    first = typist.ask(1, 0)
    assert typist.ask(2, 0) == first
    typist.run("coderls.rejected", first["id"])
    assert typist.ask(1, 0) is None
    typist.replace(0, 6, 11, "amount")  # another replacement is another matter
    assert typist.ask(1, 0)["newText"] == "amount"


def test_what_is_taken_and_undone_was_not_wanted(shared: Front) -> None:
    typist = Typist(shared, "def f(count):\n    return count, count\n")
    typist.replace(0, 6, 11, "total")
    assert typist.ask(1, 0) is not None
    typist.replace(1, 11, 16, "total")
    assert typist.ask(1, 16) is None  # the cursor is at what was put in
    assert typist.ask(1, 16, typing=False) is not None
    typist.replace(1, 11, 16, "count")
    assert typist.ask(0, 0) is None


def test_nothing_for_a_version_that_is_over_and_while_paused(shared: Front) -> None:
    typist = Typist(shared)
    assert typist.ask(1, 0) is None
    typist.replace(0, 6, 11, "total")
    assert typist.ask(1, 0, version=1) is None
    typist.run("coderls.pause", True)
    assert typist.ask(1, 0) is None
    typist.run("coderls.pause", False)
    assert typist.ask(1, 0, version=2) is not None


def test_a_request_that_the_document_overtakes_is_answered_with_nothing(shared: Front) -> None:
    typist = Typist(shared)
    typist.replace(0, 6, 11, "total")
    number = shared.request(
        "coderls/nextEdit", {"textDocument": {"uri": typist.uri}, "position": {"line": 1, "character": 0}}
    )
    typist.replace(1, 0, 0, "    x = 1\n")
    assert shared.wait(number) is None
    assert typist.ask(1, 0)["range"]["start"]["line"] == 2


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        [],
        {"textDocument": {"uri": 3}, "position": {"line": 0, "character": 0}},
        {"textDocument": {"uri": "file:///x"}, "position": {"line": "0", "character": 0}},
        {"textDocument": {"uri": "file:///x"}, "position": {"line": 0, "character": 0}, "typing": "no"},
        {"textDocument": {"uri": "file:///not-open"}, "position": {"line": 0, "character": 0}},
    ],
)
def test_what_is_no_request_gets_an_error(shared: Front, params: Any) -> None:
    with pytest.raises(RpcError) as caught:
        shared.call("coderls/nextEdit", params)
    assert caught.value.code == -32602


def test_excluded_files_and_places_outside_of_the_text(shared: Front) -> None:
    secret = Typist(shared, "a = 1\nb = a\n", ".env")
    secret.replace(0, 0, 1, "new_name")
    assert secret.ask(1, 0) is None
    typist = Typist(shared)
    typist.replace(0, 6, 11, "total")
    assert typist.ask(10_000, 10_000)["newText"] == "total"
    assert typist.ask(-3, -3)["newText"] == "total"
    assert typist.ask(2**31, 10**30)["newText"] == "total"


def test_switched_off(home: Any) -> None:
    front = home.started(options={"next_edit": {"enabled": False}}).ready()
    typist = Typist(front)
    typist.replace(0, 6, 11, "total")
    assert typist.ask(1, 0) is None


def test_what_became_of_it_is_counted_apart(home: Any) -> None:
    typist = Typist(home.started(), TEXT + "\n\ndef h(low):\n    return low\n")
    typist.replace(0, 6, 11, "total")
    assert typist.ask(1, 0) is not None
    typist.replace(1, 11, 16, "total")  # taken, without a word of it
    typist.replace(8, 6, 9, "high")
    offer = typist.ask(9, 0)
    assert offer["newText"] == "high"
    typist.run("coderls.rejected", offer["id"])
    numbers = Stats(home.path / "cache" / "stats.sqlite")
    eventually(lambda: numbers.summary().next_edits == (2, 1, 1), "the count of two offers")
    assert numbers.summary().shown == 0


WITH_NEXT_EDIT = {**CAPABILITIES, "experimental": {"coderlsNextEdit": True}}


def test_the_verified_fix_of_what_an_edit_broke_elsewhere(home: Any) -> None:
    repair = {"checkers": ["parse", "ruff"], "when_idle": True}
    front = home.started(options={"repair": repair}, capabilities=WITH_NEXT_EDIT)
    typist = Typist(front, "import os\nimport sys\n\nhere = os.name\nthere = 1\n", "broken.py")
    typist.replace(3, 7, 14, "1")  # os is not used any more; sys never was

    def told() -> bool:
        return {"uri": typist.uri, "version": 2} in front.notifications("coderls/nextEditFound")

    front.wait_for(told, 60, "word of a fix")
    found = typist.ask(4, 0)
    assert (found["kind"], found["newText"]) == ("repair", "")
    assert found["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
    assert "verified: parse, ruff" in found["reason"]
    assert any("`os` imported but unused" in line for line in found["evidence"])
    typist.run("coderls.rejected", found["id"])
    assert typist.ask(4, 0) is None
