"""What holds for every operation alike: 503 while the database is away, 500 while it refuses, and replies that a front end may read."""

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.every_operation import FOR_OPERATORS, FOR_USERS, Operation, each
from tests.support.rows import rows
from todo_api.config import Config

ORIGIN = "https://app.example.com"

MAIL: Any = {
    "smtp_url": "smtp://127.0.0.1:1?tls=off",
    "mail_from": "no-reply@example.com",
    "email_verification": "required",
}
"""A mail server, and verified addresses, so that no operation is refused before it asks the database. Nothing is sent."""


@pytest.fixture(scope="module")
def away(new_client: Callable[[Config], Client]) -> Iterator[Client]:
    """A service whose database is nowhere: the port is taken, by what does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://tasks@127.0.0.1:{taken.getsockname()[1]}/tasks"
        yield new_client(Config(database_url=url, jwt_secret=SECRET, **MAIL)).signed_in(token("ada"))


@pytest.fixture(scope="module")
def broken(new_database: Callable[[], str], new_client: Callable[[Config], Client]) -> Client:
    """A service whose roles have lost their rights to every table."""
    url = new_database()
    rows(url, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM task_api_user, task_api_login")
    return new_client(Config(database_url=url, jwt_secret=SECRET, **MAIL)).signed_in(token("ada"))


@pytest.fixture(scope="module")
def front_end(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service that lets the pages of one origin read its replies."""
    config = Config(database_url=url, jwt_secret=SECRET, cors_origins=(ORIGIN,))
    return new_client(config).signed_in(token("ada"))


@each(FOR_USERS)
def test_every_operation_database_away_is_503(away: Client, operation: Operation) -> None:
    reply = operation.call(away)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")


@each(FOR_USERS)
def test_every_operation_statement_refused_is_500_and_says_nothing_of_it(broken: Client, operation: Operation) -> None:
    reply = operation.call(broken)
    assert (reply.status, reply.code) == (500, "internal_error")
    assert not re.search(rb"permission|denied|select|insert|tasks\b.*relation", reply.body, re.IGNORECASE)


@each(FOR_USERS + FOR_OPERATORS)
def test_every_operation_from_an_allowed_origin_may_be_read_there(front_end: Client, operation: Operation) -> None:
    reply = operation.call(front_end, headers={"Origin": ORIGIN})
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in [value for name, value in reply.header_list if name == "vary"]


@each(FOR_OPERATORS)
def test_every_operation_for_operators_unknown_parameter_is_400(anonymous: Client, operation: Operation) -> None:
    reply = anonymous.request(operation.method, f"{operation.path}?verbose=1")
    (violation,) = reply.json()["errors"]
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert (violation["location"], violation["pointer"], violation["code"]) == ("query", "/verbose", "unknown")
