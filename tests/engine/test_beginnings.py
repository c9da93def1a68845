"""The beginning of prompts is sent once: the same tokens are run, and the requests stay short."""

from __future__ import annotations

from typing import Any

import pytest

from coderls.beginning import Beginning
from coderls.engine import client as client_module
from coderls.engine.api import UNKNOWN_BEGINNING, Chunk, GenerationRequest
from coderls.engine.beginnings import MOST, Beginnings
from coderls.engine.client import EngineClient
from coderls.engine.openai_requests import completion_body
from coderls.errors import RequestRefused
from tests.engine.engines import Engine, connected, ids_of

TEXT = "# " + "a long beginning " * 20 + "\ndef add(a, b):\n    "


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the client sends."""
    bodies: list[dict[str, Any]] = []

    def noting(*args: Any, **options: Any) -> dict[str, Any]:
        bodies.append(completion_body(*args, **options))
        return bodies[-1]

    monkeypatch.setattr(client_module, "completion_body", noting)
    return bodies


async def said(client: EngineClient, request: GenerationRequest) -> tuple[str, int]:
    """What comes out, and how many tokens the prompt had."""
    chunks: list[Chunk] = [chunk async for chunk in client.stream(request)]
    usage = chunks[-1].usage
    assert usage is not None
    return "".join(chunk.text for chunk in chunks), usage.prompt_tokens


async def test_it_is_sent_once_and_the_answers_are_those_of_the_whole(
    unix_engine: Engine, sent: list[dict[str, Any]]
) -> None:
    tokens = ids_of(unix_engine, TEXT)
    first, rest = Beginning(tokens[:40]), tokens[40:]
    async with connected(unix_engine) as client:
        whole = await said(client, GenerationRequest(tokens, max_tokens=8))
        for _ in range(3):
            assert await said(client, GenerationRequest(rest, max_tokens=8, beginning=first)) == whole
        assert await said(client, GenerationRequest((), max_tokens=0, beginning=first)) == ("", 40)
    assert [len(body["prompt"]) for body in sent] == [len(tokens), len(tokens), len(rest), len(rest), 0]
    assert [body.get("remember") for body in sent] == [None, 40, None, None, None]
    assert [body.get("beginning") for body in sent[2:]] == [first.digest] * 3


async def test_an_engine_that_knows_it_no_more_is_sent_it_again(
    unix_engine: Engine, sent: list[dict[str, Any]]
) -> None:
    tokens = ids_of(unix_engine, TEXT)
    first = Beginning(tokens[:50])
    async with connected(unix_engine) as client, connected(unix_engine) as other:
        wanted = await said(client, GenerationRequest(tokens[50:], max_tokens=8, beginning=first))
        for number in range(MOST):
            await said(other, GenerationRequest((7,), max_tokens=0, beginning=Beginning((number + 1,) * 9)))
        sent.clear()
        assert await said(client, GenerationRequest(tokens[50:], max_tokens=8, beginning=first)) == wanted
        assert [len(body["prompt"]) for body in sent] == [len(tokens) - 50, len(tokens)]
        assert await said(client, GenerationRequest(tokens[50:], max_tokens=8, beginning=first)) == wanted
        assert len(sent) == 3
        with pytest.raises(RequestRefused) as refused:  # another refusal is no reason to ask again
            await said(client, GenerationRequest(tokens[50:], max_tokens=1 << 19, beginning=first))
        assert refused.value.status == 400
        assert len(sent) == 4


def test_what_is_wrong_is_refused_by_name(unix_engine: Engine) -> None:
    def post(**body: Any) -> tuple[int, str]:
        answer = unix_engine.http.post("/v1/completions", json={"max_tokens": 1, **body})
        return answer.status_code, answer.json()["error"]["message"]

    assert post(prompt=[1, 2], beginning="0" * 64)[0] == UNKNOWN_BEGINNING
    for body in ({"prompt": "text", "beginning": "00"}, {"prompt": [1], "beginning": 5}):
        status, message = post(**body)
        assert (status, "beginning" in message) == (400, True)
    for body in ({"prompt": [1, 2], "remember": 3}, {"prompt": "text", "remember": 1}):
        status, message = post(**body)
        assert (status, "remember" in message) == (400, True)
    assert post(prompt=[])[0] == 400
    assert post(prompt=[1 << 20, 2], remember=1)[0] == 400  # no token of the model: it is not kept either
    assert post(prompt=[2], beginning=Beginning((1 << 20,)).digest)[0] == UNKNOWN_BEGINNING


def test_other_engines_get_the_whole_prompt_and_no_field_of_ours() -> None:
    request = GenerationRequest((3, 4), beginning=Beginning((1, 2)))
    body = completion_body(request, "m", user="")
    assert body["prompt"] == [1, 2, 3, 4]
    assert not {"beginning", "remember"} & set(body)


def test_the_last_few_are_known() -> None:
    known = Beginnings(2)
    one, two, three = (1, 2), (2, 1), (3,)
    known.keep(one)
    known.keep(two)
    assert known.get(Beginning(one).digest) == one
    known.keep(three)
    assert known.get(Beginning(two).digest) is None
    assert known.get(Beginning(one).digest) == one
    assert known.get("") is None


def test_equal_ids_are_equal_beginnings() -> None:
    assert Beginning((1, 2)) == Beginning((1, 2))
    assert hash(Beginning((1, 2))) == hash(Beginning((1, 2)))
    assert len({Beginning((1, 2)), Beginning((1, 2)), Beginning((2, 1)), Beginning(())}) == 3
    assert Beginning((1, 2)) != (1, 2)
