"""A user of the service's own accounts, as tests have one."""

from typing import Any, NamedTuple

from tests.support.client import Client


class User(NamedTuple):
    """A user with an account, signed in."""

    client: Client
    id: str
    email: str
    tokens: dict[str, Any]
