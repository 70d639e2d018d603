"""`todo-api users`, as operators run it beside a service: through the roles of the service, on a real database."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.discretion import RUN
from tests.support.live import refusal, run
from tests.support.locks import somebody_waits
from tests.support.rows import rows, superuser_url
from tests.support.users import User
from todo_api.accounts import administration_statements

TASKS = "/api/v1/me/tasks"
NEW = "a ship in port is safe"
Command = Callable[..., str]


@pytest.fixture
def users(url: str, tmp_path: Path) -> Command:
    """Runs `todo-api users` and returns what it prints."""

    def command(*arguments: str) -> str:
        done = run("users", *arguments, cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return command


@pytest.fixture
def refused(url: str, tmp_path: Path) -> Command:
    """Runs `todo-api users` and returns the line with which it refuses."""
    return lambda *arguments: refusal("users", *arguments, cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)


def test_users_list_has_every_user_in_lines_and_in_json(users: Command, new_account: Callable[[], User]) -> None:
    made = [new_account() for _ in range(2)]
    lines = users("list").splitlines()
    assert lines[0].split() == ["ID", "E-MAIL", "VERIFIED", "CREATED", "NAME"]
    listed = [json.loads(line) for line in users("list", "--json").splitlines()]
    assert [one["id"] for one in listed] == sorted(one["id"] for one in listed)
    assert len(lines) == len(listed) + 1
    for user in made:
        assert [one for one in listed if one["id"] == user.id] == [
            {
                "id": user.id,
                "email": user.email,
                "name": "Ada",
                "created_at": user.client.get("/api/v1/me/account").json()["created_at"],
                "email_verified_at": None,
            }
        ]
        assert any(user.id in line and user.email in line for line in lines)


def test_users_list_of_several_batches_has_each_user_once(users: Command, url: str) -> None:
    many = administration_statements.BATCH + 2
    rows(url, f"INSERT INTO users (id) SELECT 'batch-' || i FROM generate_series(1, {many}) i")
    listed = [json.loads(line)["id"] for line in users("list", "--json").splitlines()]
    assert len({*listed}) == len(listed)
    assert len([one for one in listed if one.startswith("batch-")]) == many


def test_users_show_by_email_in_any_case_and_by_id(users: Command, user: User) -> None:
    user.client.post(TASKS, {"title": "Buy milk"})
    user.client.post("/api/v1/me/keys", {"name": "Mine", "scopes": ["account"]})
    shown = json.loads(users("show", "--json", user.email.upper()))
    assert shown == json.loads(users("show", "--json", user.id))
    kept = {"id": user.id, "email": user.email, "name": "Ada", "tasks": 1, "api_keys": 1, "sessions": 1}
    assert kept.items() <= shown.items()
    lines = users("show", user.id).splitlines()
    assert dict(line.split("  ", 1) for line in lines)["email"].strip() == user.email


def test_users_show_counts_the_sessions_that_have_not_expired(users: Command, url: str, user: User) -> None:
    user.client.signed_in(None).post("/api/v1/auth/token", {"email": user.email, "password": PASSWORD})
    assert json.loads(users("show", "--json", user.id))["sessions"] == 2
    ages = ", ".join(f"{name} = {name} - interval '90 days'" for name in ("created_at", "refreshed_at", "expires_at"))
    rows(url, f"UPDATE sessions SET {ages} WHERE id = (SELECT id FROM sessions WHERE user_id = '{user.id}' LIMIT 1)")
    assert json.loads(users("show", "--json", user.id))["sessions"] == 1


def test_users_show_of_a_name_that_a_terminal_would_act_on_is_harmless(users: Command, url: str, user: User) -> None:
    rows(url, f"UPDATE users SET name = 'Ada' || chr(8238) || 'x' WHERE id = '{user.id}'")
    assert "Ada?x" in users("show", user.id)


def test_users_reset_password_prints_a_token_that_works_once(users: Command, user: User) -> None:
    printed = users("reset-password", user.email).strip()
    RUN.secret("token", printed)
    anonymous = user.client.signed_in(None)
    body = {"token": printed, "new_password": NEW}
    assert [anonymous.post("/api/v1/auth/password-reset", body).status for _ in range(2)] == [200, 400]
    assert anonymous.post("/api/v1/auth/token", {"email": user.email, "password": NEW}).status == 200
    in_json = json.loads(users("reset-password", "--json", user.id))["token"]
    RUN.secret("token", in_json)
    assert anonymous.post("/api/v1/auth/password-reset", body | {"token": in_json}).status == 200


def test_users_reset_password_of_a_user_without_account_is_refused(refused: Command, anonymous: Client) -> None:
    anonymous.signed_in(token("external-user")).post(TASKS, {"title": "Mine"})
    assert refused("reset-password", "external-user").startswith("external-user has no password here")


def test_users_sign_out_ends_sessions_and_on_request_keys(users: Command, user: User) -> None:
    key = user.client.post("/api/v1/me/keys", {"name": "Mine", "scopes": ["account"]}).json()["key"]
    assert users("sign-out", user.email) == "Ended 1 session, and revoked 0 API keys.\n"
    refresh = {"refresh_token": user.tokens["refresh_token"]}
    assert user.client.signed_in(None).post("/api/v1/auth/refresh", refresh).code == "invalid_refresh_token"
    assert user.client.signed_in(key).get("/api/v1/me/account").status == 200
    assert json.loads(users("sign-out", "--revoke-keys", "--json", user.id)) == {"sessions": 0, "api_keys": 1}
    assert user.client.signed_in(key).get("/api/v1/me/account").status == 401


def test_users_sign_out_locks_the_user_before_a_session_as_every_write_does(
    users: Command, url: str, user: User
) -> None:
    with ThreadPoolExecutor(1) as pool, closing(psycopg2.connect(superuser_url(url))) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM users WHERE id = '{user.id}' FOR NO KEY UPDATE")
            signed_out = pool.submit(users, "sign-out", "--revoke-keys", user.id)
            assert somebody_waits(url)
            cursor.execute(f"SELECT 1 FROM sessions WHERE user_id = '{user.id}' FOR UPDATE NOWAIT")
        assert signed_out.result().startswith("Ended 1 session,")


def test_users_delete_says_what_it_would_delete_and_deletes_it_with_yes(
    users: Command, refused: Command, url: str, new_account: Callable[[], User]
) -> None:
    user, other = new_account(), new_account()
    for one in (user, other):
        one.client.post(TASKS, {"title": "Buy milk"})
    line = refused("delete", user.email)
    assert line == f"this deletes {user.id}, with 1 task and 0 API keys, for good: add --yes."
    assert user.client.get(TASKS).json()["total"] == 1
    assert users("delete", user.email, "--yes").startswith(f"Deleted {user.id}")
    assert rows(url, f"SELECT 1 FROM tasks WHERE user_id = '{user.id}'") == []
    assert user.client.post(TASKS, {"title": "Too late"}).status == 401
    assert other.client.get(TASKS).json()["total"] == 1
    assert refused("show", user.email).startswith("there is no such user: ")


@pytest.mark.parametrize("arguments", [("show", "nobody@example.com"), ("delete", "--yes", "' OR true --")])
def test_users_command_of_an_unknown_user_is_refused(
    refused: Command, url: str, user: User, arguments: list[str]
) -> None:
    assert refused(*arguments) == (
        "there is no such user: give an e-mail address or an id, as `todo-api users list` has them."
    )
    assert rows(url, f"SELECT 1 FROM users WHERE id = '{user.id}'") == [(1,)]


def test_users_command_on_a_database_without_tables_is_refused(tmp_path: Path, url: str) -> None:
    name = url.rpartition("/")[2].partition("?")[0]
    line = refusal("users", "list", cwd=tmp_path, DATABASE_URL=url.replace(name, "postgres", 1), JWT_SECRET=SECRET)
    assert line == "the database has no tables yet. Make them: todo-api migrate."


def test_users_verify_notes_the_time_once_and_show_says_it(users: Command, user: User) -> None:
    assert json.loads(users("show", "--json", user.id))["email_verified_at"] is None
    assert users("verify", user.email.upper()) == f"Verified {user.email}.\n"
    noted = json.loads(users("show", "--json", user.id))["email_verified_at"]
    assert noted is not None
    assert json.loads(users("verify", "--json", user.id)) == {"verified": user.email}
    assert json.loads(users("show", "--json", user.id))["email_verified_at"] == noted


def test_users_verify_of_a_user_without_account_is_refused(refused: Command, anonymous: Client) -> None:
    anonymous.signed_in(token("external-too")).post(TASKS, {"title": "Mine"})
    assert refused("verify", "external-too").startswith("external-too has no address here")
