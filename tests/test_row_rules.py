"""The database's own rules on rows, behind those of the contract: what breaks one is refused, whoever writes it."""

import psycopg2.errors
import pytest

from tests.conftest import execute

GOOD_TASK = {
    "title": "'Buy milk'",
    "description": "NULL",
    "status": "'pending'",
    "completed_at": "NULL",
    "version": "1",
}
GOOD_USER = {"id": "'ada'", "name": "NULL"}


def write(url: str, user: dict[str, str], task: dict[str, str]) -> None:
    """A user and a task of theirs, written as the service's role and undone again."""
    columns = ", ".join(task)
    execute(
        url,
        f"""BEGIN; SET LOCAL ROLE task_api_user; SET LOCAL app.user_id = {user["id"]};
        INSERT INTO users ({", ".join(user)}) VALUES ({", ".join(user.values())});
        INSERT INTO tasks (user_id, id, created_at, updated_at, {columns})
        SELECT {user["id"]}, gen_random_uuid(), now(), now(), {", ".join(task.values())};
        ROLLBACK""",
    )


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"title": "repeat('ä', 255)"},
        {"description": "repeat('ä', 5000)"},
        {"description": r"E'two\n\tlines\r'"},
        {"status": "'completed'", "completed_at": "now()"},
        {"status": "'cancelled'"},
    ],
)
def test_task_row_within_the_rules_is_written(url: str, values: dict[str, str]) -> None:
    write(url, GOOD_USER, GOOD_TASK | values)


@pytest.mark.parametrize(
    "values",
    [
        {"title": "''"},
        {"title": "repeat('a', 256)"},
        {"title": "E' \\u00a0\\u200b\\ufeff'"},
        {"title": r"E'two\nlines'"},
        {"title": r"E'a\u0085b'"},
        {"description": "repeat('a', 5001)"},
        {"description": r"E'a bell\x07'"},
        {"description": r"E'a\u009fb'"},
        {"status": "'done'"},
        {"status": "'completed'"},
        {"completed_at": "now()"},
        {"version": "0"},
    ],
)
def test_task_row_that_breaks_a_rule_is_refused(url: str, values: dict[str, str]) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation) as refused:
        write(url, GOOD_USER, GOOD_TASK | values)
    assert refused.value.diag.constraint_name == "tasks_valid_check"


@pytest.mark.parametrize("values", [{"id": f"'{'a' * 256}'"}, {"name": "''"}, {"name": "repeat('a', 201)"}])
def test_user_row_that_breaks_a_rule_is_refused(url: str, values: dict[str, str]) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation) as refused:
        write(url, GOOD_USER | values, GOOD_TASK)
    assert refused.value.diag.constraint_name == "users_valid_check"


def test_row_rules_hold_for_what_is_there(url: str) -> None:
    found = execute(
        url, "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND NOT convalidated"
    )
    assert found == []
