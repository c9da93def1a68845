"""`coderls --tcp PORT`: on loopback, one client at a time, until one says `exit`."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from devtools.lsp_client import ServerGone, TcpClient
from tests.server.conftest import eventually, text_of


@pytest.fixture
def server(home: Any) -> Iterator[Any]:
    """A server on a port that the system chose, as (process, port)."""
    import os

    (home.path / "run").mkdir(mode=0o700, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "coderls", "--tcp", "0"],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **home.environment()},
    )
    assert process.stderr is not None
    found = re.search(rb"127\.0\.0\.1:(\d+)", process.stderr.readline())
    assert found
    yield process, int(found[1])
    process.kill()
    process.communicate()


def test_a_whole_session(home: Any, server: Any) -> None:
    process, port = server
    client = TcpClient(port)
    options = {"engine": {"model": str(home.model())}}
    client.initialize(home.path / "work", initializationOptions=options)
    uri = client.open(home.path / "work" / "a.py", "marker = ")
    eventually(lambda: text_of(client.wait(client.inline_request(uri, 0, 9))) == "found", "an answer", 60)
    # A handler sees the document as it was when it was asked, even if the next change came in the same packet.
    client.change(uri, 2, [{"text": "# new\nmarker = "}])
    number = client.inline_request(uri, 1, 9)
    client.change(uri, 3, [{"text": ""}])
    assert text_of(client.wait(number)) is None
    client.call("shutdown")
    client.notify("exit")
    assert process.wait(20) == 0
    client.close()


def test_one_client_at_a_time_and_then_the_next(home: Any, server: Any) -> None:
    process, port = server
    first = TcpClient(port)
    first.initialize(None, initializationOptions={"engine": {"url": "http://127.0.0.1:9"}})
    second = TcpClient(port)
    with pytest.raises(ServerGone):
        second.initialize(None)
    second.close()
    first.close()

    def served() -> bool:
        third = TcpClient(port)
        try:
            third.initialize(None, initializationOptions={"engine": {"url": "http://127.0.0.1:9"}})
        except ServerGone:
            return False  # the first one's session is just being closed
        else:
            third.notify("exit")
            return True
        finally:
            third.close()

    eventually(served, "room for the next client")
    assert process.wait(20) == 1  # `exit` without `shutdown`


def test_only_loopback_is_listened_on(server: Any) -> None:
    import psutil

    process, port = server
    listening = [c.laddr for c in psutil.Process(process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", port)]


def test_a_port_that_is_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        command = [sys.executable, "-m", "coderls", "--tcp", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert f"port {port} cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_page_in_a_browser_is_no_client(home: Any, server: Any) -> None:
    _, port = server
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}'
    with socket.create_connection(("127.0.0.1", port), 20) as page:
        page.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert said_by(page) == b""
    with socket.create_connection(("127.0.0.1", port), 20) as editor:
        editor.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert editor.recv(100).startswith(b"Content-Length")


def said_by(peer: socket.socket) -> bytes:
    """All that comes until the connection ends, in whatever way."""
    said = b""
    with suppress(ConnectionError):
        while piece := peer.recv(1000):
            said += piece
    return said
