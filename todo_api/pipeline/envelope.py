"""What every reply carries, whoever wrote it: the request's id, and the headers that hold for all."""

import re
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")


class Envelope:
    """Gives the request its id, and the reply its `X-Request-ID`; takes the body off the reply to a HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on with its id in the scope's state, and the headers of its reply, for others to add to."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        headers = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
        scope.setdefault("state", {}).update(request_id=request_id, headers=headers)
        is_head = scope["method"] == "HEAD"

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            elif is_head:
                message["body"] = b""
            await send(message)

        await self._app(scope, receive, finish)


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    sent = [value for name, value in headers if name == b"x-request-id"]
    if len(sent) == 1 and _REQUEST_ID.fullmatch(sent[0]):
        return sent[0].decode("ascii")
    return uuid4().hex
