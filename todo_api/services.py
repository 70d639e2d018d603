"""Whose space a request is about, and the headers that the replies from it share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flask

from todo_api.auth import Identity, TokenIssuer
from todo_api.database import Scopes
from todo_api.errors import AccountsDisabled, Forbidden
from todo_api.guards import Caller

if TYPE_CHECKING:  # the product stands on this module, which names its types alone
    from todo_api.accounts import Passwords
    from todo_api.idempotency import IdempotencyStore
    from todo_api.operations import Readiness
    from todo_api.tasks import CursorSigner

ME = "me"
PRIVATE = {"Cache-Control": "private, no-cache"}
SECRET = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers are given to work with. `issuer` is None where an external one issues the tokens; lifetimes are in seconds."""

    database: Scopes
    signer: CursorSigner
    passwords: Passwords
    replies: IdempotencyStore
    issuer: TokenIssuer | None
    session_lifetime: int
    readiness: Readiness
    metrics: Callable[[], bytes]


def install(app: flask.Flask, parts: Parts) -> None:
    """Hands the parts to the application: its `flask.g` has them from the beginning."""
    globals_class: Any = type("Globals", (app.app_ctx_globals_class,), {"parts": parts})
    app.app_ctx_globals_class = globals_class


def parts() -> Parts:
    """The parts of the application that answers this request."""
    found: Parts = flask.g.parts
    return found


def own_issuer() -> TokenIssuer:
    """The service's own issuer. Raises AccountsDisabled where there is an external one."""
    issuer = parts().issuer
    if issuer is None:
        raise AccountsDisabled
    return issuer


def caller(identity: Identity) -> Caller:
    """What the token stands on: an API key, a session of ours, or nothing but its issuer's word.

    Users of an external issuer get a row with their first write, and so do those whom an operator makes a token for.
    """
    session = identity.session if parts().issuer is not None else None
    return Caller(registered=bool(session or identity.key), key=identity.key, session=session)


def owner(user_id: str, user: str) -> str:
    """The user whose space `user_id` names: the token's, by their id or as `me`. Raises Forbidden for any other, without a look-up."""
    if user_id not in (ME, user):
        raise Forbidden
    return user
