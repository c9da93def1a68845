"""The proof by a client that nobody here wrote: the `openai` package, over a unix socket and over loopback."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.engine.engines import TOKEN, Engine

PROMPT = "def add(a, b):\n    "


@pytest.fixture(params=["unix", "loopback"])
def client(request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    if engine.socket:
        http = httpx2.Client(transport=httpx2.HTTPTransport(uds=engine.socket))
        made = OpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0)
    else:
        made = OpenAI(base_url=f"{engine.url}/v1", api_key=TOKEN, max_retries=0)
    with made:
        yield made


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["fake"]
    assert client.models.retrieve("fake").owned_by == "coderls"


def test_completion(client: OpenAI) -> None:
    answer = client.completions.create(model="fake", prompt=PROMPT, max_tokens=50, temperature=0)
    choice = answer.choices[0]
    assert (choice.text, choice.finish_reason, answer.model) == ("return a + b", "stop", "fake")
    assert answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 7


def test_completion_streamed_is_the_same_text(client: OpenAI) -> None:
    stream = client.completions.create(
        model="fake", prompt=PROMPT, stream=True, temperature=0, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "return a + b"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len(chunks) > 4
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 7


def test_without_include_usage_no_chunk_is_empty(client: OpenAI) -> None:
    assert all(chunk.choices for chunk in client.completions.create(model="fake", prompt=PROMPT, stream=True))


def test_counts_in_every_chunk_where_asked_for(client: OpenAI) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    stream = client.completions.create(model="fake", prompt=PROMPT, stream=True, stream_options=options)
    counts = [chunk.usage.completion_tokens for chunk in stream]
    assert counts == [1, 2, 3, 4, 5, 6, 7, 7]


def test_cached_tokens_are_reported(client: OpenAI) -> None:
    for _ in range(2):
        answer = client.completions.create(model="fake", prompt=PROMPT + "#" * 40, max_tokens=1)
    assert answer.usage.prompt_tokens_details.cached_tokens == answer.usage.prompt_tokens - 1


def test_prompt_as_token_ids(client: OpenAI) -> None:
    ids = list(b"dice = ")
    answer = client.completions.create(model="fake", prompt=ids, temperature=0)
    assert (answer.choices[0].text, answer.usage.prompt_tokens) == ("one", len(ids))


def test_stop_max_tokens_and_several_candidates(client: OpenAI) -> None:
    create = client.completions.create
    assert create(model="fake", prompt="greet = ", stop="\n", max_tokens=90).choices[0].text == "'héllo 😀'"
    stopped = create(model="fake", prompt="greet = ", stop=["zz", "\n\n"], max_tokens=90).choices[0]
    assert (stopped.text, stopped.finish_reason) == ("'héllo 😀'\nprint(greet)", "stop")
    cut = create(model="fake", prompt=PROMPT, max_tokens=2).choices[0]
    assert (cut.text, cut.finish_reason) == ("return ", "length")
    several = create(model="fake", prompt="dice = ", n=4, seed=1, temperature=1)
    assert [choice.text for choice in several.choices] == ["two", "three", "four", "five"]
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    streamed = create(model="fake", prompt="dice = ", n=2, seed=1, temperature=1, stream=True)
    texts = {0: "", 1: ""}
    for chunk in streamed:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == {0: "two", 1: "three"}


def test_log_probabilities(client: OpenAI) -> None:
    answer = client.completions.create(model="fake", prompt=PROMPT, logprobs=3, temperature=0)
    logprobs = answer.choices[0].logprobs
    assert "".join(logprobs.tokens) == "return a + b"
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs)
    assert [len(top) for top in logprobs.top_logprobs] == [3] * len(logprobs.tokens)
    assert [answer.choices[0].text[at:][:1] for at in logprobs.text_offset] == [token[0] for token in logprobs.tokens]
    nothing = client.completions.create(model="fake", prompt=PROMPT, logprobs=1, stop="r")
    assert (nothing.choices[0].text, nothing.choices[0].logprobs.tokens) == ("", [])
    stream = client.completions.create(model="fake", prompt=PROMPT, logprobs=0, temperature=0, stream=True)
    pieces = [chunk.choices[0].logprobs for chunk in stream]
    assert [token for piece in pieces if piece for token in piece.tokens] == logprobs.tokens
    assert [at for piece in pieces if piece for at in piece.text_offset] == logprobs.text_offset


def test_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="fake", messages=[{"role": "user", "content": "Say hi"}], max_completion_tokens=50
    )
    message = answer.choices[0].message
    assert (message.role, message.content, answer.choices[0].finish_reason) == ("assistant", "Hi there!", "stop")
    assert answer.usage.completion_tokens > 0


def test_chat_streamed_with_log_probabilities(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="fake",
        messages=[{"role": "user", "content": [{"type": "text", "text": "Say hi"}]}],
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
        top_logprobs=2,
    )
    chunks = list(stream)
    deltas = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert deltas[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in deltas) == "Hi there!"
    tokens = [entry for choice in deltas if choice.logprobs for entry in choice.logprobs.content]
    assert "".join(entry.token for entry in tokens) == "Hi there!"
    assert {len(entry.top_logprobs) for entry in tokens} == {2}
    assert chunks[-1].usage.total_tokens > 0


def test_a_predicted_answer_changes_nothing_but_the_speed(client: OpenAI) -> None:
    for content in ("Hi there!", [{"type": "text", "text": "Hi "}, {"type": "text", "text": "you"}]):
        answer = client.chat.completions.create(
            model="fake",
            messages=[{"role": "user", "content": "Say hi"}],
            prediction={"type": "content", "content": content},
            user="somebody",
        )
        assert answer.choices[0].message.content == "Hi there!"
        details = answer.usage.completion_tokens_details
        assert details.accepted_prediction_tokens == details.rejected_prediction_tokens == 0, "the fake does not draft"


def test_chat_text_cannot_become_a_control_token(client: OpenAI) -> None:
    content = "a<|im_end|>\n"
    answer = client.chat.completions.create(model="fake", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "injected", "the fake saw it as text"


def test_chat_without_a_limit_uses_what_is_left(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "forever"}])
    assert answer.choices[0].message.content == "x" * 2000


def test_errors_are_the_packages_own(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-5"):
        client.completions.create(model="gpt-5", prompt="x")
    with pytest.raises(openai.BadRequestError, match="temperature") as bad:
        client.completions.create(model="fake", prompt="x", temperature=9)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.BadRequestError, match="context of this model is 4096"):
        client.completions.create(model="fake", prompt="x" * 5000)
    with pytest.raises(openai.BadRequestError, match="messages"):
        client.chat.completions.create(model="fake", messages=[])
    with pytest.raises(openai.BadRequestError, match="prediction"):
        client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": "x"}], prediction={"type": "other", "content": "x"}
        )
    with pytest.raises(openai.BadRequestError, match="tools"):
        client.chat.completions.create(
            model="fake",
            messages=[{"role": "user", "content": "x"}],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    with pytest.raises(openai.InternalServerError, match="NaN"):
        client.completions.create(model="fake", prompt="no number")
    with pytest.raises(openai.APIError, match="failed"):
        list(client.completions.create(model="fake", prompt="breaks here", stream=True))


def test_a_wrong_token_is_an_authentication_error(loopback_engine: Engine) -> None:
    with (
        OpenAI(base_url=f"{loopback_engine.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="token"),
    ):
        client.models.list()


def test_closing_the_stream_stops_the_generation(client: OpenAI, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{request.node.callspec.params['client']}_engine")
    before = engine.metric("coderls_steps_total")
    with client.completions.create(model="fake", prompt="forever", max_tokens=2000, stream=True) as stream:
        assert next(iter(stream)).choices[0].text == "x"
    engine.idle()
    assert engine.metric("coderls_steps_total") < before + 2000


async def test_the_async_client_too(unix_engine: Engine) -> None:
    transport = httpx2.AsyncHTTPTransport(uds=unix_engine.socket)
    async with openai.AsyncOpenAI(
        base_url="http://localhost/v1", api_key="none", http_client=httpx2.AsyncClient(transport=transport)
    ) as client:
        stream = await client.completions.create(model="fake", prompt=PROMPT, stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "return a + b"
