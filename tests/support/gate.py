"""A proxy between a service and its database that holds a chosen statement until a test lets it through."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

SLACK = 30.0
"""Seconds that anything may take, however slow the machine."""


class Gate:
    """Passes on what a client and a PostgreSQL say, on unix sockets, and counts the client's queries once it is armed.

    The format is that of PostgreSQL's manual, "Message Formats": a type byte, but for the first, and a length that counts itself.
    """

    def __init__(self, folder: Path, url: str) -> None:
        """`url` is that of an embedded database; `folder` is for the socket of the gate."""
        target = make_url(url)
        self.url = target.update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)
        self._server = f"{target.query['host']}/.s.PGSQL.{target.query['port']}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / f".s.PGSQL.{target.query['port']}"))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._left = 0
        self.queries = 0
        """Number of queries since it was armed."""
        self._reached, self._passed = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, number: int) -> None:
        """Holds up the query of that number from now on, the first being 1; with 0 none."""
        self._reached, self._passed = threading.Event(), threading.Event()
        self._left, self.queries = number, 0

    def waits(self, until: Callable[[], bool]) -> bool:
        """Wait until the query is held, or `until` is true. Return whether it is held."""
        deadline = time.monotonic() + SLACK
        while not self._reached.wait(0.001):
            if until():
                return self._reached.is_set()
            assert time.monotonic() < deadline
        return True

    def let_through(self) -> None:
        self._left = 0
        self._passed.set()

    def close(self) -> None:
        self.let_through()
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._open += [client, server]
                threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
                threading.Thread(target=self._queries, args=(client, server), daemon=True).start()

    def _queries(self, client: socket.socket, server: socket.socket) -> None:
        unread, head = b"", 0
        with client, server, suppress(OSError):
            while content := client.recv(65536):
                unread += content
                while len(unread) >= head + 4:
                    size = head + int.from_bytes(unread[head : head + 4])
                    if len(unread) < size:
                        break
                    self._hold_up(is_query=unread[:head] == b"Q")
                    server.sendall(unread[:size])
                    unread, head = unread[size:], 1
            server.shutdown(socket.SHUT_RDWR)

    def _hold_up(self, *, is_query: bool) -> None:
        self.queries += is_query
        if is_query and self._left:
            self._left -= 1
            if not self._left:
                passed = self._passed
                self._reached.set()
                passed.wait(SLACK)

    @staticmethod
    def _answers(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while content := server.recv(65536):
                client.sendall(content)
            client.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
