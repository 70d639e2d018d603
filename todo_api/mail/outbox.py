"""The outbox: a row for each mail that was asked for and is not sent yet.

It has no token: that is made when the mail is sent.
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Text, delete, func, literal_column, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from todo_api.database import Database, RoleSessions, Statement, delete_expired, param
from todo_api.models import outbox

LIFETIME = "1 hour"
"""For how long a mail is tried, as an interval of PostgreSQL's: afterwards nobody waits for it."""

FIRST_PAUSE = "1 minute"
"""Time from the first attempt to the second, as an interval. It doubles with each attempt.

No other sender takes the mail meanwhile, so it is longer than an attempt may take.
"""

_EMAIL = param("email", Text)
_PURPOSE = param("purpose", Text)


class QueuedMail(NamedTuple):
    """A mail that one sender has claimed."""

    email: str
    purpose: str
    attempts: int
    is_too_old: bool


def _queue() -> Statement:
    """Queue a mail, or renew the request for one that waits."""
    soon = func.now() + literal_column(f"interval '{FIRST_PAUSE}'")
    queued = insert(outbox).values(email=_EMAIL, purpose=_PURPOSE, created_at=func.now(), next_attempt_at=func.now())
    return Statement(
        queued.on_conflict_do_update(
            index_elements=[outbox.c.email, outbox.c.purpose],
            set_={"created_at": func.now(), "next_attempt_at": func.least(outbox.c.next_attempt_at, soon)},
        ).returning(outbox.c.email)
    )


def _claim() -> Statement:
    due = (
        select(outbox.c.email, outbox.c.purpose)
        .where(outbox.c.next_attempt_at <= func.now())
        .order_by(outbox.c.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
        .prefix_with("MATERIALIZED")
    )
    pause: ColumnElement[Any] = literal_column(f"interval '{FIRST_PAUSE}'") * func.power(2, outbox.c.attempts)
    return Statement(
        update(outbox)
        .where(tuple_(outbox.c.email, outbox.c.purpose) == tuple_(due.c.email, due.c.purpose))
        .values(attempts=outbox.c.attempts + 1, next_attempt_at=func.now() + pause)
        .returning(
            outbox.c.email,
            outbox.c.purpose,
            outbox.c.attempts,
            outbox.c.created_at < func.now() - literal_column(f"interval '{LIFETIME}'"),
        )
    )


QUEUE = _queue()
CLAIM = _claim()
FINISH = Statement(
    delete(outbox).where(outbox.c.email == _EMAIL, outbox.c.purpose == _PURPOSE).returning(outbox.c.email)
)
PURGE = delete_expired(outbox, outbox.c.next_attempt_at < func.now() - literal_column("interval '1 day'"))


def queue(database: RoleSessions, email: str, purpose: str) -> None:
    """Queue a mail for this address, whether it has an account or not."""
    database.as_login(email).fetch_all(QUEUE, {"email": email, "purpose": purpose})


def claim(database: Database) -> QueuedMail | None:
    """Claim the mail that has waited longest, for one attempt. Return None if none is due."""
    row = database.as_sender().fetch_one(CLAIM, {})
    return None if row is None else QueuedMail._make(row)


def finish(database: Database, mail: QueuedMail) -> None:
    """Delete a mail that was sent, or never will be."""
    database.as_sender().fetch_all(FINISH, {"email": mail.email, "purpose": mail.purpose})


def purge(database: Database) -> int:
    """Delete mails that no sender has taken for a day, a thousand at most. Return how many."""
    ((count,),) = database.as_purge().fetch_all(PURGE, {})
    return int(count)
