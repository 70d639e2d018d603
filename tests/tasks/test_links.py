"""A `Link` that the service wrote is one that it takes, however long what it was asked for."""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from tests.support.credentials import SECRET, token
from tests.support.live import Live
from tests.support.rows import rows

LONGEST = "\U0001f600" * 255
"""As a title, and as a user's id: no character takes more octets."""


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    rows(
        url,
        f"WITH owner AS (INSERT INTO users (id, pending) VALUES ('{LONGEST}', 3) RETURNING id)"
        " INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
        f" SELECT id, gen_random_uuid(), '{LONGEST}', 'pending', now(), now(), n FROM owner, generate_series(1, 3) n"
        " RETURNING 1",
    )
    with Live(tmp_path_factory.mktemp("links"), DATABASE_URL=url, JWT_SECRET=SECRET) as service:
        yield service.ready()


@pytest.mark.parametrize("q", ["\U0001f600" * 200, " ".join(["\U0001f600" * 24] * 8), "%" * 200, ""])
def test_list_tasks_with_the_longest_values_is_walked_by_link(live: Live, q: str) -> None:
    query = {"status": "pending,in_progress,completed,cancelled", "completed": "false", "sort": "-title", "limit": "1"}
    target = f"/api/v1/{quote(LONGEST, safe='')}/tasks?{urlencode(query | ({'q': q} if q else {}))}"
    met = 0
    while True:
        reply = live.request("GET", target, token=token(LONGEST))
        assert reply.status == 200
        met += len(reply.json()["items"])
        if "link" not in reply.headers:
            break
        target = reply.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
        assert len(target) <= 8000
    assert met == (0 if "%" in q else 3)
