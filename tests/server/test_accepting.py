"""New connections beside many busy ones: how soon they are taken, counted in what the others get meanwhile."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.credentials import SECRET
from tests.support.live import SLACK, Live

BUSY = 400
TURNS = 20
"""Replies that one busy connection may have had before the last of all has had its first: it has one or two."""

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("accepting"), DATABASE_URL=url, JWT_SECRET=SECRET, RATE_LIMIT="off") as service:
        yield service.ready()


class Crowd:
    """Connections that each ask again as soon as they are answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.replies = [0] * BUSY
        self.ended = False

    async def one(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not self.ended:
            await ask(reader, writer)
            self.replies[number] += 1
        writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(LIVE)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    (length,) = (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    await reader.readexactly(length)


def test_any_connection_beside_four_hundred_busy_ones_is_taken_in_a_few_turns(live: Live) -> None:
    async def main() -> tuple[int, int]:
        crowd = Crowd(live.port)
        async with asyncio.timeout(SLACK), asyncio.TaskGroup() as tasks:
            for number in range(BUSY):
                tasks.create_task(crowd.one(number))
            while not all(crowd.replies):
                await asyncio.sleep(0)
            most = max(crowd.replies)
            before = sum(crowd.replies)
            reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
            await ask(reader, writer)
            meanwhile = sum(crowd.replies) - before
            crowd.ended = True
            writer.close()
        return most, meanwhile

    most, meanwhile = asyncio.run(main())
    assert most < TURNS
    assert meanwhile < 5 * BUSY
