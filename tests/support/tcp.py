"""The run's PostgreSQL over TCP: it listens on a socket of the file system alone."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from tests.support.databases import database_url, execute
from todo_api.database.connection import engine_url

IP_FREEBIND = 15
"""Linux's, which Python has no name for."""


@contextmanager
def over_tcp(server: str, name: str, address: str) -> Iterator[str]:
    """Make an empty database of this name, and yield its URL at an address of the machine."""
    execute(server, f"CREATE DATABASE {name}")
    url = database_url(server, name)
    place = parse_qs(urlsplit(url).query)["host"][0]
    with Forward(f"{place}/.s.PGSQL.5432", address) as forward:
        threading.Thread(target=forward.serve_forever, args=(0.05,)).start()
        over = engine_url(url).set(drivername="postgresql", host=address, port=forward.server_address[1], query={})
        try:
            yield over.render_as_string(hide_password=False)
        finally:
            forward.shutdown()


class Forwarding(socketserver.BaseRequestHandler):
    """One connection, on to a socket of the file system."""

    def handle(self) -> None:
        """Pours both ways until both have ended."""
        with socket.socket(socket.AF_UNIX) as beyond:
            beyond.connect(self.server.path)
            there = threading.Thread(target=_pour, args=(self.request, beyond))
            there.start()
            _pour(beyond, self.request)
            there.join()


class Forward(socketserver.ThreadingTCPServer):
    """Whatever reaches a port of the address, on to a socket of the file system."""

    def __init__(self, path: str, address: str) -> None:
        """The machine need not have the address yet."""
        super().__init__((address, 0), Forwarding, bind_and_activate=False)
        self.path = path
        self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        self.server_bind()
        self.server_activate()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
