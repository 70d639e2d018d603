"""Clients that send a byte a second."""

import selectors
import socket
import threading
import time
from contextlib import suppress

HEAD = b"GET /api/v1/me/tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 4000


class SlowClients:
    """So many connections, each of which sends a byte of a request a second; one that is closed is opened anew."""

    def __init__(self, port: int, count: int) -> None:
        self.opened = 0
        self._port = port
        self._count = count
        self._going = True
        self._thread = threading.Thread(target=self._work, name="slow clients", daemon=True)

    def __enter__(self) -> "SlowClients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join(10)

    def _open(self, selector: selectors.BaseSelector) -> None:
        with suppress(OSError):
            made = socket.create_connection(("127.0.0.1", self._port), 2)
            made.setblocking(False)
            selector.register(made, selectors.EVENT_READ, [0])
            self.opened += 1

    def _work(self) -> None:
        with selectors.DefaultSelector() as selector:
            while self._going:
                began = time.monotonic()
                while len(selector.get_map()) < self._count and time.monotonic() - began < 1:
                    self._open(selector)
                for key, _ in selector.select(0):
                    selector.unregister(key.fileobj)  # a reply, or the end: it is refused
                    _socket(key).close()
                for key in list(selector.get_map().values()):
                    with suppress(OSError):
                        place = key.data[0]
                        _socket(key).send(HEAD[place : place + 1])
                        key.data[0] += 1
                time.sleep(max(0.0, began + 1 - time.monotonic()))
            for key in list(selector.get_map().values()):
                _socket(key).close()


def _socket(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj
