"""The repository before the prompt: once the engine has it in its cache, and never otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from tests.server.conftest import SCRIPT, Engine, Front, eventually, text_of

_LONG = 16_384
_SCRIPT = replace(SCRIPT, context_length=_LONG, slots=(2048, _LONG, _LONG))
_OPTIONS = {"context": {"whole": "on"}, "completion": {"debounce_ms": 0, "ahead": "off"}}


def files(home: Any) -> None:
    for number in range(40):
        text = f'"""Module {number}."""\n\n\ndef function_{number}(first, second):\n    return first + second\n'
        (home.path / "work" / f"module_{number}.py").write_text(text, encoding="utf-8")


class Typing:
    """Somebody who writes lines into a document."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.uri, self.line, _ = front.put("import module_1\n\n$0", "main.py")
        self.version = 1

    def asked(self) -> dict[str, Any]:
        """What the next completion was made from. It is taken."""
        head = f"number_{self.line}_marker = "
        self._write(0, head)
        request = self.front.inline_request(self.uri, self.line, len(head), invoked=False)
        assert text_of(self.front.wait(request)) == "found"
        explained = self.front.call("workspace/executeCommand", {"command": "coderls.explain", "arguments": [self.uri]})
        self._write(len(head), "found\n")
        self.line += 1
        return dict(explained)

    def _write(self, character: int, text: str) -> None:
        self.version += 1
        at = {"line": self.line, "character": character}
        self.front.change(self.uri, self.version, [{"range": {"start": at, "end": at}, "text": text}])

    def has_repository(self, engine: Engine) -> dict[str, Any]:
        """The first completion behind all of the repository, once the engine has read it."""
        read = engine.metric("coderls_prompt_tokens_total")
        eventually(lambda: engine.metric("coderls_prompt_tokens_total") > read + 2_000, "a repository that was read")
        eventually(lambda: not engine.working(), "an idle engine")
        found = {}

        def there() -> bool:
            found.update(self.asked())
            return bool(of_repository(found))

        eventually(there, "a prompt with the repository")
        return found


def of_repository(explained: dict[str, Any]) -> list[str]:
    return [part["path"] for part in explained["prompt"] if part["kind"] == "repository"]


def test_the_repository_is_before_the_prompt_only_while_the_engine_has_it(home: Any) -> None:
    files(home)
    front = home.started(script=_SCRIPT, options=_OPTIONS).ready()
    front.wait_for(lambda: any("index is ready" in line for line in front.logged()), 60, "an index")
    engine, user = front.engine(), Typing(front)
    first = user.asked()
    assert not of_repository(first)
    explained = user.has_repository(engine)
    shown = of_repository(explained)
    assert len(shown) == 40
    assert shown[-1] == "module_1.py"
    assert "main.py" not in shown
    tokens = explained["tokens"]
    assert tokens["cached"] > 2_000
    assert tokens["prompt"] - tokens["cached"] < first["tokens"]["prompt"] + 100
    # Somebody else's long prompts take the room: the next key has its answer all the same.
    transport = httpx.HTTPTransport(uds=str(engine.socket), verify=False)
    with httpx.Client(transport=transport, base_url="http://localhost") as http:
        for number in range(4):
            body = {"prompt": [65 + number] * 8_000, "max_tokens": 0, "room": _LONG}
            assert http.post("/v1/completions", json=body).status_code == 200
    without = user.asked()
    assert not of_repository(without)
    assert without["tokens"]["prompt"] < 2_000
    assert of_repository(user.has_repository(engine)) == shown
    # A file that is opened is not shown as it was: it is left out until it is closed.
    front.put("def function_1(other): ...\n$0", "module_1.py")
    assert not of_repository(user.asked())
    assert of_repository(user.has_repository(engine)) == shown[:-1]
