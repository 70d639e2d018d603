"""Two requests at once, the second while the first is held before one of its statements: what tests of interleavings share."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.gate import SLACK, Gate
from tests.support.rows import rows
from todo_api.config import Config

Send = Callable[[], Reply]
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1"


class Pair(NamedTuple):
    """The replies to two requests at once.

    `was_done` is whether the second was done before the first went on: it waited for no lock of the first's.
    """

    first: Reply
    second: Reply
    was_done: bool


@dataclass(frozen=True)
class Stage:
    """A service behind a gate, one beside it, and the database of both."""

    gate: Gate
    gated: Client
    direct: Client
    url: str
    pool: ThreadPoolExecutor

    def pair(self, first: Send, second: Send, number: int) -> Pair | None:
        """Send the second while the first, to the gated service, is before that statement. None: it has fewer."""
        self.gate.arm(number)
        one = self.pool.submit(first)
        if not self.gate.waits(one.done):
            self.gate.let_through()
            one.result()
            return None
        other = self.pool.submit(second)
        self._until_done_or_waiting(other)
        was_done = other.done()
        self.gate.let_through()
        return Pair(one.result(SLACK), other.result(SLACK), was_done)

    def _until_done_or_waiting(self, other: "Future[Reply]") -> None:
        deadline = time.monotonic() + SLACK
        while not wait([other], timeout=0.005).done and not rows(self.url, WAITING):
            assert time.monotonic() < deadline


Kind = TypeVar("Kind", bound=Stage)


@contextmanager
def staged(kind: type[Kind], url: str, new_client: Callable[[Config], Client]) -> Iterator[Kind]:
    """Yield a stage of that kind, which has reached its database."""

    def client(url: str) -> Client:
        return new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", threads=1, queue_limit=60_000))

    with tempfile.TemporaryDirectory() as folder, Gate(Path(folder), url) as gate, ThreadPoolExecutor(2) as pool:
        gated = client(gate.url)
        assert gated.signed_in(token("warm")).get("/api/v1/me/tasks").status == 200  # the connection is there
        yield kind(gate, gated, client(url), url, pool)
