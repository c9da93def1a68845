"""The whole engine with the embedded model: real tensors behind the `openai` package."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI

from coderls.tokenizer import Tokenizer
from tests.engine.engines import Engine, answers, eventually, start_engine, stop, unix_http

pytestmark = pytest.mark.nano

PREFIX = "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    "


@pytest.fixture(scope="module")
def engine(nano_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="cl-", dir="/tmp") as folder:
        path = Path(folder) / "e.sock"
        log = tmp_path_factory.mktemp("log") / "engine.log"
        process = start_engine("--model", nano_dir, "--socket", path, "--threads", 2, log=log)
        with unix_http(path) as http:
            eventually(lambda: answers(http), within_s=100)
            yield Engine(process, http, socket=str(path))
        stop(process)


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[OpenAI]:
    transport = httpx2.HTTPTransport(uds=engine.socket)
    http = httpx2.Client(transport=transport)
    with OpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def model(client: OpenAI) -> str:
    return client.models.list().data[0].id


@pytest.fixture(scope="module")
def tokenizer(nano_dir: Path) -> Tokenizer:
    return Tokenizer.from_file(nano_dir / "tokenizer.json")


def test_its_speed_was_measured(engine: Engine) -> None:
    health = engine.http.get("/health").json()
    assert health["prefill_tokens_per_s"] > 10
    assert health["context_length"] >= 2048


def test_a_completion_whole_streamed_and_from_the_cache_is_the_same(client: OpenAI, model: str) -> None:
    options = {"model": model, "prompt": PREFIX + "return", "max_tokens": 16, "temperature": 0, "stop": "\n"}
    first = client.completions.create(**options)
    again = client.completions.create(**options)
    stream = client.completions.create(**options, stream=True)
    assert first.choices[0].text == " a - b"
    assert again.choices[0].text == first.choices[0].text
    assert "".join(chunk.choices[0].text for chunk in stream) == first.choices[0].text
    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens - 1


def test_text_and_token_ids_are_the_same_prompt(client: OpenAI, model: str, tokenizer: Tokenizer) -> None:
    options = {"model": model, "max_tokens": 8, "temperature": 0}
    text = client.completions.create(prompt=PREFIX, **options)
    ids = client.completions.create(prompt=tokenizer.encode(PREFIX), **options)
    assert (text.choices[0].text, text.usage.prompt_tokens) == (ids.choices[0].text, ids.usage.prompt_tokens)


def test_token_healing_goes_on_inside_of_a_word(client: OpenAI, model: str, tokenizer: Tokenizer) -> None:
    for typed in ("ret", "return a -"):
        ids = tokenizer.encode(PREFIX + typed)
        kept, taken_back = ids[:-1], tokenizer.decode(ids[-1:])
        answer = client.completions.create(
            model=model,
            prompt=kept,
            max_tokens=16,
            temperature=0,
            stop="\n",
            extra_body={"required_prefix": taken_back},
        )
        assert typed + answer.choices[0].text == "return a - b"


def test_sampling_is_repeatable_by_its_seed_and_candidates_differ(client: OpenAI, model: str) -> None:
    options = {"model": model, "prompt": "import ", "max_tokens": 4, "temperature": 1.0, "n": 3}
    client.completions.create(**options)  # from here on all but one token of the prompt come from the cache
    first = [choice.text for choice in client.completions.create(**options, seed=7).choices]
    again = [choice.text for choice in client.completions.create(**options, seed=7).choices]
    assert first == again
    assert len(set(first)) > 1


def test_exact_requests_give_the_same_numbers_whatever_was_asked_before(
    engine: Engine, model: str, tokenizer: Tokenizer
) -> None:
    """To the last bit, in an engine whose cache knows the prompt in another way, and that does other things."""
    prompt = tokenizer.encode(PREFIX * 12)

    def ask(ids: list[int], **options: object) -> list[object]:
        body = {"model": model, "prompt": ids, "max_tokens": 12, "logprobs": 0, "temperature": 0, **options}
        choice = engine.http.post("/v1/completions", json=body).json()["choices"][0]
        return [choice["text"], choice["token_ids"], choice["logprobs"]["token_logprobs"]]

    draws = [{"temperature": 0}, {"temperature": 0.9, "seed": 1}, {"temperature": 0.9, "seed": 2}]
    first = [ask(prompt, exact=True, **draw) for draw in draws]
    for size in (40, 90, len(prompt) - 3):
        ask(prompt[:size])
    ask(prompt, drafts=["return a - b\n"])
    with ThreadPoolExecutor(4) as pool:
        beside = [pool.submit(ask, prompt[: 20 * size]) for size in range(1, 4)]
        again = [ask(prompt, exact=True, **draw) for draw in draws]
        assert all(future.result() for future in beside)
    assert again == first
    assert first[0] != first[1]


def test_forced_tokens_have_the_log_probabilities_that_they_had_when_they_were_chosen(
    client: OpenAI, engine: Engine, model: str, tokenizer: Tokenizer
) -> None:
    body = {"model": model, "prompt": PREFIX, "max_tokens": 8, "logprobs": 0, "temperature": 0}
    chosen = engine.http.post("/v1/completions", json=body).json()["choices"][0]
    forced = engine.http.post("/v1/completions", json={**body, "forced": chosen["token_ids"]}).json()["choices"][0]
    assert forced["token_ids"] == chosen["token_ids"]
    pairs = zip(forced["logprobs"]["token_logprobs"], chosen["logprobs"]["token_logprobs"], strict=True)
    assert all(abs(left - right) < 0.05 for left, right in pairs)
    other = tokenizer.encode("zebra zebra zebra")
    unlikely = engine.http.post("/v1/completions", json={**body, "forced": other}).json()["choices"][0]
    assert unlikely["token_ids"] == other
    assert sum(unlikely["logprobs"]["token_logprobs"]) / len(other) < -3


def test_log_probabilities_are_those_of_a_distribution(client: OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt=PREFIX + "return", max_tokens=6, temperature=0, logprobs=5)
    logprobs = answer.choices[0].logprobs
    assert all(value <= 0 for value in logprobs.token_logprobs)
    for token, value, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert top[token] == pytest.approx(value, abs=1e-4), "greedy takes the likeliest"
        assert value == pytest.approx(max(top.values()), abs=1e-4)


def test_a_long_prompt_runs_in_chunks_and_can_be_dropped(engine: Engine, client: OpenAI, model: str) -> None:
    prompt = "".join(f"value_{number} = {number}\n" for number in range(200))
    before = engine.metric("coderls_steps_total")
    answer = client.completions.create(model=model, prompt=prompt, max_tokens=1, temperature=0)
    assert answer.usage.prompt_tokens > 1000  # a prompt that nobody waits behind has long chunks
    assert engine.metric("coderls_steps_total") > before + 1
    with client.completions.create(model=model, prompt=PREFIX + "return", max_tokens=1000, stream=True) as stream:
        next(iter(stream))
    engine.idle()
    assert engine.metric("coderls_completion_tokens_total") < before + 1000


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc, where processor time can be read")
def test_it_does_nothing_while_nobody_asks(engine: Engine, client: OpenAI, model: str) -> None:
    client.completions.create(model=model, prompt=PREFIX, max_tokens=8, temperature=0)
    engine.idle()

    def used() -> float:
        """Processor seconds of all its threads."""
        fields = Path(f"/proc/{engine.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rests() -> bool:
        before = used()
        time.sleep(1.0)  # nothing else can be waited for: it is the absence of work that counts
        return used() - before <= 0.05

    eventually(rests, within_s=20)
    assert rests()


def test_chat(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say hello."}], max_tokens=4, temperature=0
    )
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
