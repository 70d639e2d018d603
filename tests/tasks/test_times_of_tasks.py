"""Times of tasks as clients read them: whole seconds, or six digits of the second, always in UTC."""

import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create

TIMES = {
    "2026-11-28 19:38:16+00": "2026-11-28T19:38:16Z",
    "2026-11-28 19:38:16.5+00": "2026-11-28T19:38:16.500000Z",
    "2026-11-28 19:38:16.000001+00": "2026-11-28T19:38:16.000001Z",
    "2026-11-28 23:59:59.12345+02": "2026-11-28T21:59:59.123450Z",
    "9999-12-31 23:59:59.999999+00": "9999-12-31T23:59:59.999999Z",
}


@pytest.mark.parametrize("written", TIMES)
def test_get_task_written_at_any_time_is_rfc_3339(ada: Client, direct: str, written: str) -> None:
    task = create(ada, "Buy milk", status="completed")
    names = ("created_at", "updated_at", "completed_at")
    sets = ", ".join(f"{name} = '{written}'" for name in names)
    rows(direct, f"UPDATE tasks SET {sets} WHERE id = '{task['id']}'")
    read = ada.get(f"/api/v1/me/tasks/{task['id']}").json()
    assert read == task | dict.fromkeys(names, TIMES[written])
    assert ada.get("/api/v1/me/tasks").json()["items"] == [read]
