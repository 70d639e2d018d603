"""Clients that ask without a pause while a service stops, starts or changes its workers."""

import socket
import threading
import time

from tests.support.live import SLACK, Wire
from tests.support.processes import soon

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def live(wire: Wire) -> tuple[int, bool]:
    """The status of a reply on an open connection, and whether that stays open."""
    wire.send(LIVE)
    reply = wire.reply()
    return reply.status, reply.headers.get("connection") != "close"


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:  # refused, or reset on its way
        return True
    return False


class Callers:
    """Clients that ask without a pause, on connections that they keep; each reply's status, or what came instead."""

    def __init__(self, port: int, count: int = 4) -> None:
        self.seen: list[int | str] = []
        self._port = port
        self._going = True
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        wire = Wire(self._port)
        while self._going:
            try:
                wire.send(LIVE)
                reply = wire.reply()
                self.seen.append(reply.status)
                ended = reply.headers.get("connection") == "close"
            except OSError as error:
                self.seen.append(repr(error))
                ended = True
            if ended:
                wire.socket.close()
                wire = Wire(self._port)
            time.sleep(0.005)
        wire.socket.close()

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        assert soon(lambda: len(self.seen) > 20)
        return self

    def __exit__(self, *_: object) -> None:
        before = len(self.seen)
        assert soon(lambda: len(self.seen) > before + 20)
        self._going = False
        for thread in self._threads:
            thread.join(SLACK)
        assert set(self.seen) == {200}
