"""A proxy between a service and its database. It passes bytes on, until a test makes it slow or cuts it."""

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy.engine import make_url


class Proxy:
    """Listens on a port of its own, and leads to the unix socket of a PostgreSQL. Ended by leaving the `with`."""

    def __init__(self, url: str) -> None:
        """`url` is that of an embedded database."""
        target = make_url(url)
        self.socket_folder = str(target.query["host"])
        """The address of the database behind the proxy."""
        self._socket = f"{self.socket_folder}/.s.PGSQL.{target.query['port']}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._cut: Callable[[bytes], bool] | None = None
        self._after = False
        self.wakes_in = 0.0
        """Seconds that a new connection waits before it is led on."""
        self.cuts = 0
        self.connections = 0
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{target.username}@127.0.0.1:{port}/{target.database}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, marker: bytes, *, after: bool, times: int = 1) -> None:
        """Ends the next connections on which the marker is sent: before it gets there, or `after` the server has answered."""
        self.cuts = 0

        def wanted(content: bytes) -> bool:
            return marker in content and self.cuts < times

        self._cut, self._after = wanted, after

    def drop(self) -> None:
        """Ends all connections, as a database does that goes to sleep."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        time.sleep(self.wakes_in)
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._socket)
            self._open += [client, server]
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if server in ready and not self._pass(server, client):
                    return
                if client in ready:
                    content = client.recv(65536)
                    if not content:
                        return
                    if self._cut is not None and self._cut(content):
                        self.cuts += 1
                        if self._after:
                            server.sendall(content)
                            server.recv(65536)
                        return
                    server.sendall(content)

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> bool:
        content = source.recv(65536)
        target.sendall(content)
        return bool(content)

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()
        self.drop()
