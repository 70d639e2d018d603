"""Dependencies of handlers, the check of the path's user, and common headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import flask

from todo_api.auth import Identity, TokenIssuer
from todo_api.database import RoleSessions
from todo_api.errors import AccountsDisabled, Forbidden
from todo_api.guards import Caller
from todo_api.observability import RequestRecord

if TYPE_CHECKING:  # the product imports this module, which needs only its types
    from todo_api.accounts import Passwords
    from todo_api.changes import Waits
    from todo_api.idempotency import IdempotencyStore
    from todo_api.operations import Readiness
    from todo_api.tasks import CursorSigner

ME = "me"
PRIVATE = {"Cache-Control": "private, no-cache"}
SECRET = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Services:
    """Dependencies of handlers. `issuer` is None with an external issuer; lifetimes: seconds.

    `trash_days` is how many days something stays in the trash.
    """

    database: RoleSessions
    public_path: str
    signer: CursorSigner
    passwords: Passwords
    replies: IdempotencyStore
    issuer: TokenIssuer | None
    session_lifetime: int
    trash_days: int
    sends_mail: bool
    verifies_email: bool
    readiness: Readiness
    metrics: Callable[[], bytes]
    waits: Waits


def install_services(app: flask.Flask, services: Services) -> None:
    """Add the dependencies to the application's `flask.g`."""
    globals_class: Any = type("Globals", (app.app_ctx_globals_class,), {"services": services})
    app.app_ctx_globals_class = globals_class


def services() -> Services:
    """Return the dependencies from `flask.g`."""
    found: Services = flask.g.services
    return found


@contextmanager
def using(database: RoleSessions) -> Iterator[None]:
    """Have the request depend on another database, such as a transaction, in the block."""
    found = services()
    flask.g.services = replace(found, database=database)
    try:
        yield
    finally:
        flask.g.services = found


def client_watch() -> Callable[[], bool]:
    """Return a function that returns whether the client of this request may be gone.

    It is, or it has closed its side, which looks the same until a reply is sent.
    """
    record: RequestRecord = flask.g.record
    return lambda: record.client_disconnected or record.input_ended


def builtin_issuer() -> TokenIssuer:
    """Return the built-in issuer. Raise AccountsDisabled if there is an external one."""
    issuer = services().issuer
    if issuer is None:
        raise AccountsDisabled
    return issuer


def caller(identity: Identity) -> Caller:
    """Return the credential of the token: an API key, a session, or none.

    Users of an external issuer, and of an operator's token, get a row with their first write.
    """
    return Caller(registered=bool(identity.session or identity.key), key=identity.key, session=identity.session)


def address(path: str) -> str:
    """Return the address of a resource of the API, under the path of the public URL."""
    return f"{services().public_path}/api/v1{path}"


def address_of(user_id: str, path: str) -> str:
    """Return the address of a resource of a user, who is named as in the path of the request."""
    return address(f"/{user_id if user_id == ME else quote(user_id, safe='')}{path}")


def require_owner(user_id: str, user: str) -> str:
    """Return the user of the path, which must be the token's or `me`. Raise Forbidden."""
    if user_id not in (ME, user):
        raise Forbidden
    return user
