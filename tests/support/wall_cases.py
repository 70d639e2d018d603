"""Cases of the tests of the first wall: what users do, by operation, with every form of a statement."""

from collections.abc import Callable
from itertools import chain, combinations
from typing import Any

import pytest

from tests.support import cases_by_tag, project_cases, subtask_cases
from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.look_alikes import THEIR_KEY, THEIR_TASK, Ask, World, tags
from todo_api import contract
from todo_api.accounts import session_statements
from todo_api.auth.tokens import TokenIssuer
from todo_api.idempotency import statements as kept
from todo_api.models import KEY_SCOPES, MOST_PROJECTS, STATUSES

TASKS = "/api/v1/me/tasks"
KEYS = "/api/v1/me/keys"
ACCOUNT = "/api/v1/me/account"
AUTH = "/api/v1/auth"
EMAIL = "mine@example.com"
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}
FIELDS = {"title": "Buy oats", "description": "Two bags.", "status": "in_progress"}
LATER_FIELDS = {
    "priority": "high",
    "links": [{"url": "https://oats.example/", "title": None}],
    "due": {"date": "2026-11-20"},
}
"""Members that came after 1.0: a statement has one part for all of them."""
SORTS = contract.load(contract.TASK_API)["components"]["schemas"]["TaskSort"]["enum"]

Case = Callable[[Ask, "Mine"], object]
CASES: dict[str, Case] = {}
VERIFYING = {"register_to_verify", "request_email_verification", "verify_email"}
"""Cases of a service that requires verified e-mail addresses."""


class Mine:
    """The world of the cases: tokens by their user, and ids of what each user has."""

    def __init__(self) -> None:
        self.tokens: dict[str, str | None] = {"nobody": None}
        self.refresh: list[str] = []
        self.tasks: dict[str, list[str]] = {}
        self.projects: dict[str, list[str]] = {}
        self.trees: dict[str, list[str]] = {}
        self.key = ""
        self.one_time = [f"tdo_{letter * 43}" for letter in "abc"]

    def task(self, status: str) -> str:
        """The address of a task that the account has, under an id that others have as well."""
        return f"{TASKS}/{self.tasks[status][0]}"


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def powerset(values: Any) -> list[Any]:
    return [*chain.from_iterable(combinations(values, size) for size in range(len(values) + 1))]


@case
def create(ask: Ask, mine: Mine) -> None:
    for status in STATUSES:
        for who in ("account", f"operator-{status}", f"operator-{status}", f"newcomer-{status}", "key"):
            for more in ({}, {"priority": "high"}):
                ask(who, "POST", TASKS, {"title": "Buy milk", "description": None, "status": status, **more})


@case
def create_with_ids(ask: Ask, mine: Mine) -> None:
    for number, status in enumerate(STATUSES):
        for who in ("account", "operator", f"newcomer-{status}", "key"):
            for id_ in (THEIR_TASK, mine.tasks[status][0], f"01932c07-9f7a-7c1d-b6a1-00000000010{number}", None):
                fields = LATER_FIELDS if id_ is None else {"id": id_, **LATER_FIELDS}
                ask(who, "POST", TASKS, {"title": "Buy milk", "status": status, **fields})


@case
def get(ask: Ask, mine: Mine) -> None:
    for who in ("account", "key", "operator"):
        for address in (mine.task("pending"), f"{TASKS}/{THEIR_TASK}"):
            tag = ask(who, "GET", address).headers.get("etag", '"0"')
            ask(who, "GET", address, **{"If-None-Match": tag})


def _writes(method: str, below: str, bodies: list[Any]) -> Case:
    def write(ask: Ask, mine: Mine) -> None:
        for body in bodies:
            for status in STATUSES:
                first, second = (f"{TASKS}/{id_}" for id_ in mine.tasks[status][:2])
                for condition in [*tags(ask("account", "GET", first))]:
                    ask("account", method, first + below, body, **condition)
                for condition in [*tags(ask("key", "GET", second))]:
                    ask("key", method, second + below, body, **condition)
                ask("account", method, second + below, body)
            for condition in ({}, {"If-Match": "*"}, {"If-Match": '"1"'}):
                ask("account", method, f"{TASKS}/{THEIR_TASK}{below}", body, **condition)
                ask("operator", method, f"{TASKS}/{THEIR_TASK}{below}", body, **condition)
                ask("key", method, f"{TASKS}/{THEIR_TASK}{below}", body, **condition)

    return write


CASES |= {
    f"patch {' and '.join(names)}": _writes("PATCH", "", [{name: FIELDS[name] for name in names}])
    for names in powerset(FIELDS)[1:]
}


@case
def patch_later_members(ask: Ask, mine: Mine) -> None:
    for names in powerset(FIELDS):
        body = {name: FIELDS[name] for name in names} | LATER_FIELDS
        without_dates = {name: value for name, value in body.items() if name != "due"}
        for who, number in (("account", 0), ("key", 1)):
            address = f"{TASKS}/{mine.tasks['pending'][number]}"
            for condition in [*tags(ask("account", "GET", address))]:
                ask(who, "PATCH", address, without_dates, **condition)
            ask(who, "PATCH", address, body)
            ask(who, "PATCH", f"{TASKS}/{THEIR_TASK}", body)


CASES |= {f"complete {body}": _writes("PATCH", "/complete", [body]) for body in (None, {"completed": True})}
CASES["reopen"] = _writes("PATCH", "/complete", [{"completed": False}])
CASES["replace"] = _writes("PUT", "", [FIELDS, {"title": "Buy oats", "status": "completed"}])
CASES |= cases_by_tag.CASES
CASES["move"] = _writes(
    "POST", "/move", [{"at": "first"}, {"at": "last"}, {"before": THEIR_TASK}, {"after": THEIR_TASK}]
)
CASES["delete"] = _writes("DELETE", "", [None])


def _list(sort: str) -> Case:
    def read(ask: Ask, mine: Mine) -> None:
        for filters in ("", "status=pending", "status=in_progress,completed", "status=completed&completed=false"):
            further = [*project_cases.further_filters(mine), *subtask_cases.further_filters(mine)]
            for more in ("", "&q=milk", *(further if sort == SORTS[0] else ())):
                query = f"{TASKS}?{filters}{more}&sort={sort}&limit=1".replace("?&", "?")
                page = ask("account", "GET", query)
                ask("account", "GET", f"{query}&skip=1")
                ask("account", "GET", query, **{"If-None-Match": page.headers["etag"]})
                long = query.replace("limit=1", "limit=1000")
                ask("key", "GET", long)
                if page.json()["next_cursor"]:
                    for one in (query, long):
                        ask("account", "GET", f"{one}&cursor={page.json()['next_cursor']}")
        ask("newcomer-list", "GET", f"{TASKS}?sort={sort}")

    return read


CASES |= {f"list {sort}": _list(sort) for sort in SORTS}


@case
def account(ask: Ask, mine: Mine) -> None:
    for who in ("account", "key", "operator", "newcomer-account"):
        ask(who, "GET", ACCOUNT)
    ask("account", "GET", ACCOUNT, **{"If-None-Match": ask("account", "GET", ACCOUNT).headers["etag"]})


@case
def rename(ask: Ask, mine: Mine) -> None:
    for who in ("account", "key", "operator", "newcomer-rename"):
        for condition in [*tags(ask(who, "GET", ACCOUNT))]:
            ask(who, "PATCH", ACCOUNT, {"name": "Ada"}, **condition)


@case
def move_to_another_zone(ask: Ask, mine: Mine) -> None:
    for who in ("account", "key", "operator", "newcomer-zone"):
        ask(
            who,
            "POST",
            TASKS,
            {"title": "x", "due": {"date": "2026-11-20"}, "start": {"date": "2026-11-19", "time": "09:00"}},
        )
        for zone in ("Europe/Berlin", "Pacific/Auckland"):
            ask(who, "PATCH", ACCOUNT, {"time_zone": zone})
        ask(who, "POST", TASKS, {"title": "x", "due": {"date": "2026-11-20"}})


@case
def change_email(ask: Ask, mine: Mine) -> None:
    for who in ("account", "account-operator"):
        for number, condition in enumerate([*tags(ask(who, "GET", ACCOUNT))]):
            body = {"password": PASSWORD, "email": f"new{number}-{who}@example.com"}
            ask(who, "POST", f"{ACCOUNT}/email", body, **condition)
    ask("account", "POST", f"{ACCOUNT}/email", body | {"password": f"{PASSWORD}!"})
    ask("operator", "POST", f"{ACCOUNT}/email", body)


@case
def change_password(ask: Ask, mine: Mine) -> None:
    body = {"current_password": PASSWORD, "new_password": "a ship in port is safe"}
    ask("operator", "POST", f"{ACCOUNT}/password", body)
    ask("account", "POST", f"{ACCOUNT}/password", body)
    ask("account", "POST", f"{ACCOUNT}/password", body)
    other = {"current_password": body["new_password"], "new_password": PASSWORD, "revoke_keys": True}
    ask("account-operator", "POST", f"{ACCOUNT}/password", other)
    ask("account", "POST", f"{ACCOUNT}/password", body)
    ask("account", "GET", KEYS)


@case
def delete_account(ask: Ask, mine: Mine) -> None:
    ask("account", "POST", f"{ACCOUNT}/deletion", {"password": f"{PASSWORD}!"})
    ask("account", "POST", f"{ACCOUNT}/deletion", {"password": PASSWORD})
    for method, address in (("GET", mine.task("pending")), ("GET", TASKS), ("GET", KEYS), ("GET", ACCOUNT)):
        ask("account", method, address)
    ask("account", "POST", TASKS, {"title": "Too late"})
    ask("account", "POST", KEYS, {"name": "Too late", "scopes": ["account"]})


@case
def delete_account_by_an_operator(ask: Ask, mine: Mine) -> None:
    ask("account-operator", "POST", f"{ACCOUNT}/deletion", {"password": PASSWORD})
    ask("key", "POST", TASKS, {"title": "Too late"})


@case
def delete_account_once(ask: Ask, mine: Mine) -> None:
    """The reply is kept for nobody: the user is gone by then."""
    for who, body in (("account", {"password": PASSWORD}), ("operator", {})):
        ask(who, "POST", f"{ACCOUNT}/deletion", body, **{"Idempotency-Key": "gone"})


@case
def delete_account_without_password(ask: Ask, mine: Mine) -> None:
    for who in ("operator", "newcomer-delete"):
        ask(who, "POST", f"{ACCOUNT}/deletion", {})


@case
def export(ask: Ask, mine: Mine) -> None:
    for who in ("account", "key", "operator", "newcomer-export"):
        ask(who, "GET", f"{ACCOUNT}/export")


@case
def register(ask: Ask, mine: Mine) -> None:
    ask("nobody", "POST", f"{AUTH}/register", {"email": "another@example.com", "password": PASSWORD, "name": "Ada"})
    ask("nobody", "POST", f"{AUTH}/register", CREDENTIALS)


@case
def register_to_verify(ask: Ask, mine: Mine) -> None:
    for email in ("another@example.com", "another@example.com", EMAIL):
        ask("nobody", "POST", f"{AUTH}/register", {"email": email, "password": PASSWORD, "name": "Ada"})
    ask("nobody", "POST", f"{AUTH}/token", CREDENTIALS)


@case
def sign_in(ask: Ask, mine: Mine) -> None:
    for body in (CREDENTIALS, CREDENTIALS, CREDENTIALS | {"password": f"{PASSWORD}!"}):
        ask("nobody", "POST", f"{AUTH}/token", body)


@case
def refresh(ask: Ask, mine: Mine) -> None:
    for number in (0, 1, 0):
        ask("nobody", "POST", f"{AUTH}/refresh", {"refresh_token": mine.refresh[number]})


@case
def sign_out(ask: Ask, mine: Mine) -> None:
    for number, everywhere in ((0, False), (0, True), (1, True)):
        body = {"refresh_token": mine.refresh[number], "everywhere": everywhere}
        ask("nobody", "POST", f"{AUTH}/sign-out", body)


@case
def request_password_reset(ask: Ask, mine: Mine) -> None:
    for email in (EMAIL, EMAIL, "another@example.com"):
        ask("nobody", "POST", f"{AUTH}/password-reset/request", {"email": email})


@case
def request_email_verification(ask: Ask, mine: Mine) -> None:
    for email in (EMAIL, EMAIL, "another@example.com"):
        ask("nobody", "POST", f"{AUTH}/email-verification/request", {"email": email})


@case
def verify_email(ask: Ask, mine: Mine) -> None:
    for token_of in (mine.one_time[2], mine.one_time[2], mine.one_time[0]):
        ask("nobody", "POST", f"{AUTH}/email-verification", {"token": token_of})
    ask("nobody", "POST", f"{AUTH}/token", CREDENTIALS)


@case
def reset_password(ask: Ask, mine: Mine) -> None:
    for number, revoke in ((0, False), (0, False), (1, True)):
        body = {"token": mine.one_time[number], "new_password": "a ship in port is safe", "revoke_keys": revoke}
        ask("nobody", "POST", f"{AUTH}/password-reset", body)
    ask("account", "GET", KEYS)


@case
def reset_password_and_revoke_keys(ask: Ask, mine: Mine) -> None:
    body = {"token": mine.one_time[1], "new_password": "a ship in port is safe", "revoke_keys": True}
    ask("nobody", "POST", f"{AUTH}/password-reset", body)
    ask("account", "GET", KEYS)


@case
def keys(ask: Ask, mine: Mine) -> None:
    body = {"name": "Nightly backup", "scopes": ["tasks:read"], "expires_at": "2999-01-01T00:00:00Z"}
    for who in ("account", "operator", "newcomer-keys"):
        ask(who, "POST", KEYS, body)
        ask(who, "GET", KEYS)
        for address in (f"{KEYS}/{mine.key}", f"{KEYS}/{THEIR_KEY}"):
            ask(who, "DELETE", address)


@case
def retries(ask: Ask, mine: Mine) -> None:
    for key in ("kept", "old", "new", "new"):
        for who in ("account", "operator", "newcomer-retries"):
            ask(who, "POST", TASKS, {"title": "Once"}, **{"Idempotency-Key": key})
    ask("account", "POST", TASKS, {"title": "Another"}, **{"Idempotency-Key": "new"})
    for _ in range(2):
        ask("nobody", "POST", f"{AUTH}/refresh", {"refresh_token": mine.refresh[1]}, **{"Idempotency-Key": "new"})
    for key in ("kept", "old", "new", "new"):
        ask("nobody", "POST", f"{AUTH}/token", CREDENTIALS, **{"Idempotency-Key": key})


@case
def retries_of_many(ask: Ask, mine: Mine) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "TRIMMED_BY", 1)  # by chance, each
        ask("account", "POST", TASKS, {"title": "Once"}, **{"Idempotency-Key": "trims"})


PREPARED = {
    **cases_by_tag.PREPARED,
    "too_many_projects": f"UPDATE users SET projects = {MOST_PROJECTS}",
    "retries_of_many": "INSERT INTO idempotent_replies SELECT user_id, sha256(i::text::bytea), sha256(''), '',"
    f" now() - i * interval '1 second' FROM accounts, generate_series(1, {kept.MOST_REPLIES + 5}) i",
}
"""SQL to run before a case, by its name."""


def seed(world: World, client: Client) -> Mine:
    """Users who have everything, by requests."""
    mine = Mine()
    user_id = client.post(f"{AUTH}/register", CREDENTIALS).json()["id"]
    for number in range(3):
        headers = {"Idempotency-Key": ("kept", "old")[number]} if number < 2 else {}
        reply = client.post(f"{AUTH}/token", CREDENTIALS, headers=headers).json()
        mine.refresh.append(reply["refresh_token"])
    session = str(world.rows("SELECT min(id::text) FROM sessions")[0][0])
    settings = {"secret": SECRET, "issuer": "task-api", "audience": "task-api", "lifetime": 3600}
    mine.tokens["account"] = TokenIssuer(**settings).issue(user_id, session)
    mine.tokens["account-operator"] = token(user_id)
    operators = ("operator", *(f"operator-{status}" for status in STATUSES))
    mine.tokens |= {name: token(name) for name in operators}
    for who in ("account", *operators):
        user = client.signed_in(mine.tokens[who])
        for number, status in enumerate(STATUSES * 2):
            id_ = user.post(TASKS, {"title": f"Buy milk {number}", "status": status}).json()["id"]
            mine.tasks.setdefault(status, []).append(id_)
        user.patch(ACCOUNT, {"name": "Ada"})
        cases_by_tag.seed(user, mine, who)
        key = user.post(KEYS, {"name": "Mine", "scopes": list(KEY_SCOPES)}).json()
        if who == "account":
            mine.key, mine.tokens["key"] = key["id"], key["key"]
        for name in ("kept", "old"):
            user.post(TASKS, {"title": "Once"}, headers={"Idempotency-Key": name})
    new = {"id": "gen_random_uuid()", "family": "encode(sha256(n::text::bytea), 'hex')"}
    world.rows(
        "INSERT INTO sessions SELECT (jsonb_populate_record(NULL::sessions, to_jsonb(s) || jsonb_build_object("
        + ", ".join(f"'{name}', {sql}" for name, sql in new.items())
        + f"))).* FROM sessions s, generate_series(1, {session_statements.MOST - 3}) n WHERE s.id = '{session}'"
    )
    world.make_older()
    for number, one in enumerate(mine.one_time):
        purpose = "verify" if number == 2 else "reset"
        world.rows(
            f"INSERT INTO one_time_tokens SELECT user_id, '01932c07-9f7a-7c1d-b6a1-00000000001{number}', '{purpose}',"
            f" encode(sha256('{one}'), 'hex'), email, passwords, now() - interval '30 minutes', now() + interval '30 minutes' FROM accounts"
        )
    world.rows(
        "INSERT INTO outbox SELECT email, 'reset', 1, now() - interval '1 hour', now() + interval '2 days' FROM accounts"
    )
    return mine
