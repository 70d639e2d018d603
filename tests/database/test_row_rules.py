"""The database's own rules on rows, behind those of the contract: what breaks one is refused, whoever writes it."""

import psycopg2.errors
import pytest

from tests.support.databases import execute

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
        {"due_date": "'1900-01-01'", "due_zone": "'Etc/GMT+12'", "start_date": "'2199-12-31'"},
        {"position": "'m0000000000000'"},
        {"position": "rpad('m', 250, 'V')"},
        {"priority": "0"},
        {"priority": "4"},
        {"links": "NULL"},
        {"links": """'[{"url": "https://a", "title": null}]'"""},
    ],
)
def test_task_row_within_the_rules_is_written(url: str, values: dict[str, str]) -> None:
    write(url, GOOD_USER, GOOD_TASK | values)


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("task_title_check", {"title": "''"}),
        ("task_title_check", {"title": "repeat('a', 256)"}),
        ("task_title_check", {"title": "E' \\u00a0\\u200b\\ufeff'"}),
        ("task_title_check", {"title": r"E'two\nlines'"}),
        ("task_title_check", {"title": r"E'a\u0085b'"}),
        ("task_description_check", {"description": "repeat('a', 5001)"}),
        ("task_description_check", {"description": r"E'a bell\x07'"}),
        ("task_description_check", {"description": r"E'a\u009fb'"}),
        ("task_date_check", {"due_date": "'1899-12-31'"}),
        ("task_date_check", {"start_date": "'2200-01-01'"}),
        ("time_zone_check", {"due_zone": "'Europe Berlin'"}),
        ("time_zone_check", {"start_zone": "repeat('a', 65)"}),
        ("position_key_check", {"position": "''"}),
        ("position_key_check", {"position": "'m00000000000'"}),
        ("position_key_check", {"position": "'a0000000000000'"}),
        ("position_key_check", {"position": "'m000000000000-'"}),
        ("position_key_check", {"position": "rpad('m', 251, 'V')"}),
        ("task_priority_check", {"priority": "-1"}),
        ("task_priority_check", {"priority": "5"}),
        ("task_links_check", {"links": "'[]'"}),
        ("task_links_check", {"links": "(SELECT jsonb_agg(n) FROM generate_series(1, 21) n)"}),
        ("task_links_check", {"links": "jsonb_build_array(repeat('x', 65536))"}),
        ("tasks_state_check", {"status": "'done'"}),
        ("tasks_state_check", {"status": "'done'", "completed_at": "now()"}),
        ("tasks_state_check", {"status": "'completed'"}),
        ("tasks_state_check", {"completed_at": "now()"}),
        ("tasks_state_check", {"version": "0"}),
    ],
)
def test_task_row_that_breaks_a_rule_is_refused(url: str, rule: str, values: dict[str, str]) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation) as refused:
        write(url, GOOD_USER, GOOD_TASK | values)
    assert refused.value.diag.constraint_name == rule


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("user_id_check", {"id": "''"}),
        ("user_id_check", {"id": f"'{'a' * 256}'"}),
        ("time_zone_check", {"time_zone": "''"}),
        ("week_day_check", {"week_start": "'someday'"}),
        ("user_name_check", {"name": "''"}),
        ("user_name_check", {"name": "repeat('a', 201)"}),
    ],
)
def test_user_row_that_breaks_a_rule_is_refused(url: str, rule: str, values: dict[str, str]) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation) as refused:
        write(url, GOOD_USER | values, GOOD_TASK)
    assert refused.value.diag.constraint_name == rule


@pytest.mark.parametrize("name", ["'a,b'", "'.'", "'..'", "''", "repeat('a', 61)", "E'a\\nb'", "E'\\u200b'"])
def test_name_of_a_label_that_breaks_a_rule_is_refused(url: str, name: str) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation) as refused:
        execute(url, f"SELECT {name}::label_name")
    assert refused.value.diag.constraint_name == "label_name_check"


@pytest.mark.parametrize("name", ["'a'", "'...'", "'. .'", "'a.'", "repeat('ä', 60)"])
def test_name_of_a_label_within_the_rules_is_taken(url: str, name: str) -> None:
    assert execute(url, f"SELECT {name}::label_name = {name}") == [(True,)]


def test_changed_row_that_breaks_a_rule_is_refused(url: str) -> None:
    """A domain is asked where its column is given a value: in a change as well."""
    for change in ("users SET name = ''", "users SET id = ''", "tasks SET title = ''", "tasks SET status = 'done'"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            execute(
                url,
                f"""BEGIN; SET LOCAL ROLE task_api_user; SET LOCAL app.user_id = 'ada';
                INSERT INTO users (id) VALUES ('ada');
                INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)
                VALUES ('ada', gen_random_uuid(), 'Buy milk', 'pending', now(), now(), 1);
                UPDATE {change};
                ROLLBACK""",
            )


def test_constraints_of_tables_hold_for_what_is_there(url: str) -> None:
    """Those of domains are not marked so: what was there when they came had met the same rules before (0009)."""
    found = execute(
        url,
        "SELECT conname FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND NOT convalidated AND contypid = 0",
    )
    assert found == []
