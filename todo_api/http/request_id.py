"""The request's id, and the headers that every reply has."""

import re
from random import getrandbits
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.observability import Observer, RequestRecord

SAFE_TYPE = (b"x-content-type-options", b"nosniff")
BY_TOKEN = (b"vary", b"Authorization")
"""The replies at `me` depend on the token, and so must their caching (RFC 9110, section 12.5.5)."""

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")


class RequestIdMiddleware:
    """Sets the request's id, its record and common headers; removes the body of replies to HEAD."""

    def __init__(self, app: ASGIApp, *, observers: tuple[Observer, ...] = ()) -> None:
        self._app = app
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on. The scope's state has its id, record and reply headers."""
        request_id, traceparent, has_token = read_headers(scope["headers"])
        state = scope.setdefault("state", {})
        read_at = state.get("read_at") or perf_counter()
        record = RequestRecord(scope["method"], request_id, traceparent, self._observers, read_at)
        record.input_ended = state.get("input_ended", False)
        headers = [(b"x-request-id", request_id.encode()), SAFE_TYPE, *([BY_TOKEN] if has_token else ())]
        state.update(request_id=request_id, headers=headers, record=record)
        is_head = scope["method"] == "HEAD"

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.replies = True
                if record.client_disconnected:
                    record.code = record.error = None  # nobody receives the reply
                else:
                    record.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *headers]
            elif is_head:
                message["body"] = b""
            await send(message)

        try:
            await self._app(scope, receive, finish)
        finally:
            record.end()


def read_headers(headers: list[tuple[bytes, bytes]]) -> tuple[str, bytes | None, bool]:
    """Return the request's id, sent or new, its only `traceparent`, and whether it has a token."""
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
