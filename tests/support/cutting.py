"""A network between clients and a service that cuts requests and replies in their middle."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.support.live import SLACK

ALL = 1 << 40
"""More bytes than a request or a reply has."""


class Network:
    """Listens on a port of its own, and leads to the service at `port`. Ended by leaving the `with`."""

    def __init__(self) -> None:
        self.port = 0
        """The port of the service, which may change."""
        self.passing: Callable[[], tuple[int, int]] = lambda: (ALL, ALL)
        """The bytes of requests and of replies that pass on the next connection. With more it is cut."""
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._lead, args=(client, *self.passing()), daemon=True).start()

    def _lead(self, client: socket.socket, requests: int, replies: int) -> None:
        with client, suppress(OSError), self._connected(client) as server:
            upwards = threading.Thread(target=self._pass, args=(client, server, requests), daemon=True)
            upwards.start()
            self._pass(server, client, replies)
            upwards.join()

    def _connected(self, client: socket.socket) -> socket.socket:
        try:
            return socket.create_connection(("127.0.0.1", self.port), SLACK)
        except OSError:
            client.recv(65536)  # as a proxy does, which has read the request when it finds nobody
            raise

    def _pass(self, source: socket.socket, target: socket.socket, most: int) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                target.sendall(content[:most])
                most -= len(content)
                if most < 0:
                    self.cuts += 1
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()
