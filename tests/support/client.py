"""A client of the service for tests: talks ASGI to it, sends exactly the bytes it is told to, and holds every reply to the contract."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvloop

from tests.support.contract_check import ContractCheck
from tests.support.discretion import RUN

Headers = dict[str, str] | Iterable[tuple[str, str]]


class Reply:
    """A reply. `headers` has the names in lower case, with the last value of each."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.header_list = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        self.headers = dict(self.header_list)
        self.body = body

    @property
    def content(self) -> bytes:
        """The body, without its content coding."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body

    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def code(self) -> str:
        """The code of a problem document."""
        return str(self.json()["code"])


class Client:
    """Requests to one application, from any thread. `token` is sent unless a request says otherwise."""

    def __init__(
        self, app: Any, check: ContractCheck, loop: asyncio.AbstractEventLoop, token: str | None = None
    ) -> None:
        self._app = app
        self._check = check
        self._loop = loop
        self.token = token

    def signed_in(self, token: str | None) -> "Client":
        """The same application, with another token or none."""
        return Client(self._app, self._check, self._loop, token)

    def request(
        self, method: str, path: str, *, json_body: Any = None, content: bytes | None = None, headers: Headers = ()
    ) -> Reply:
        """Sends one request and checks the reply against the contract. `path` is sent as it is, query included."""
        sent = [(name.lower(), value) for name, value in (headers.items() if isinstance(headers, dict) else headers)]
        names = {name for name, _ in sent}
        if json_body is not None:
            content = json.dumps(json_body).encode()
            if "content-type" not in names:
                sent.append(("content-type", "application/json"))
        if self.token is not None and "authorization" not in names:
            sent.append(("authorization", f"Bearer {self.token}"))
        if content is not None and not names & {"content-length", "transfer-encoding"}:
            sent.append(("content-length", str(len(content))))
        reply = asyncio.run_coroutine_threadsafe(self._call(method, path, sent, content or b""), self._loop).result(60)
        RUN.sent(sent, content or b"")
        RUN.received(reply.status, reply.header_list, reply.body)
        self._check.reply(method, path, reply)
        return reply

    def get(self, path: str, **more: Any) -> Reply:
        return self.request("GET", path, **more)

    def post(self, path: str, json_body: Any = None, **more: Any) -> Reply:
        return self.request("POST", path, json_body=json_body, **more)

    def put(self, path: str, json_body: Any = None, **more: Any) -> Reply:
        return self.request("PUT", path, json_body=json_body, **more)

    def patch(self, path: str, json_body: Any = None, **more: Any) -> Reply:
        return self.request("PATCH", path, json_body=json_body, **more)

    def delete(self, path: str, **more: Any) -> Reply:
        return self.request("DELETE", path, **more)

    async def _call(self, method: str, path: str, headers: list[tuple[str, str]], content: bytes) -> Reply:
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": urlsplit(raw_path).path,
            "raw_path": raw_path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        messages = [{"type": "http.request", "body": content, "more_body": False}]
        status, reply_headers, body = 0, [], b""

        async def receive() -> dict[str, Any]:
            if not messages:
                await asyncio.Event().wait()  # it stays until it has the reply
            return messages.pop(0)

        async def send(message: Any) -> None:
            nonlocal status, reply_headers, body
            if message["type"] == "http.response.start":
                status, reply_headers = message["status"], list(message["headers"])
            else:
                body += message.get("body", b"")

        await self._app(scope, receive, send)
        return Reply(status, reply_headers, body)


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = uvloop.new_event_loop()  # that of the service
    thread = threading.Thread(target=loop.run_forever, name="asgi")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
