"""The trash in tests: what is in it, and projects to put there."""

from typing import Any

from tests.support.client import Client, Reply
from tests.support.rows import rows

PROJECTS = "/api/v1/me/projects"
TRASH = "/api/v1/me/trash"


def project(client: Client, name: str = "Garden", **members: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.post(PROJECTS, {"name": name, **members}).json()
    return made


def trashed(url: str, user_id: str) -> dict[str, tuple[str, str]]:
    """Return the root of each row in the trash of a user, by its id."""
    found = rows(url, f"SELECT id::text, root_kind, root_id::text FROM trash WHERE user_id = '{user_id}'")
    return {id_: (kind, root) for id_, kind, root in found}


def restore(client: Client, item: dict[str, Any], **more: Any) -> Reply:
    """Bring something back from the trash."""
    return client.post(f"{TRASH}/{item['id']}/restore", **more)
