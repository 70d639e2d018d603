"""A proxy that serves the service under a path, and strips that path from requests."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.live import SLACK

PATH = "/to/tasks"
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: int

    def _pass(self) -> None:
        """Answer what is outside of the path itself, so that an address without it is found out."""
        path = self.path.removeprefix(PATH)
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        if path == self.path or not path.startswith("/"):
            self._answer(421, [], b"outside of the path")
            return
        beyond = http.client.HTTPConnection("127.0.0.1", self.service, timeout=SLACK)
        fields = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        beyond.request(self.command, path, content or None, fields)
        reply = beyond.getresponse()
        body = reply.read()
        self._answer(reply.status, reply.getheaders(), body)
        beyond.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815  # http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def under_a_path(port: int, service: int) -> Iterator[str]:
    """The public URL of the service at that port of the loopback, which the proxy serves at the first port."""
    handler = type("Handler", (_Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}{PATH}"
        finally:
            server.shutdown()
            thread.join()
