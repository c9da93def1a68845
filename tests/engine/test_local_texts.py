"""Texts of repositories are given to an engine once and named from then on."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from coderls.engine.api import LONGEST_LOCAL, UNKNOWN_LOCAL, GenerationRequest, LocalName
from coderls.engine.blend import FEATURES
from coderls.engine.client import EngineClient
from coderls.engine.fake import write_fake_model
from coderls.engine.local_texts import MOST, LocalTexts
from coderls.engine.runner import GATE_FILE
from coderls.errors import RequestRefused
from tests.engine.engines import SCRIPT, Engine, answers, connected, eventually, ids_of, start_engine, stop, unix_http

PROMPT = "def add(a, b):\n    print(shape"
#: Everything to the local text: the fake model says what is blended in with a mass of more than a half.
GATE = {"prompt": [-9.0, *[0.0] * 2 * FEATURES], "local": [9.0, *[0.0] * 2 * FEATURES]}


def encoded(ids: Sequence[int]) -> str:
    return base64.b64encode(array("i", ids).tobytes()).decode()


def test_texts_are_known_by_their_digest_until_newer_ones_come() -> None:
    texts = LocalTexts()
    digests = [texts.take(encoded([number, -1]), 100) for number in range(MOST + 1)]
    assert len(set(digests)) == MOST + 1
    assert len(texts.get(digests[1]) or ()) == 2
    assert texts.get("") is None
    with pytest.raises(RequestRefused) as refused:
        texts.get(digests[0])
    assert refused.value.status == UNKNOWN_LOCAL
    assert texts.take(encoded([1, -1]), 100) == digests[1], "the same again is the newest"
    texts.take(encoded([50, -1]), 100)
    assert texts.get(digests[1]) is not None


@pytest.mark.parametrize(
    "sent",
    [None, 7, [1, 2], "no base64!", encoded([1])[:-3], base64.b64encode(b"abc").decode(), encoded([100]), encoded([-2]),
     base64.b64encode(bytes(4 * LONGEST_LOCAL + 4)).decode()],
    ids=["nothing", "a number", "a list", "no base64", "cut", "three bytes", "no token", "below the gap", "too long"],
)  # fmt: skip
def test_what_is_no_text_is_refused(sent: object) -> None:
    with pytest.raises(RequestRefused) as refused:
        LocalTexts().take(sent, 100)
    assert refused.value.status == 400


@pytest.fixture(scope="module")
def blending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose model has a gate."""
    model = write_fake_model(tmp_path_factory.mktemp("model") / "fake", SCRIPT)
    (model / GATE_FILE).write_text(json.dumps(GATE))
    with tempfile.TemporaryDirectory(prefix="cl-", dir="/tmp") as folder:
        path = Path(folder) / "e.sock"
        process = start_engine("--model", model, "--socket", path, log=model / "engine.log")
        with unix_http(path) as http:
            eventually(lambda: answers(http))
            yield Engine(process, http, socket=str(path))
        stop(process)


async def said(client: EngineClient, local: LocalName | None, prompt: str = PROMPT, prefix: str = "") -> str:
    request = GenerationRequest(prompt, max_tokens=9, local=local, required_prefix=prefix)
    return "".join([chunk.text async for chunk in client.stream(request)])


async def test_the_words_of_the_repository_come_out(blending: Engine) -> None:
    assert "local" in blending.http.get("/health").json()["features"]
    async with connected(blending) as client:
        alone = await said(client, None)
        ids = ids_of(blending, "print(shape_of(sky))\n" * 3)
        await client.give(array("i", [*ids, -1]).tobytes())
        assert client.local.tokens == len(ids) + 1
        assert await said(client, client.local) == "_of(sky))"
        assert await said(client, client.local, "def add(a, b):\n    print(", "sha") == "pe_of("
        assert await said(client, None) == alone
        assert await said(client, LocalName()) == alone, "a prompt in which nothing comes twice"


async def test_an_engine_that_has_forgotten_the_text_answers_without_it(blending: Engine) -> None:
    async with connected(blending) as client, connected(blending) as other:
        ids = array("i", ids_of(blending, "print(shape_of(sky))\n"))
        await client.give(ids.tobytes())
        named = client.local
        for number in range(MOST):
            await other.give(array("i", [number, -1]).tobytes())
        assert await said(client, named) == await said(client, None)
        assert client.local == LocalName()
        await client.give(ids.tobytes())
        assert client.local == named
        assert await said(client, named) == "_of(sky))"


async def test_texts_are_taken_and_named_from_several_threads() -> None:
    texts = LocalTexts(1)

    def use(number: int) -> None:
        for _ in range(200):
            digest = texts.take(encoded([number, -1]), 100)
            with suppress(RequestRefused):  # another has come meanwhile
                texts.get(digest)

    await asyncio.gather(*(asyncio.to_thread(use, number) for number in range(4)))


async def test_what_cannot_be_is_refused_and_the_engine_lives_on(blending: Engine, unix_engine: Engine) -> None:
    assert blending.http.post("/v1/local_text", json={}).status_code == 400
    assert blending.http.post("/v1/local_text", content=b"no json").status_code == 400
    body = {"prompt": "x", "local": "0" * 64}
    assert blending.http.post("/v1/completions", json=body).status_code == UNKNOWN_LOCAL
    assert blending.http.post("/v1/completions", json={"prompt": "x", "local": 7}).status_code == 400
    for path, sent in (("completions", {"prompt": "x", "local": ""}), ("local_text", {"ids": encoded([1])})):
        refused = unix_engine.http.post(f"/v1/{path}", json=sent)
        assert refused.status_code == 400
        assert "local" in refused.json()["error"]["message"]
    odd = {"prompt": "x", "local": "", "max_tokens": 1}
    assert blending.http.post("/v1/completions", json=odd | {"before": [1 << 70]}).status_code == 400
    assert blending.http.post("/v1/completions", json=odd | {"stop_token_ids": [1 << 70]}).status_code == 200
    assert blending.http.post("/v1/completions", json={"prompt": "x", "max_tokens": 1}).status_code == 200
