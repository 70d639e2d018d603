"""Requests and replies that break off: a body whose time is over, and an error after the reply has begun."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from todo_api.errors import NotFound, Violation
from todo_api.http.body import Body
from todo_api.http.errors import RequestTimeout
from todo_api.http.problems import Problems

BODY = {"content": {"application/json": {"schema": {"type": "object"}}}}
SCOPE = {"type": "http", "headers": [(b"content-type", b"application/json")], "state": {"request_id": "1"}}


class SomethingElse(Exception):
    """A fault of ours."""


def test_body_whose_last_piece_comes_as_its_time_ends_is_late() -> None:
    """Both are there in one turn of the event loop, and the time was over first."""

    async def read() -> Any:
        loop = asyncio.get_running_loop()
        piece: asyncio.Future[Message] = loop.create_future()

        async def receive() -> Message:
            loop.call_soon(piece.set_result, {"type": "http.request", "body": b"{}"})
            return await piece

        violations: list[Violation] = []
        return await Body(BODY, [], 0, is_patch=False).read(SCOPE, receive, violations)

    with pytest.raises(RequestTimeout):
        asyncio.run(read())


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
        asyncio.run(Problems(app, lambda _: None)(SCOPE, receive, keep))
    assert [message["type"] for message in sent] == ["http.response.start"]
