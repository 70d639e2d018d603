"""Operations on accounts of `openapi/task-api.yaml`, one function each."""

import time
from collections.abc import Iterator
from typing import Any

from todo_api.accounts import recovery, sessions, verification
from todo_api.accounts.export import Export, export
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.accounts.schemas import dump_account, dump_session, load_registration
from todo_api.accounts.service import Account, AccountService, holds, is_there, register, sign_in
from todo_api.accounts.sessions import Session
from todo_api.api_keys import dump_api_key
from todo_api.auth import Identity, TokenIssuer
from todo_api.database import RoleSessions
from todo_api.errors import MailDisabled, StaleToken, ValidationFailed, VerificationDisabled, Violation
from todo_api.etags import is_known, matched_account
from todo_api.history import dump_entry
from todo_api.http import Reply
from todo_api.idempotency import NotKept, idempotent, idempotent_while, session_is_there
from todo_api.projects import dump_project
from todo_api.schemas import dump_json, section
from todo_api.services import PRIVATE, SECRET, address, builtin_issuer, caller, require_owner, services
from todo_api.task_dates import LocalDates
from todo_api.tasks import dump_task
from todo_api.trash import dump_trashed

FRESH = 300
"""Maximum age in seconds of a token that confirms an irreversible operation without a password."""

PIECE = 256 * 1024
"""Bytes of an export that are sent at a time. The next are made when the client has read them."""


def _is_there(database: RoleSessions, body: dict[str, Any] | None, _: object) -> bool:
    return body is None or is_there(database, body["id"])


def _is_signed_in(database: RoleSessions, body: dict[str, Any], arguments: dict[str, Any]) -> bool:
    return holds(database, services().passwords, **arguments["body"], refresh_token=body["refresh_token"])


def _goes_on(database: RoleSessions, body: dict[str, Any], _: object) -> bool:
    return sessions.is_alive(database, body["refresh_token"])


@idempotent_while(_is_there)
def register_account(body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 201 with the new account, 202 if the e-mail address is to be verified."""
    builtin_issuer()
    if services().verifies_email:
        verification.register(database, services().passwords, **load_registration(body))
        return None, 202, SECRET
    account = register(database, services().passwords, **load_registration(body))
    return dump_account(account), 201, SECRET | {"Location": address("/me/account")}


@idempotent_while(_is_signed_in)
def issue_token(body: dict[str, str], *, database: RoleSessions) -> Reply:
    """Return 200 with an access token and a refresh token."""
    issuer = builtin_issuer()
    lifetime, verified = services().session_lifetime, services().verifies_email
    session = sign_in(database, services().passwords, **body, lifetime=lifetime, verified=verified)
    return _tokens(issuer, session), 200, SECRET


@idempotent_while(_goes_on)
def refresh_token(body: dict[str, str], *, database: RoleSessions) -> Reply:
    """Return 200 with an access token and the next refresh token."""
    issuer = builtin_issuer()
    session = sessions.refresh(database, body["refresh_token"], services().session_lifetime)
    return _tokens(issuer, session), 200, SECRET


@idempotent
def sign_out(body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 204."""
    builtin_issuer()
    if not sessions.end(database, body["refresh_token"], body.get("everywhere", False)):
        return NotKept(None, 204, SECRET)
    return None, 204, SECRET


def request_password_reset(body: dict[str, str]) -> Reply:
    """Return 202, whether there is an account or not."""
    builtin_issuer()
    if not services().sends_mail:
        raise MailDisabled
    recovery.request_mail(services().database, body["email"], Purpose.RESET)
    return None, 202, SECRET


@idempotent
def reset_password(body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 200 with the numbers of API keys that remain and that were revoked."""
    builtin_issuer()
    revoke = body.get("revoke_keys", False)
    left = recovery.reset_password(
        database, services().passwords, body["token"], body["new_password"], revoke_keys=revoke
    )
    return left._asdict(), 200, SECRET


def request_email_verification(body: dict[str, str]) -> Reply:
    """Return 202, whether there is an account or not."""
    builtin_issuer()
    if not services().verifies_email:
        raise VerificationDisabled
    recovery.request_mail(services().database, body["email"], Purpose.VERIFY)
    return None, 202, SECRET


@idempotent
def verify_email(body: dict[str, str], *, database: RoleSessions) -> Reply:
    """Return 204."""
    builtin_issuer()
    verification.verify(database, body["token"])
    return None, 204, SECRET


def get_account(user_id: str, identity: Identity, if_none_match: str | None = None) -> Reply:
    """Return 200 with the account, 304 if the client knows it."""
    account = _service(services().database, user_id, identity).get()
    if is_known(if_none_match, account.tag):
        return None, 304, _tagged(account)
    return dump_account(account), 200, _tagged(account)


def update_account(user_id: str, identity: Identity, body: dict[str, Any], if_match: str | None = None) -> Reply:
    """Return 200 with the account, after setting the members of the merge patch.

    With another zone, dates of tasks are at other instants, from the same moment on.
    """
    condition = matched_account(if_match, identity.subject)
    if not body:
        raise ValidationFailed(
            [Violation("body", "", "too_few", "Must have at least 1 of: name, time_zone, week_start.")]
        )
    if "time_zone" not in body:
        account = _service(services().database, user_id, identity).change(body, condition)
    else:
        with services().database.transaction() as transaction:
            account = _service(transaction, user_id, identity).change(body, condition)
            LocalDates(transaction.as_user(account.id), account.id).recompute(account.time_zone)
    return dump_account(account), 200, _tagged(account)


@idempotent_while(session_is_there)
def change_email(
    user_id: str, identity: Identity, body: dict[str, str], if_match: str | None = None, *, database: RoleSessions
) -> Reply:
    """Return 200 with the account."""
    service = _service(database, user_id, identity)
    builtin_issuer()
    condition = matched_account(if_match, identity.subject)
    account = service.change_email(
        services().passwords, body["password"], body["email"], condition, verify=services().verifies_email
    )
    return dump_account(account), 200, _tagged(account)


@idempotent_while(session_is_there)
def change_password(user_id: str, identity: Identity, body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 200 with the numbers of API keys that remain and that were revoked."""
    service = _service(database, user_id, identity)
    builtin_issuer()
    left = service.change_password(
        services().passwords, body["current_password"], body["new_password"], revoke_keys=body.get("revoke_keys", False)
    )
    return left._asdict(), 200, SECRET


def export_account(user_id: str, identity: Identity) -> Reply:
    """Return 200 with everything, sent while it is read."""
    owner = require_owner(user_id, identity.subject)
    found = export(services().database, owner, caller(identity), services().trash_days)
    return _document(found), 200, SECRET | {"Content-Type": "application/json"}


@idempotent
def delete_account(user_id: str, identity: Identity, body: dict[str, str], *, database: RoleSessions) -> Reply:
    """Return 204."""
    service = _service(database, user_id, identity)
    if services().issuer is not None and service.has_password():
        if "password" not in body:
            raise ValidationFailed([Violation("body", "/password", "required", "Is required.")])
        service.delete(services().passwords, body["password"])
    elif time.time() - identity.issued_at > FRESH:
        raise StaleToken
    else:
        service.delete_unasked()
    return None, 204, SECRET


def _document(found: Export) -> Iterator[bytes]:
    """Yield the export in chunks of at most `PIECE` bytes, as large as possible."""
    piece = bytearray()
    for part in _parts_of(found):
        if len(piece) + len(part) > PIECE:
            yield bytes(piece)
            piece.clear()
        piece += part
    yield bytes(piece)


def _parts_of(found: Export) -> Iterator[bytes]:
    """Yield the export in parts no longer than a task."""
    head = {"exported_at": found.exported_at, "account": dump_account(found.account)}
    yield dump_json(head)[:-1]
    if found.sessions is not None and found.keys is not None:
        yield from section(b"sessions", map(dump_session, found.sessions))
        yield from section(b"api_keys", map(dump_api_key, found.keys))
    yield from section(b"projects", map(dump_project, found.projects))
    yield from section(b"tasks", map(dump_task, found.tasks))
    yield from section(b"trash", map(dump_trashed, found.trash))
    yield from section(b"history", map(dump_entry, found.history))
    yield b"}"


def _service(database: RoleSessions, user_id: str, identity: Identity) -> AccountService:
    return AccountService(database, require_owner(user_id, identity.subject), caller(identity))


def _tagged(account: Account) -> dict[str, str]:
    return PRIVATE | {"ETag": account.tag}


def _tokens(issuer: TokenIssuer, session: Session) -> dict[str, Any]:
    return {
        "access_token": issuer.issue(session.user_id, session.id),
        "token_type": "Bearer",
        "expires_in": issuer.lifetime,
        "refresh_token": session.refresh_token,
        "refresh_expires_in": services().session_lifetime,
    }
