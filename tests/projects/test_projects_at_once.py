"""Writes of a project at once: the later one sees what the earlier one has committed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Client, Reply
from tests.support.processes import SLACK, soon
from tests.support.rows import rows, superuser_url
from tests.support.users import User

PROJECTS = "/api/v1/me/projects"
WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"

WRITES: dict[str, tuple[Callable[[Client, str, dict[str, str]], Reply], list[int]]] = {
    "updateProject": (lambda client, place, fields: client.patch(place, {"name": "New"}, headers=fields), [200, 412]),
    "moveProject": (
        lambda client, place, fields: client.post(f"{place}/move", {"at": "first"}, headers=fields),
        [200, 412],
    ),
    "deleteProject": (lambda client, place, fields: client.delete(place, headers=fields), [204, 404]),
}
"""Conditional writes of a project, each with the statuses of two at once."""


@pytest.mark.parametrize("name", WRITES)
def test_write_of_a_project_twice_at_once_at_its_version_takes_effect_once(user: User, url: str, name: str) -> None:
    write, expected = WRITES[name]
    _, project = (user.client.post(PROJECTS, {"name": name}).json() for name in ("first", "last"))
    place, condition = f"{PROJECTS}/{project['id']}", {"If-Match": f'"{project["version"]}"'}
    with ThreadPoolExecutor(2) as pool, closing(psycopg2.connect(superuser_url(url))) as other:
        other.cursor().execute(f"SELECT FROM users WHERE id = '{user.id}' FOR UPDATE")
        sent = [pool.submit(write, user.client, place, condition) for _ in range(2)]
        assert soon(lambda: rows(url, WAITING) == [(2,)])
        other.rollback()
        assert sorted(each.result(SLACK).status for each in sent) == expected
