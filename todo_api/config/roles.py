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
    """Runs statements before a user is known.

    It sees the account of `app.email`, the API key of `app.key_digest`, the session of
    `app.session`, the one-time token of `app.one_time_token`, the reply of `app.request`, what the
    purge may delete, the list of users if `app.operator` is `list`, the mails to send
    if `app.sender` is `outbox`, and no task.
    """

    @classmethod
    def named(cls, prefix: str) -> "Roles":
        """Return the roles with this prefix."""
        return cls(f"{prefix}_user", f"{prefix}_login")
