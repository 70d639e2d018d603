"""How the database is connected to: by which options, how long that may take, and how often it is tried."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from sqlalchemy.engine import URL, make_url

from todo_api.errors import Unavailable

CONNECT_TIMEOUT = 2
"""Seconds to wait for a connection, where the URL does not say (`connect_timeout`, of libpq)."""

CONNECT_PAUSE = 0.5
"""Seconds after an attempt to connect that failed, or a database that was silent, before there is another attempt."""

OPTIONS: dict[str, str | int] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "application_name": "task-api",
    # A host that vanishes without a word is given up after seconds, not hours (libpq; without effect on unix sockets).
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
"""libpq's, where the URL does not set them. None reaches the server but `application_name`, which poolers take."""


def engine_url(url: str) -> URL:
    """The URL as SQLAlchemy wants it: `postgres://` is `postgresql://`, and the driver is psycopg2."""
    return make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg2")


def options(url: str) -> dict[str, str | int]:
    """Those of OPTIONS that the URL leaves open."""
    given = engine_url(url).query
    return {name: value for name, value in OPTIONS.items() if name not in given}


class Attempts:
    """Lets threads connect, as many as like; while that fails, one at a time, with a pause after each. The others need not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trouble = False
        self._trying = 0
        self._paused_until = 0.0

    def failed(self) -> None:
        """There was no answer: no more attempts for a while."""
        with self._lock:
            self._trouble = True
            self._paused_until = monotonic() + CONNECT_PAUSE

    @contextmanager
    def one(self) -> Iterator[None]:
        """An attempt. Raises Unavailable where another one has just failed, or is being made."""
        with self._lock:
            if self._trouble and (self._trying or monotonic() < self._paused_until):
                raise Unavailable
            self._trying += 1
        try:
            yield
        except Exception:
            self.failed()
            raise
        else:
            self._trouble = False
        finally:
            with self._lock:
                self._trying -= 1
