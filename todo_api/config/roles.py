"""The roles of the database that statements run as."""

from typing import NamedTuple

ROLE_PREFIX = "task_api"
"""The first part of the roles' names, unless DATABASE_ROLE_PREFIX says otherwise."""


class Roles(NamedTuple):
    """The two roles of a deployment. Roles belong to the cluster: each deployment in it needs its own."""

    user: str
    """Runs every statement of a known user. Owns nothing, and sees the rows of `app.user_id` alone."""
    login: str
    """Runs what comes before a user is known. Sees the account of `app.email`, the API key of `app.key_digest`, the session of
    `app.session`, the reply of `app.request`, what the purge may delete, and no task."""

    @classmethod
    def named(cls, prefix: str) -> "Roles":
        """Return the roles of the deployment with this prefix."""
        return cls(f"{prefix}_user", f"{prefix}_login")
