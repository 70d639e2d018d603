"""Replies that break off: an error after the reply has begun."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from todo_api.errors import NotFound
from todo_api.http.problems import Problems
from todo_api.http.request_id import RequestIdMiddleware

SCOPE = {"type": "http", "method": "GET", "headers": [(b"content-type", b"application/json")], "state": {}}


class SomethingElse(Exception):
    """A fault of ours."""


@pytest.mark.parametrize("error", [NotFound(), SomethingElse()], ids=["known", "unknown"])
def test_error_after_the_reply_has_begun_goes_on_and_adds_nothing_to_the_reply(error: Exception) -> None:
    """The server then drops the connection, since nobody can take a status back."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def keep(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    with pytest.raises(type(error)):
        asyncio.run(RequestIdMiddleware(Problems(app, lambda _: None))(SCOPE, receive, keep))
    assert [message["type"] for message in sent] == ["http.response.start"]
