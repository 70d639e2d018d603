"""Database roles that statements run as."""

from typing import NamedTuple

ROLE_PREFIX = "task_api"
"""Default prefix of the roles' names."""


class Roles(NamedTuple):
    """The two roles of a deployment.

    Roles belong to the cluster, so each deployment needs its own.
    """

    user: str
    """Runs statements of a known user. It owns nothing, and sees only the rows of `app.user_id`."""
    login: str
    """Runs statements before a user is known, and those of no user. It sees no task.

    A setting opens one thing to it:

    - `app.email`: the account with this address
    - `app.key_digest`, `app.session`, `app.one_time_token`: the credential with this digest
    - `app.request`: the stored reply to this request
    - `app.purge` is `expired`: what the purge may delete
    - `app.history_days`: history older than so many days
    - `app.operator` is `list`: the users
    - `app.waiting`: the numbers of the users with these ids
    - `app.sender` is `outbox`: the mails to send
    """

    @classmethod
    def named(cls, prefix: str) -> "Roles":
        """Return the roles with this prefix."""
        return cls(f"{prefix}_user", f"{prefix}_login")
