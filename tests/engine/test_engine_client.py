"""The client against engines that behave and engines that do not: stalled, dead, garbage, foreign."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from coderls.engine import openai_answers
from coderls.engine.api import ChatRequest, Chunk, GenerationRequest, LocalName, Message, Priority, Sampling, Usage
from coderls.engine.client import Endpoint, EngineClient
from coderls.errors import EngineLeaving, EngineMismatch, EngineUnreachable, RequestRefused
from tests.engine.engines import TOKEN, Engine, eventually

PROMPT = "def add(a, b):\n    "
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


async def collect(client: EngineClient, request: GenerationRequest) -> list[Chunk]:
    return [chunk async for chunk in client.stream(request)]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


@asynccontextmanager
async def server(folder: Path, answer: Answer) -> AsyncIterator[Endpoint]:
    """A socket where `answer` decides what comes back for each request (its head and body)."""
    path = folder / "s.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                await answer(head + body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_unix_server(serve, path)
    try:
        yield Endpoint(socket=str(path), foreign=True)
    finally:
        running.close()


def http(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def events(*values: object) -> bytes:
    data = b"".join(b"data: " + (v if isinstance(v, bytes) else json.dumps(v).encode()) + b"\n\n" for v in values)
    return http(data, kind="text/event-stream")


def says(data: bytes, models: bytes = b'{"data": [{"id": "m", "max_model_len": 99}]}') -> Answer:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(models) if request.startswith(b"GET /v1/models") else data)

    return answer


@asynccontextmanager
async def client_of(endpoint: Endpoint, **options: object) -> AsyncIterator[EngineClient]:
    client = EngineClient(endpoint, **options)
    try:
        yield client
    finally:
        await client.aclose()


def endpoint(engine: Engine) -> Endpoint:
    return Endpoint(socket=engine.socket) if engine.socket else Endpoint(url=engine.url)


@pytest.mark.parametrize("kind", ["unix", "loopback"])
async def test_everything_of_a_request_arrives(kind: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{kind}_engine")
    async with client_of(endpoint(engine), token=TOKEN if engine.url else "") as client:
        health = await client.health()
        assert (health.state, health.model, health.context_length) == ("ready", "fake", 4096)
        asked = GenerationRequest(PROMPT, required_prefix="ret", stop=(" +",), logprobs=0, priority=Priority.REPAIR)
        chunks = await collect(client, asked)
        assert text(chunks) == "urn a"
        assert chunks[-1].finish_reason == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens >= 3
        assert sum(len(chunk.token_ids) for chunk in chunks) == sum(len(chunk.logprobs) for chunk in chunks) == 3
        several = GenerationRequest("dice = ", n=2, sampling=Sampling(1.0, seed=2))
        chunks = await collect(client, several)
        assert [text([c for c in chunks if c.index == index]) for index in (0, 1)] == ["three", "four"]
        assert [chunk.usage is not None for chunk in chunks if chunk.finish_reason] == [False, True]
        stopped = GenerationRequest(tuple(b"dice = "), stop_token_ids=(ord("e"),))
        assert text(await collect(client, stopped)) == "on"


async def test_closing_the_iterator_stops_the_generation(unix_engine: Engine) -> None:
    before = unix_engine.metric("coderls_steps_total")
    async with client_of(endpoint(unix_engine)) as client:
        async with aclosing(client.stream(GenerationRequest("forever", max_tokens=2000))) as stream:
            assert (await anext(stream)).text == "x"
        await asyncio.to_thread(unix_engine.idle)
        task = asyncio.create_task(collect(client, GenerationRequest("forever", max_tokens=2000)))
        await asyncio.to_thread(eventually, lambda: unix_engine.metric("coderls_queue") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(unix_engine.idle)
        assert unix_engine.metric("coderls_steps_total") < before + 4000
        assert text(await collect(client, GenerationRequest(PROMPT))) == "return a + b"


async def test_refusals_carry_the_servers_sentence(unix_engine: Engine, loopback_engine: Engine) -> None:
    async with client_of(endpoint(unix_engine)) as client:
        with pytest.raises(RequestRefused, match="context of this model is 4096 tokens") as refused:
            await collect(client, GenerationRequest("x" * 5000))
        assert refused.value.status == 400
        with pytest.raises(RequestRefused, match="NaN") as failed:
            await collect(client, GenerationRequest("no number"))
        assert failed.value.status == 500
        with pytest.raises(RequestRefused, match="run failed"):
            await collect(client, GenerationRequest("breaks here"))
    async with client_of(endpoint(loopback_engine), token="wrong") as client:
        with pytest.raises(RequestRefused, match="token") as unknown:
            await client.health()
        assert unknown.value.status == 401


async def test_nobody_there(tmp_path: Path, runtime_folder: Path) -> None:
    for place in (Endpoint(socket=str(runtime_folder / "no.sock")), Endpoint(url="http://127.0.0.1:9")):
        async with client_of(place, model="m") as client:
            with pytest.raises(EngineUnreachable, match="Nobody answers"):
                await client.health()
            with pytest.raises(EngineUnreachable, match="Nobody answers"):
                await collect(client, GenerationRequest("x"))


async def test_a_client_that_was_closed_says_so(unix_engine: Engine) -> None:
    client = EngineClient(Endpoint(socket=unix_engine.socket))
    await client.health()
    await client.aclose()
    with pytest.raises(EngineUnreachable, match="was closed"):
        await collect(client, GenerationRequest(PROMPT, max_tokens=4))


async def test_a_stalled_engine_is_given_up(runtime_folder: Path) -> None:
    async def stall(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with server(runtime_folder, stall) as place, client_of(place, model="m", silence_s=0.2) as client:
        with pytest.raises(EngineUnreachable, match="says nothing"):
            await collect(client, GenerationRequest("x"))
        with pytest.raises(EngineUnreachable, match="says nothing"):
            await client.health()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", EngineMismatch, "does not speak HTTP"),
        (events(b"not json"), EngineMismatch, "no JSON"),
        (events([1]), EngineMismatch, "no event"),
        (events({"choices": [3]}), EngineMismatch, "another form"),
        (events({"choices": [{"text": "x", "token_ids": "zz"}]}), EngineMismatch, "another form"),
        (events({"choices": [{"text": "x"}]}), EngineUnreachable, "in the middle"),
        (events(), EngineUnreachable, "in the middle"),
        (events({"error": {"message": "card on fire"}}), RequestRefused, "card on fire"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\noops", EngineMismatch, "be read"),
        (http(b"<html>", "404 Not Found"), EngineMismatch, "no engine"),
        (http(b"oops", "502 Bad Gateway"), RequestRefused, "HTTP 502"),
        (http(b'{"error": {"message": "too long"}}', "400 Bad Request"), RequestRefused, "too long"),
        (http(b'{"error": "plain words"}', "400 Bad Request"), RequestRefused, "plain words"),
        (http(b'{"error": {"message": "other version"}}', "426 Upgrade Required"), EngineMismatch, "other version"),
    ],
)
async def test_garbage_is_named_for_what_it_is(
    runtime_folder: Path, data: bytes, error: type[Exception], message: str
) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    async with server(runtime_folder, answer) as place, client_of(place, model="m") as client:
        with pytest.raises(error, match=message):
            await collect(client, GenerationRequest("x"))


async def test_wrong_counts_of_another_engine_spoil_no_answer(runtime_folder: Path) -> None:
    usage = {"prompt_tokens": "many", "completion_tokens": [], "prompt_tokens_details": {"cached_tokens": 3}}
    data = events({"choices": [{"text": "ok", "finish_reason": "stop"}], "usage": usage}, b"[DONE]")

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    async with server(runtime_folder, answer) as place, client_of(place, model="m") as client:
        (chunk,) = await collect(client, GenerationRequest("x"))
        assert chunk.text == "ok"
        assert chunk.usage == Usage(0, 0, 3)


async def test_an_answer_cut_off_in_the_middle(runtime_folder: Path) -> None:
    async def die(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        event = b'data: {"choices": [{"text": "a"}]}\n\n'
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        writer.close()

    async with server(runtime_folder, die) as place, client_of(place, model="m") as client:
        stream = client.stream(GenerationRequest("x"))
        assert (await anext(stream)).text == "a"
        with pytest.raises(EngineUnreachable, match="middle"):
            await anext(stream)


async def test_a_kept_connection_that_the_engine_closed_is_opened_anew(runtime_folder: Path) -> None:
    good = events({"choices": [{"text": "ok", "finish_reason": "stop"}]}, b"[DONE]")
    requests = 0

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:  # it had decided to close just when the request came
            writer.close()
        else:
            writer.write(good)

    async with server(runtime_folder, answer) as place, client_of(place, model="m") as client:
        assert text(await collect(client, GenerationRequest("x"))) == "ok"
        assert text(await collect(client, GenerationRequest("x"))) == "ok"
        assert requests == 3


async def test_a_foreign_engine_gets_standard_fields_only(runtime_folder: Path) -> None:
    seen: list[dict[str, object]] = []
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": None}

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        assert b"x-coderls-protocol" not in head.lower()
        if head.startswith(b"GET /v1/models"):
            writer.write(http(b'{"data": [{"id": "other"}, {"id": "m", "max_model_len": 32768}]}'))
        elif head.startswith(b"GET"):
            writer.write(http(b"", "404 Not Found"))
        else:
            seen.append(json.loads(body))
            writer.write(
                events({"choices": [{"text": "x", "finish_reason": "length"}]}, {"choices": [], "usage": usage})
            )

    async with server(runtime_folder, answer) as place, client_of(place, model="m") as client:
        health = await client.health()
        assert (health.state, health.model, health.context_length, health.features) == ("ready", "m", 32768, ())
        asked = GenerationRequest(
            (1, 2), stop=("\n",), stop_token_ids=(5,), required_prefix="x", priority=Priority.REPAIR
        )
        chunks = await collect(client, asked)
        assert chunks[-1].usage is not None
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.cached_tokens) == (3, 0)
    standard = {"model", "prompt", "max_tokens", "temperature", "top_p", "stream", "stream_options", "stop"}
    assert set(seen[0]) == standard
    async with server(runtime_folder, answer) as place, client_of(place, model="nano") as client:
        assert (await client.health()).model == "other", "a name that it does not have is not asked for"


async def test_lines_are_cut_at_line_feeds_only(runtime_folder: Path) -> None:
    odd = "a\u2028b\x85c\x0cd"
    raw = json.dumps({"choices": [{"text": odd, "finish_reason": "stop"}]}, ensure_ascii=False).encode()
    data = b": comment\nevent: x\ndata:" + raw + b"\r\n\r\ndata: [DONE]"
    answer = says(http(data, kind="text/event-stream"))
    async with server(runtime_folder, answer) as place, client_of(place, model="m") as client:
        assert text(await collect(client, GenerationRequest("x"))) == odd


async def test_an_event_without_end_is_given_up(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_answers, "_LONGEST_EVENT", 300_000)
    choice = json.dumps({"choices": [{"text": "x" * 200_000, "finish_reason": "stop"}]}).encode()
    async with server(runtime_folder, says(events(choice, b"[DONE]"))) as place, client_of(place, model="m") as client:
        assert len(text(await collect(client, GenerationRequest("x")))) == 200_000

    async def say_on(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ")
        while not writer.is_closing():
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with server(runtime_folder, say_on) as place, client_of(place, model="m") as client:
        with pytest.raises(EngineMismatch, match="without end"):
            await collect(client, GenerationRequest("x"))


async def test_an_engine_of_another_protocol_or_none_is_a_mismatch(runtime_folder: Path) -> None:
    for body, message in (
        (b'{"protocol": 999, "state": "ready", "model": "m"}', "protocol 999"),
        (b'{"hello": "world"}', "protocol None"),
        (b"<html>", "not as an engine"),
        (b"[]", "not as an engine"),
        (b'{"protocol": 1}', "something else"),
    ):
        async with server(runtime_folder, says(http(body))) as place:
            async with client_of(Endpoint(socket=place.socket)) as client:
                with pytest.raises(EngineMismatch, match=message):
                    await client.health()
            (runtime_folder / "s.sock").unlink()
    async with server(runtime_folder, says(b"", models=b'{"data": []}')) as place, client_of(place) as client:
        with pytest.raises(EngineMismatch, match="no models"):
            await client.health()


@pytest.mark.parametrize("url", ["http://[bad", "http://a b/", "http://127.0.0.1:99999"])
async def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises((EngineMismatch, EngineUnreachable)):
        async with client_of(Endpoint(url=url, foreign=True), model="m") as client:
            await client.health()


def test_importing_the_client_and_launch_imports_no_http_and_no_torch() -> None:
    code = (
        "import sys, coderls.engine.client, coderls.engine.launch;"
        "print([m for m in ('httpx', 'torch', 'starlette', 'uvicorn', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_counts_of_drafts_are_read(runtime_folder: Path) -> None:
    details = {"accepted_prediction_tokens": 5, "rejected_prediction_tokens": 2}
    usage = {"prompt_tokens": 7, "completion_tokens": 9, "completion_tokens_details": details}
    data = events({"choices": [{"text": "ok", "finish_reason": "stop"}], "usage": usage}, b"[DONE]")
    async with server(runtime_folder, says(data)) as place, client_of(place, model="m") as client:
        (chunk,) = await collect(client, GenerationRequest("x"))
        assert chunk.usage == Usage(7, 9, 0, 7, 5)


async def test_an_engine_that_leaves_is_told_apart_from_one_that_refuses(runtime_folder: Path) -> None:
    leaving = {"error": {"message": "It leaves.", "code": "leaving"}}
    refusals = http(json.dumps(leaving).encode(), "503 Service Unavailable"), events({"choices": []}, leaving)
    for number, data in enumerate(refusals):
        folder = runtime_folder / str(number)
        folder.mkdir()
        async with server(folder, says(data)) as place, client_of(place, model="m") as client:
            with pytest.raises(EngineLeaving, match="It leaves"):
                await collect(client, GenerationRequest("x"))
    overloaded = http(b'{"error": {"message": "Later.", "code": "unavailable"}}', "503 Service Unavailable")
    async with server(runtime_folder, says(overloaded)) as place, client_of(place, model="m") as client:
        with pytest.raises(RequestRefused, match="Later"):
            await collect(client, GenerationRequest("x"))


async def test_our_engine_is_told_who_asks_and_what_may_come_and_others_are_not(runtime_folder: Path) -> None:
    seen: list[dict[str, object]] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(json.loads(request.partition(b"\r\n\r\n")[2]))
        writer.write(events({"choices": [{"text": "", "finish_reason": "stop"}]}, b"[DONE]"))

    asked = GenerationRequest("x", drafts=("maybe",))
    async with server(runtime_folder, answer) as place:
        for foreign in (True, False, False):
            async with client_of(Endpoint(socket=place.socket, foreign=foreign), model="m") as client:
                await collect(client, asked)
    assert not {"drafts", "user", "priority"} & set(seen[0])
    assert seen[1]["drafts"] == ["maybe"]
    assert seen[1]["user"] != seen[2]["user"], "each client has a name of its own"


async def test_who_names_no_local_text_is_not_asked_again_without_it(runtime_folder: Path) -> None:
    """The status is an ordinary one of HTTP: other engines may use it for something else."""
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(http(b'{"error": {"message": "Not now."}}', "424 Failed Dependency"))

    async with server(runtime_folder, answer) as place, client_of(place, model="m") as client:
        for asked in (GenerationRequest("x"), GenerationRequest("x", local=LocalName())):
            with pytest.raises(RequestRefused, match="Not now"):
                await collect(client, asked)
    assert len(seen) == 2


async def test_long_drafts_are_cut_and_no_reason_to_refuse(unix_engine: Engine) -> None:
    asked = GenerationRequest(PROMPT, drafts=("x" * 20_000, "y" * 20_000, *["z"] * 20))
    async with client_of(Endpoint(socket=unix_engine.socket)) as client:
        assert text(await collect(client, asked)) == "return a + b"


async def test_a_chat_is_asked_and_read_as_its_text(unix_engine: Engine) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Say it: def add(a, b):\n    "))
    async with client_of(Endpoint(socket=unix_engine.socket)) as client:
        chunks = [chunk async for chunk in client.chat(ChatRequest(messages, max_tokens=30, prediction="return a - b"))]
    assert text(chunks) == "return a + b"
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


async def test_a_foreign_chat_engine_gets_standard_fields_only(runtime_folder: Path) -> None:
    seen: list[bytes] = []
    said = events(
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]},
        b"[DONE]",
    )

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        await says(said)(request, writer)

    request = ChatRequest((Message("user", "?"),), n=2, stop=("x",), prediction="no", priority=Priority.BACKGROUND)
    async with server(runtime_folder, answer) as endpoint, client_of(endpoint, model="m") as client:
        assert text([chunk async for chunk in client.chat(request)]) == "yes"
    head, _, body = seen[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions ")
    assert set(json.loads(body)) == {
        *("model", "messages", "max_tokens", "temperature", "top_p", "stream", "stream_options", "n", "stop")
    }
