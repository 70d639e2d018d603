"""A service that requires verified e-mail addresses, and its mails."""

from collections.abc import Callable
from secrets import token_hex
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.mails import sending
from tests.support.rows import rows
from tests.support.verification import Mails, Work, config, told
from todo_api.accounts.passwords import Passwords
from todo_api.config import Config
from todo_api.database import Database, RoleSession


@pytest.fixture(scope="module")
def service(url: str, new_client: Callable[[Config], Client]) -> Client:
    return new_client(config(url))


@pytest.fixture
def mails(url: str, database: Database) -> Mails:
    rows(url, "DELETE FROM outbox")
    return Mails(url, sending(database))


@pytest.fixture
def email() -> str:
    return f"{token_hex(8)}@example.com"


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Reply]], tuple[Any, Work]]:
    """Returns the reply of a request, and the work it was."""
    done = Work([], [])
    fetch_all, make, verify = RoleSession.fetch_all, Passwords.hash, Passwords.verify

    def fetch(self: RoleSession, statement: Any, parameters: Any) -> Any:
        done.statements.append(self._prefix + statement.sql)
        return fetch_all(self, statement, parameters)

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def count(self: Passwords, *arguments: str) -> Any:
            done.hashing.append(name)
            return method(self, *arguments)

        return count

    monkeypatch.setattr(RoleSession, "fetch_all", fetch)
    monkeypatch.setattr(Passwords, "hash", counted("hash", make))
    monkeypatch.setattr(Passwords, "verify", counted("verify", verify))

    def measure(request: Callable[[], Reply]) -> tuple[Any, Work]:
        done.statements.clear()
        done.hashing.clear()
        reply = request()
        return told(reply), Work([*done.statements], [*done.hashing])

    return measure
