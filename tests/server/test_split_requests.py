"""Requests one behind the other, cut wherever the network may cut them: each gets its own reply, in order."""

import random
import socket
from collections.abc import Iterator

import pytest

from tests.support.credentials import SECRET
from tests.support.live import Live

HOST = b"Host: localhost\r\n"
UPGRADE = b"Upgrade: h2c\r\nConnection: upgrade\r\n"
LIVE = b"/health/live HTTP/1.1\r\n" + HOST
NOWHERE = b" /nowhere HTTP/1.1\r\n" + HOST
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n8\r\n\r\n\r\n\r\n\r\n\r\n3;a=b\r\nGET\r\n0\r\nX: y\r\n\r\n"
REQUESTS = [
    (b"GET " + LIVE + b"\r\n", 200),
    (b"\r\nGET " + LIVE + b"\r\n", 200),
    (b"HEAD " + LIVE + b"\r\n", 200),
    (b"patch " + LIVE + b"\r\n", 405),
    (b"FOO" + NOWHERE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 404),
    (b"POST" + NOWHERE + b"Content-Length: 12\r\n\r\n\r\n\r\n\r\n\r\nGET ", 404),
    (b"POST" + NOWHERE + CHUNKS, 404),
    (b"GET " + LIVE + UPGRADE + b"\r\n", 200),
    (b"POST" + NOWHERE + UPGRADE + b"Content-Length: 4\r\n\r\nGET ", 404),
    (b"POST" + NOWHERE + UPGRADE + CHUNKS, 404),
    (b"GET /api/v1/openapi.json HTTP/1.1\r\n" + HOST + b"\r\n", 200),
]
"""Each with its status. Bodies look like heads, and like the ends of heads."""


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("split"), DATABASE_URL=url, JWT_SECRET=SECRET, RATE_LIMIT="off") as service:
        yield service.ready()
        assert "Traceback" not in service.output()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("longest", [1, 3, 20, 400])
def test_any_requests_cut_anywhere_are_answered_in_order(live: Live, seed: int, longest: int) -> None:
    chance = random.Random(f"{seed} {longest}")  # noqa: S311  # it cuts, and keeps no secret
    chosen = chance.choices(REQUESTS, k=8)
    content = b"".join(request for request, _ in chosen)
    with live.wire() as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while content:
            size = chance.randint(1, longest)
            wire.send(content[:size])
            content = content[size:]
        if seed % 2:
            wire.socket.shutdown(socket.SHUT_WR)
        statuses = [wire.reply("HEAD" if request.startswith(b"HEAD") else "GET").status for request, _ in chosen]
    assert statuses == [status for _, status in chosen]
