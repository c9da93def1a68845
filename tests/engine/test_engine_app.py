"""The HTTP side on the wire: who may ask, what is refused and how, and that no generation outlives its asker."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import httpx
import pytest

from coderls.engine.api import PROTOCOL_VERSION
from tests.engine.engines import TOKEN, Engine, eventually


def completion(**fields: object) -> dict[str, object]:
    return {"prompt": "def add(a, b):\n    ", "max_tokens": 20, "temperature": 0, **fields}


def refused(engine: Engine, status: int, **fields: object) -> dict[str, object]:
    answer = engine.http.post("/v1/completions", json=completion(**fields))
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text
    return answer.json()["error"]


def test_the_socket_is_for_its_user_only(unix_engine: Engine) -> None:
    assert stat.S_IMODE(Path(unix_engine.socket).stat().st_mode) == 0o600


def test_health_says_what_runs_here(unix_engine: Engine) -> None:
    health = unix_engine.http.get("/health").json()
    assert (health["state"], health["model"], health["protocol"]) == ("ready", "fake", PROTOCOL_VERSION)
    assert (health["context_length"], health["pid"]) == (4096, unix_engine.process.pid)
    assert health["prefill_tokens_per_s"] > 0
    features = {"required_prefix", "priority", "token_ids", "drafts", "exact", "forced", "least_cached", "beginning"}
    assert set(health["features"]) == features


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, -1]}, "prompt"),
        ({"prompt": {"text": "x"}}, "prompt"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"seed": "x"}, "seed"),
        ({"stop": 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 100}, "stop"),
        ({"stop_token_ids": ["a"]}, "stop_token_ids"),
        ({"logprobs": 100}, "logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 3}, "stream_options"),
        ({"priority": 7}, "priority"),
        ({"required_prefix": 1}, "required_prefix"),
        ({"drafts": "text"}, "drafts"),
        ({"drafts": [1]}, "drafts"),
        ({"drafts": ["a"] * 17}, "drafts"),
        ({"drafts": ["a" * 40_000]}, "drafts"),
        ({"user": 3}, "user"),
        ({"model": 3}, "model"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
    ],
)
def test_a_wrong_field_is_refused_by_name(unix_engine: Engine, fields: dict[str, object], param: str) -> None:
    error = refused(unix_engine, 400, **fields)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert param in error["message"]


def test_too_long_a_prompt_is_refused_with_limit_and_count(unix_engine: Engine) -> None:
    message = refused(unix_engine, 400, prompt=[65] * 4090, max_tokens=7)["message"]
    assert "4096" in message
    assert "4090" in message
    assert "outside" not in refused(unix_engine, 400, prompt=[999_999])["message"]


def test_other_models_and_other_pages_are_not_found(unix_engine: Engine) -> None:
    error = refused(unix_engine, 404, model="gpt-5")
    assert error["code"] == "model_not_found"
    assert "'gpt-5'" in error["message"]
    for path, code in (("/v2", None), ("/v1/models/other", "model_not_found")):
        answer = unix_engine.http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)
    assert unix_engine.http.get("/v1/completions").status_code == 405


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'"x"', b'{"prompt": "\xff"}', b'{"prompt": "\\ud83d"}', b"[" * 100_000]
)
def test_a_body_that_is_no_json_object_is_refused(unix_engine: Engine, content: bytes) -> None:
    answer = unix_engine.http.post("/v1/completions", content=content)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_huge_body_is_refused_while_it_is_read(unix_engine: Engine) -> None:
    def parts():
        for _ in range(40):
            yield b" " * (1 << 20)

    try:
        answer = unix_engine.http.post("/v1/completions", content=parts())
    except httpx.WriteError:
        return  # it hung up on us: as good
    assert answer.status_code == 413
    assert "16 MiB" in answer.text


def test_another_protocol_is_told_to_upgrade(unix_engine: Engine) -> None:
    for path in ("/health", "/v1/models"):
        answer = unix_engine.http.get(path, headers={"x-coderls-protocol": "0"})
        assert answer.status_code == 426
        assert f"protocol {PROTOCOL_VERSION}" in answer.json()["error"]["message"]
        good = unix_engine.http.get(path, headers={"x-coderls-protocol": str(PROTOCOL_VERSION)})
        assert (good.status_code, good.headers["x-coderls-protocol"]) == (200, str(PROTOCOL_VERSION))


def test_text_is_never_a_control_token(unix_engine: Engine) -> None:
    plain = unix_engine.http.post("/v1/completions", json=completion(prompt="<|file_sep|>", max_tokens=1)).json()
    assert plain["usage"]["prompt_tokens"] >= len("<|file_sep|>") - 2, "about one token for each letter"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil:80", "[::2]:80"])
def test_on_loopback_another_host_is_refused(loopback_engine: Engine, host: str) -> None:
    answer = loopback_engine.http.get("/health", headers={"host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "[::1]:80", "[::1]", "LOCALHOST"])
def test_on_loopback_this_machine_is_welcome(loopback_engine: Engine, host: str) -> None:
    assert loopback_engine.http.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN])
def test_on_loopback_the_token_is_needed_everywhere(loopback_engine: Engine, header: str) -> None:
    for path in ("/health", "/metrics", "/v1/models", "/nowhere"):
        answer = httpx.get(loopback_engine.url + path, headers={"authorization": header} if header else {})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN not in answer.text


def open_request(engine: Engine, body: dict[str, object]) -> socket.socket:
    """A request over a bare socket, so that the test decides when the connection ends."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(engine.socket)
    data = json.dumps(body).encode()
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
    return connection


@pytest.mark.parametrize("stream", [True, False])
def test_a_dropped_connection_stops_the_generation(unix_engine: Engine, stream: bool) -> None:
    before = unix_engine.metric("coderls_steps_total")
    body = completion(prompt="forever", max_tokens=2000, stream=stream)
    connection = open_request(unix_engine, body)
    eventually(lambda: unix_engine.metric("coderls_steps_total") > before + 5)
    if stream:
        assert b"text/event-stream" in connection.recv(200)
    cancelled = unix_engine.http.get("/metrics").text.count('outcome="cancelled"')
    connection.close()
    unix_engine.idle()
    stopped_at = unix_engine.metric("coderls_steps_total")
    assert stopped_at < before + 2000
    assert unix_engine.http.get("/metrics").text.count('outcome="cancelled"') >= max(1, cancelled)
    answer = unix_engine.http.post("/v1/completions", json=completion(max_tokens=1))
    assert answer.json()["choices"][0]["text"] == "return"
    assert unix_engine.metric("coderls_steps_total") <= stopped_at + 2, "only the new request made steps"


def test_a_connection_dropped_while_it_waits_never_runs(unix_engine: Engine) -> None:
    first = open_request(unix_engine, completion(prompt="forever", max_tokens=2000, stream=True))
    eventually(lambda: unix_engine.metric("coderls_queue") == 1)
    second = open_request(unix_engine, completion(prompt="forever and", max_tokens=2000))
    eventually(lambda: unix_engine.metric("coderls_queue") == 2)
    second.close()
    eventually(lambda: unix_engine.metric("coderls_queue") == 1)
    first.close()
    unix_engine.idle()


def test_a_failure_before_the_first_token_has_a_status_and_a_later_one_an_event(unix_engine: Engine) -> None:
    for stream in (True, False):
        answer = unix_engine.http.post("/v1/completions", json=completion(prompt="no number", stream=stream))
        assert answer.status_code == 500
        assert "NaN" in answer.json()["error"]["message"]
    answer = unix_engine.http.post("/v1/completions", json=completion(prompt="breaks here", stream=True))
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert [event["choices"][0]["text"] for event in events[:-1]] == ["o", "k", "a"]
    assert "failed" in events[-1]["error"]["message"]
    assert "Traceback" not in answer.text
    assert unix_engine.http.get("/health").json()["state"] == "ready"


def test_events_are_ascii_so_that_no_reader_cuts_them(unix_engine: Engine) -> None:
    body = completion(prompt="greet = ", stream=True, stop="\n")
    answer = unix_engine.http.post("/v1/completions", json=body)
    assert answer.content.isascii()
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line and "[DONE]" not in line]
    assert "".join(event["choices"][0]["text"] for event in events) == "'héllo 😀'"


def test_metrics_count_requests_tokens_and_latencies(unix_engine: Engine) -> None:
    names = ("coderls_prompt_tokens_total", "coderls_completion_tokens_total", "coderls_first_token_seconds_count")
    before = [unix_engine.metric(name) for name in names]
    usage = unix_engine.http.post("/v1/completions", json=completion(max_tokens=3)).json()["usage"]
    after = [unix_engine.metric(name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [usage["prompt_tokens"], 3, 1]
    assert unix_engine.metric("coderls_requests_total") > 0
    assert unix_engine.metric("coderls_cached_tokens_total") > 0
