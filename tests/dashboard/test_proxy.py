"""Behind a proxy that rewrites the Host header, as nginx does by default: the documented command answers."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.dashboard.serving import ROOT, free_port, running


def documented() -> list[str]:
    """The words of the command in docs/dashboard.md, up to the store."""
    page = (ROOT / "docs" / "dashboard.md").read_text()
    (line,) = [line for line in page.splitlines() if "--server.baseUrlPath" in line]
    return shlex.split(line)[1:]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a dashboard that runs as documented."""
    number, words = free_port(), documented()
    end = words.index("--")
    options = ["--server.port", str(number), "--server.headless", "true"]
    command = [sys.executable, "-m", "streamlit", *words[:end], *options, *words[end:]]
    with running(command, f"http://127.0.0.1:{number}", "/himap/_stcore/health", ROOT):
        yield number


def status(port: int, request: str, *headers: str) -> str:
    """The first line that the server answers to a request which a proxy passes on."""
    lines = [f"{request} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(4096).partition(b"\r\n")[0].decode()


@pytest.mark.parametrize(("origin", "code"), [("https://example.org", "101"), ("https://elsewhere.org", "403")])
def test_the_page_and_its_stream_come_through(port: int, origin: str, code: str) -> None:
    """Without the stream the page stays blank; other sites do not get it."""
    assert "200" in status(port, "GET /himap/")
    upgrade = [
        "Upgrade: websocket",
        "Connection: upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    ]
    assert code in status(port, "GET /himap/_stcore/stream", f"Origin: {origin}", *upgrade)
