"""API keys: made, told, used, bounded and ended. Which scope opens which operation is in test_isolation.py, derived from the contract."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live
from tests.support.locks import somebody_waits
from tests.support.processes import soon
from tests.support.rows import rows, superuser_url
from todo_api.api_keys.secret import make
from todo_api.config import Config
from todo_api.observability import logs

KEYS = "/api/v1/me/keys"
TASKS = "/api/v1/me/tasks"
READER = {"name": "Nightly backup", "scopes": ["tasks:read"]}
ISSUER = "https://auth.example.com"


def create(client: Client, **changes: Any) -> dict[str, Any]:
    """A new key, as it is told once."""
    reply = client.post(KEYS, READER | changes)
    assert reply.status == 201
    return dict(reply.json())


def user_of(client: Client) -> str:
    return str(client.get("/api/v1/me/account").json()["id"])


def refusal(reply: Reply) -> tuple[int, str, str]:
    """Status, code and challenge."""
    return reply.status, reply.code, reply.headers["www-authenticate"]


def invalid(detail: str) -> tuple[int, str, str]:
    challenge = f'Bearer realm="task-api", error="invalid_token", error_description="{detail}"'
    return 401, "unauthorized", challenge


REVOKED = invalid("The API key is unknown or has been revoked.")
EXPIRED = invalid("The API key has expired.")
MALFORMED = invalid("The API key is invalid. Characters are missing or wrong.")


def test_create_api_key_shows_it_once_and_says_where_it_is(ada: Client) -> None:
    reply = ada.post(KEYS, READER)
    key = reply.json()
    assert (reply.status, reply.headers["cache-control"]) == (201, "no-store")
    assert reply.headers["location"] == f"{KEYS}/{key['id']}"
    assert UUID(key["id"]).version == 7
    assert re.fullmatch(r"tdk_[A-Za-z0-9_-]{49}", key["key"])
    told = {"expires_at": None, "last_used_at": None, "hint": key["key"][:10], **READER}
    made = {name: key[name] for name in ("id", "created_at", "key")}
    assert key == told | made
    del key["key"]
    assert ada.get(KEYS).json() == {"items": [key]}


def test_create_api_key_stores_its_digest_and_nothing_of_it_beyond_the_hint(ada: Client, url: str) -> None:
    key = create(ada)
    ((stored,),) = rows(url, f"SELECT to_jsonb(api_keys) FROM api_keys WHERE id = '{key['id']}'")
    assert stored["digest"] == sha256(key["key"].encode()).hexdigest()
    assert key["key"][10:] not in json.dumps(stored)


def test_create_api_key_as_the_users_first_write_is_made(ada: Client) -> None:
    assert ada.get(KEYS).json() == {"items": []}
    assert ada.signed_in(create(ada)["key"]).get(TASKS).json()["items"] == []


def test_create_api_key_twice_makes_different_ones(ada: Client) -> None:
    assert len({create(ada)[name] for name in ("id", "key") for _ in range(2)}) == 4


def test_create_api_key_with_scopes_in_any_order_tells_them_in_one(ada: Client) -> None:
    assert create(ada, scopes=["account", "tasks:write", "tasks:read"])["scopes"] == [
        "tasks:read",
        "tasks:write",
        "account",
    ]


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"name": ""}, ("/name", "pattern")),
        ({"name": "x" * 101}, ("/name", "too_long")),
        ({"name": " \u200b"}, ("/name", "pattern")),
        ({"name": "a\nb"}, ("/name", "pattern")),
        ({"scopes": []}, ("/scopes", "too_few")),
        ({"scopes": ["tasks:read", "tasks:read"]}, ("/scopes", "duplicate")),
        ({"scopes": ["credentials"]}, ("/scopes/0", "not_allowed")),
        ({"scopes": "tasks:read"}, ("/scopes", "wrong_type")),
        ({"expires_at": "1999-12-31T23:59:59Z"}, ("/expires_at", "too_small")),
        ({"expires_at": "2026-02-30T00:00:00Z"}, ("/expires_at", "format")),
        ({"expires_at": "2026-01-01T00:00:00Z"}, ("/expires_at", "too_small")),
        ({"key": "tdk_mine"}, ("/key", "read_only")),
    ],
)
def test_create_api_key_that_breaks_the_contract_is_refused(
    ada: Client, changes: dict[str, Any], violation: tuple[str, str]
) -> None:
    reply = ada.post(KEYS, READER | changes)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert violation in [(error["pointer"], error["code"]) for error in reply.json()["errors"]]
    assert ada.get(KEYS).json() == {"items": []}


def test_list_api_keys_has_the_newest_first_and_no_secret(ada: Client, bob: Client) -> None:
    create(bob)
    made = [create(ada, name=f"Key {number}") for number in range(3)]
    reply = ada.get(KEYS)
    assert reply.headers["cache-control"] == "private, no-cache"
    assert [key["name"] for key in reply.json()["items"]] == ["Key 2", "Key 1", "Key 0"]
    assert [key["key"] for key in made if key["key"] in reply.body.decode()] == []


def test_key_opens_its_users_space_by_me_and_by_id_and_no_other(ada: Client, bob: Client) -> None:
    task = ada.post(TASKS, {"title": "Mine"}).json()
    key = ada.signed_in(create(ada)["key"])
    for user_id in ("me", task["user_id"]):
        assert key.get(f"/api/v1/{user_id}/tasks").json()["items"] == [task]
    assert key.get(f"/api/v1/{user_of(bob)}/tasks").code == "forbidden"


def test_key_sent_with_any_case_of_the_scheme_and_blanks_is_taken(ada: Client) -> None:
    key = create(ada)["key"]
    for field in (f"bearer {key}", f"BEARER   {key} "):
        assert ada.get(TASKS, headers={"Authorization": field}).status == 200


def test_key_sent_elsewhere_is_not_taken(ada: Client, anonymous: Client) -> None:
    key = create(ada)["key"]
    for headers in (
        {"X-API-Key": key},
        {"Cookie": f"key={key}"},
        {"Authorization": key},
        {"Authorization": f"Basic {key}"},
    ):
        assert anonymous.get(TASKS, headers=headers).status == 401
    assert anonymous.get(f"{TASKS}?access_token={key}").status == 401


def test_key_of_an_external_issuers_user_opens_their_space(url: str, new_client: Callable[[Config], Client]) -> None:
    settings = {"jwt_secret": SECRET, "jwt_issuer": ISSUER, "jwt_audience": ("task-api",)}
    external = new_client(Config(database_url=url, **settings))  # type: ignore[arg-type]  # three types of settings
    user = external.signed_in(token("auth0|5f7c8ec7", issuer=ISSUER))
    key = external.signed_in(create(user, scopes=["tasks:write"])["key"])
    assert key.post(TASKS, {"title": "By a script"}).json()["user_id"] == "auth0|5f7c8ec7"


@pytest.mark.parametrize(
    "sent", ["tdk_", "tdk_undefined", f"tdk_{'A' * 49}", f"tdk_{'A' * 5000}", "tdk_\xe9", "tdk_x.y.z", "tdk_' OR true"]
)
def test_list_tasks_with_what_is_no_key_is_refused(anonymous: Client, sent: str) -> None:
    assert refusal(anonymous.signed_in(sent).get(TASKS)) == MALFORMED


def test_list_tasks_with_a_key_that_never_was_is_refused(anonymous: Client) -> None:
    assert refusal(anonymous.signed_in(make()).get(TASKS)) == REVOKED


def test_revoke_api_key_ends_it_with_the_next_request_and_no_other(ada: Client) -> None:
    key, other = create(ada), create(ada)
    used = ada.signed_in(key["key"])
    assert used.get(TASKS).status == 200
    reply = ada.delete(f"{KEYS}/{key['id']}")
    assert (reply.status, reply.body) == (204, b"")
    assert refusal(used.get(TASKS)) == REVOKED
    assert ada.signed_in(other["key"]).get(TASKS).status == 200
    assert [each["id"] for each in ada.get(KEYS).json()["items"]] == [other["id"]]


def test_revoke_api_key_twice_is_not_found(ada: Client) -> None:
    address = f"{KEYS}/{create(ada)['id']}"
    assert [ada.delete(address).status for _ in range(2)] == [204, 404]


def test_revoke_api_key_by_its_secret_is_refused(ada: Client) -> None:
    key = create(ada)["key"]
    reply = ada.delete(f"{KEYS}/{key}")
    assert (reply.status, reply.code, key in reply.body.decode()) == (400, "validation_failed", False)


def test_key_whose_user_is_gone_is_refused(ada: Client, url: str) -> None:
    key = create(ada)["key"]
    rows(url, f"DELETE FROM users WHERE id = '{user_of(ada)}'")
    assert refusal(ada.signed_in(key).get(TASKS)) == REVOKED


def test_key_with_an_end_holds_until_then(ada: Client, url: str) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    key = create(ada, expires_at=f"{end:%Y-%m-%dT%H:%M:%S}Z")
    assert key["expires_at"] == f"{end:%Y-%m-%dT%H:%M:%S}Z"
    used = ada.signed_in(key["key"])
    assert used.get(TASKS).status == 200
    sooner = "created_at = now() - interval '2 days', expires_at = now() - interval '1 second', last_used_at = NULL"
    rows(url, f"UPDATE api_keys SET {sooner} WHERE id = '{key['id']}'")
    assert refusal(used.get(TASKS)) == EXPIRED
    (told,) = ada.get(KEYS).json()["items"]
    assert told["last_used_at"] is None


def test_key_used_tells_when_to_the_minute(ada: Client, url: str) -> None:
    key = create(ada)
    used = ada.signed_in(key["key"])

    def last_use() -> Any:
        return ada.get(KEYS).json()["items"][0]["last_used_at"]

    assert used.get(TASKS).status == 200
    first = last_use()
    assert first > key["created_at"]
    assert used.get(TASKS).status == 200
    assert last_use() == first
    rows(url, f"UPDATE api_keys SET last_used_at = now() - interval '61 seconds' WHERE id = '{key['id']}'")
    assert used.get(TASKS).status == 200
    assert last_use() > first


def test_key_used_notes_the_use_of_no_other(ada: Client) -> None:
    keys = [create(ada, name=f"Key {number}") for number in range(3)]
    assert ada.signed_in(keys[1]["key"]).get(TASKS).status == 200
    listed = {key["name"]: key["last_used_at"] is not None for key in ada.get(KEYS).json()["items"]}
    assert {name: listed[name] for name in ("Key 0", "Key 1", "Key 2")} == {
        "Key 0": False,
        "Key 1": True,
        "Key 2": False,
    }


def fill(url: str, user_id: str, count: int) -> None:
    """Gives a user that many keys."""
    rows(
        url,
        "INSERT INTO api_keys (user_id, id, name, scopes, hint, digest, created_at)"
        f" SELECT '{user_id}', gen_random_uuid(), 'Filler', '{{account}}', 'tdk_filler',"
        " encode(sha256(gen_random_uuid()::text::bytea), 'hex'), now()"
        f" FROM generate_series(1, {count});"
        f" UPDATE users SET api_keys = api_keys + {count} WHERE id = '{user_id}'",
    )


def test_create_api_key_beyond_a_hundred_is_refused_until_one_is_revoked(ada: Client, url: str) -> None:
    last = create(ada)
    fill(url, user_of(ada), 99)
    reply = ada.post(KEYS, READER)
    assert (reply.status, reply.code) == (409, "too_many_keys")
    assert len(ada.get(KEYS).json()["items"]) == 100
    assert ada.delete(f"{KEYS}/{last['id']}").status == 204
    assert [ada.post(KEYS, READER).status for _ in range(2)] == [201, 409]


def test_create_api_key_by_many_at_once_makes_no_more_than_a_hundred(ada: Client, url: str) -> None:
    create(ada)
    fill(url, user_of(ada), 96)
    with ThreadPoolExecutor(12) as pool:
        statuses = Counter(pool.map(lambda _: ada.post(KEYS, READER).status, range(12)))
    assert statuses == {201: 3, 409: 9}
    assert len(ada.get(KEYS).json()["items"]) == 100


def test_revoke_api_key_by_many_at_once_counts_it_once(ada: Client, url: str) -> None:
    address = f"{KEYS}/{create(ada)['id']}"
    create(ada)
    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(lambda _: ada.delete(address).status, range(8)))
    assert statuses == {204: 1, 404: 7}
    assert rows(url, f"SELECT api_keys FROM users WHERE id = '{user_of(ada)}'") == [(1,)]


@contextmanager
def transaction(url: str, statement: str) -> Iterator[None]:
    """A transaction of somebody else's that has done this and does not end."""
    with closing(psycopg2.connect(superuser_url(url))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        yield
        connection.rollback()


def test_key_whose_row_somebody_holds_is_taken_without_waiting(ada: Client, url: str) -> None:
    key = create(ada)
    with transaction(url, f"SELECT FROM api_keys WHERE id = '{key['id']}' FOR UPDATE"):
        assert ada.signed_in(key["key"]).get(TASKS).status == 200


def test_get_task_while_look_ups_of_keys_hang_is_answered(ada: Client, url: str) -> None:
    """Of more made-up keys than there are threads for requests, none keeps a request with a token waiting."""
    task = ada.post(TASKS, {"title": "Not to wait"}).headers["location"]

    def ask() -> int:
        return ada.signed_in(make()).get(TASKS).status

    def answered_meanwhile() -> bool:
        """Whether no look-up had ended before the others were answered: each gives the lock up after seconds."""
        with ThreadPoolExecutor(20) as pool:
            with transaction(url, "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE"):
                looking_up = [pool.submit(ask) for _ in range(20)]
                assert somebody_waits(url)
                assert [ada.get(path).status for path in (task, "/health/ready", task)] == [200] * 3
                all_wait = not any(one.done() for one in looking_up)
            return all_wait and {one.result() for one in looking_up} == {401}

    assert soon(answered_meanwhile)


def test_list_tasks_with_a_key_while_the_database_is_away_is_503(new_client: Callable[[Config], Client]) -> None:
    nowhere = "postgresql://tasks@127.0.0.1:1/tasks"
    reply = new_client(Config(database_url=nowhere, jwt_secret=SECRET)).signed_in(make()).get(TASKS)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")


def test_revoked_key_is_refused_on_the_next_request_by_every_worker(url: str, tmp_path: Path) -> None:
    ada = token("two-workers")
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "LOG_FORMAT": "json"}
    with Live(tmp_path, "--workers", "2", **settings) as service:
        service.ready()
        made = service.request("POST", KEYS, json.dumps(READER).encode(), token=ada).json()

        def asked_of_both(name: str) -> set[tuple[int, int]]:
            """Each worker, and how it answers the key, asked until both have."""
            found: set[tuple[int, int]] = set()
            deadline = time.monotonic() + SLACK
            while len({worker for worker, _ in found}) < 2 and time.monotonic() < deadline:
                for number in range(20):
                    service.request("GET", TASKS, b"", f"X-Request-ID: {name}-{number}", token=made["key"])
                time.sleep(4 * logs.FLUSH_INTERVAL)
                lines = [json.loads(line) for line in service.output().splitlines()]
                of_ours = [line for line in lines if str(line.get("request_id", "")).startswith(name)]
                found = {(line["process"], line["status"]) for line in of_ours}
            return found

        workers = set(service.workers())
        assert asked_of_both("before") == {(worker, 200) for worker in workers}
        assert service.request("DELETE", f"{KEYS}/{made['id']}", token=ada).status == 204
        assert asked_of_both("after") == {(worker, 401) for worker in workers}


def test_create_api_key_with_a_body_too_large_is_413(ada: Client) -> None:
    reply = ada.post(KEYS, {"name": "x" * 70_000, "scopes": ["tasks:read"]})
    assert (reply.status, reply.code) == (413, "payload_too_large")


def test_create_api_key_with_a_body_of_another_type_is_415(ada: Client) -> None:
    reply = ada.request("POST", KEYS, content=b"name=x", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


def test_list_api_keys_with_an_unknown_query_parameter_is_400(ada: Client) -> None:
    reply = ada.get(f"{KEYS}?limit=1")
    assert (reply.status, reply.code) == (400, "validation_failed")
