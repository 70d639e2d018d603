"""What every reply carries, whoever wrote it: the request's id, and the headers that hold for all."""

import re
from random import getrandbits

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.observability import Exchange, Watcher

SAFE_TYPE = (b"x-content-type-options", b"nosniff")
BY_TOKEN = (b"vary", b"Authorization")
"""`me` is one address for everybody: what a cache keeps of it is for the token alone (RFC 9110, section 12.5.5)."""

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")


class Envelope:
    """Gives the request its id, and the reply its `X-Request-ID`; takes the body off the reply to a HEAD. Tells its watchers."""

    def __init__(self, app: ASGIApp, *, watchers: tuple[Watcher, ...] = ()) -> None:
        self._app = app
        self._watchers = watchers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on with, in the scope's state, its id, its exchange, and the headers of its reply, for others to add to."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, traceparent, has_token = identified(scope["headers"])
        exchange = Exchange(scope["method"], request_id, traceparent, self._watchers)
        headers = [(b"x-request-id", request_id.encode()), SAFE_TYPE, *([BY_TOKEN] if has_token else ())]
        scope.setdefault("state", {}).update(request_id=request_id, headers=headers, exchange=exchange)
        is_head = scope["method"] == "HEAD"

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                if exchange.left:
                    exchange.code = exchange.error = None  # nobody is told
                else:
                    exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *headers]
            elif is_head:
                message["body"] = b""
            await send(message)

        try:
            await self._app(scope, receive, finish)
        finally:
            exchange.end()


def identified(headers: list[tuple[bytes, bytes]]) -> tuple[str, bytes | None, bool]:
    """The request's id, which is made where none was sent, the one `traceparent` that was sent, and whether there is a token."""
    ids: list[bytes] = []
    traces: list[bytes] = []
    has_token = False
    for name, value in headers:
        if name == b"x-request-id":
            ids.append(value)
        elif name == b"traceparent":
            traces.append(value)
        elif name == b"authorization":
            has_token = True
    kept = len(ids) == 1 and _REQUEST_ID.fullmatch(ids[0])
    request_id = ids[0].decode("ascii") if kept else f"{getrandbits(128):032x}"
    return request_id, traces[0] if len(traces) == 1 else None, has_token
