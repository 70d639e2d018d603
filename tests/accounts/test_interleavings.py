"""Two requests about one account, the second while the first stands between two statements: always as one after the other.

The first is held up before each of its statements in turn, and the second runs meanwhile, as far as the first's locks let it.
What both reply and what is left must be what one of the two orders gives that has nothing at once.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from argon2 import PasswordHasher
from uuid_utils import uuid7

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.rows import rows
from tests.support.secured_operations import KEY_SCOPES, SECURED
from tests.support.stage import Stage, staged
from todo_api.api_keys import secret as api_keys
from todo_api.auth.tokens import TokenIssuer
from todo_api.config import Config

API = "/api/v1"
ACCOUNT = f"{API}/me/account"
OTHER = "another good password"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""At a cost that hundreds of accounts can be checked at."""

NOTHING: list[Any] = [None, [], [], [], [], []]
"""State after the user was deleted."""

REFUSED = {"unauthorized", "wrong_password", "invalid_credentials"}
"""Which of these it is says in which order the credentials were found wrong, and may differ."""


class World(NamedTuple):
    """A user with two sessions, two keys, a task with a label and a project.

    Their last write changed the title of the task and deleted another one.
    """

    id: str
    email: str
    sessions: list[str]
    refresh: list[str]
    keys: list[str]
    key_ids: list[str]
    task: str
    project: str
    deleted: str

    def bearer(self, who: str) -> str:
        """The token of a session, of a key, or one that an operator made."""
        if who == "key":
            return self.keys[0]
        if who == "operator":
            return token(self.id)
        settings = {"secret": SECRET, "issuer": "task-api", "audience": "task-api", "lifetime": 3600}
        return TokenIssuer(**settings).issue(self.id, self.sessions[int(who[-1])])


Act = Callable[[Client, World], Reply]


AT_ONCE = 50
"""Worlds that are made by one command: each alone takes longer than what is tried in it."""


def worlds(url: str) -> Iterator[World]:
    """Yield one after another, each for itself."""
    while True:
        made = [_ids() for _ in range(AT_ONCE)]
        rows(url, _insert(made))
        yield from made


def _ids() -> World:
    ids = [str(uuid7()) for _ in range(8)]
    return World(
        ids[0],
        f"{secrets.token_hex(6)}@example.com",
        ids[1:3],
        [f"tdr_{secrets.token_urlsafe(32)}{secrets.token_urlsafe(32)}" for _ in range(2)],
        [api_keys.make() for _ in range(2)],
        ids[3:5],
        ids[5],
        ids[6],
        ids[7],
    )


def _insert(made: list[World]) -> str:
    """Return the SQL that makes them."""
    scopes = f"ARRAY[{', '.join(repr(scope) for scope in KEY_SCOPES)}]"
    deleted = ", ".join(f"('{one.id}', '{one.deleted}')" for one in made)
    sessions = [
        f"'{one.id}', '{session}', '{_digest(refresh[:-43])}', '{_digest(refresh)}', now(), now(), now() + interval '1 day'"
        for one in made
        for session, refresh in zip(one.sessions, one.refresh, strict=True)
    ]
    keys = [
        f"'{one.id}', '{id_}', 'kept {number}', {scopes}, 'tdk_', '{api_keys.digest(key)}', now()"
        for one in made
        for number, (id_, key) in enumerate(zip(one.key_ids, one.keys, strict=True))
    ]
    return ";".join(
        (
            _values("users (id, seq, pending, api_keys, projects)", (f"'{one.id}', 9, 1, 2, 1" for one in made)),
            _values(
                "accounts (user_id, email, password_hash)", (f"'{one.id}', '{one.email}', '{HASH}'" for one in made)
            ),
            _values("sessions", sessions),
            _values("api_keys (user_id, id, name, scopes, hint, digest, created_at)", keys),
            _values(
                "projects (user_id, id, name, position, created_at, updated_at, version)",
                (f"'{one.id}', '{one.project}', 'Mine', 'm0', now(), now(), 8" for one in made),
            ),
            _values(
                "tasks (user_id, id, title, status, created_at, updated_at, version, labels)",
                (f"""'{one.id}', '{one.task}', 'Mine', 'pending', now(), now(), 9, '["home"]'""" for one in made),
            ),
            _values("task_labels", (f"'{one.id}', '{one.task}', 'home', 'home', 9" for one in made)),
            _values(
                "tasks (user_id, id, title, status, created_at, updated_at, version)",
                (f"'{one.id}', '{one.deleted}', 'Deleted', 'pending', now(), now(), 7" for one in made),
            ),
            f"DELETE FROM tasks WHERE (user_id, id) IN ({deleted})",
            _values(
                "history (user_id, seq, version_before, kind, id, action, at, changes)",
                (
                    f"""'{one.id}', 9, 8, 'task', '{one.task}', 'updated', now(), '{{"title": ["Before", "Mine"]}}'"""
                    for one in made
                ),
            ),
        )
    )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _values(table: str, values: Iterable[str]) -> str:
    return f"INSERT INTO {table} VALUES {', '.join(f'({one})' for one in values)}"


def left(url: str, world: World) -> list[Any]:
    """What there is of the user, without what depends on chance or on time; the counts must be right."""
    mine = f"user_id = '{world.id}'"
    sessions = ", ".join(f"'{one}'" for one in world.sessions)
    ((user, counts, *lists),) = rows(
        url,
        f"SELECT (SELECT ROW(name, api_keys, pending, completed)::text FROM users WHERE id = '{world.id}'),"
        " (SELECT ROW(api_keys - (SELECT count(*) FROM api_keys k WHERE k.user_id = u.id), projects -"
        " (SELECT count(*) FROM projects p WHERE p.user_id = u.id), pending + completed"
        " + in_progress + cancelled - (SELECT count(*) FROM tasks t WHERE t.user_id = u.id))::text"
        f" FROM users u WHERE id = '{world.id}'),"
        f" ARRAY(SELECT ROW({mine}, left(email, 4) = 'new-', passwords)::text FROM accounts"
        f" WHERE email LIKE '%{world.email}' ORDER BY 1),"
        f" ARRAY(SELECT ROW(coalesce((array_position(ARRAY[{sessions}], id::text))::text, 'new'),"
        f" refreshed_at > created_at)::text FROM sessions WHERE {mine} ORDER BY 1),"
        f" ARRAY(SELECT name::text FROM api_keys WHERE {mine} ORDER BY 1),"
        f" ARRAY(SELECT title || status || coalesce(labels, '') FROM tasks WHERE {mine} ORDER BY 1),"
        f" ARRAY(SELECT name::text FROM projects WHERE {mine} ORDER BY 1)",
    )
    assert counts in ("(0,0,0)", None)
    return [user, *lists]


def told(reply: Reply) -> str:
    """Return the parts of a reply that are compared."""
    if reply.status >= 400:
        return "refused" if reply.code in REFUSED else reply.code
    return f"{reply.status} {reply.body.decode() if b'revoked_keys' in reply.body else ''}"


class Outcome(NamedTuple):
    """Both replies, and the state afterwards."""

    replies: tuple[str, str]
    left: list[Any]


class Pairs(Stage):
    """Two requests about one account."""

    @cached_property
    def worlds(self) -> Iterator[World]:
        """Users whom nothing has been tried with."""
        return worlds(self.url)

    def in_turn(self, first: Act, second: Act) -> Outcome:
        world = next(self.worlds)
        replies = (told(first(self.gated, world)), told(second(self.direct, world)))
        return Outcome(replies, left(self.url, world))

    def interleaved(self, first: Act, second: Act, number: int) -> tuple[Outcome, bool] | None:
        """What comes of it where the second runs while the first is before that statement; None where it has fewer.

        And whether the second was done before the first went on: it waited for no lock of the first's.
        """
        world = next(self.worlds)
        pair = self.pair(partial(first, self.gated, world), partial(second, self.direct, world), number)
        if pair is None:
            return None
        return Outcome((told(pair.first), told(pair.second)), left(self.url, world)), pair.was_done

    def check(self, first: Act, second: Act, names: str) -> list[tuple[Outcome, bool]]:
        """Asserts that each interleaving is as one of the two orders. Gives them all."""
        self.gate.arm(0)
        legal, found = [self.in_turn(first, second)], []
        for number in range(1, self.gate.queries + 1):  # those of the first where nothing comes between
            if (one := self.interleaved(first, second, number)) is None:
                break  # by chance, the first trimmed the kept replies in its turn
            found.append(one)
            legal += [found[0][0]] if len(found) == 1 else []  # nothing of the first had begun
            assert one[0] in legal, f"{names}, before statement {len(found)}:\n{one[0]}\nis neither of\n{legal}"
        assert found, f"{names}: no statement of the first was held up"
        return found


@pytest.fixture(scope="module")
def stage(url: str, new_client: Callable[[Config], Client]) -> Iterator[Pairs]:
    with staged(Pairs, url, new_client) as stage:
        yield stage


def by(who: str, method: str, path: str, body: Any = None, keyed: bool = False) -> Act:
    def act(client: Client, world: World) -> Reply:
        places = {"email": world.email, "refresh0": world.refresh[0], "refresh1": world.refresh[1]}
        sent = {
            name: value.format(**places) if isinstance(value, str) else value for name, value in (body or {}).items()
        }
        bearer = None if who == "nobody" else world.bearer(who)
        headers = {"Idempotency-Key": f"keyofatest{secrets.token_hex(8)}"} if keyed else {}
        ids = {"task_id": world.task, "key_id": world.key_ids[1], "project_id": world.project}
        ids |= {"item_id": world.deleted, "seq": "9"}
        address = API + path.format(user_id="me", label="home", **ids)
        return client.signed_in(bearer).request(method, address, json_body=sent if body else None, headers=headers)

    return act


SIGN_IN = {"email": "{email}", "password": PASSWORD}
NEW_EMAIL = {"password": PASSWORD, "email": "new-{email}"}
NEW_PASSWORD = {"current_password": PASSWORD, "new_password": OTHER}
NEW_KEY = {"name": "new", "scopes": ["tasks:read"]}

ACTS: dict[str, Act] = {
    "registerAccount": by("nobody", "POST", "/auth/register", SIGN_IN),
    "issueToken": by("nobody", "POST", "/auth/token", SIGN_IN),
    "issueToken-keyed": by("nobody", "POST", "/auth/token", SIGN_IN, keyed=True),
    "refreshToken": by("nobody", "POST", "/auth/refresh", {"refresh_token": "{refresh1}"}),
    "refreshToken-keyed": by("nobody", "POST", "/auth/refresh", {"refresh_token": "{refresh1}"}, keyed=True),
    "refreshToken-other": by("nobody", "POST", "/auth/refresh", {"refresh_token": "{refresh0}"}),
    "signOut": by("nobody", "POST", "/auth/sign-out", {"refresh_token": "{refresh1}"}),
    "signOut-everywhere": by("nobody", "POST", "/auth/sign-out", {"refresh_token": "{refresh0}", "everywhere": True}),
    "changeEmail": by("session0", "POST", "/me/account/email", NEW_EMAIL),
    "changePassword": by("session0", "POST", "/me/account/password", NEW_PASSWORD),
    "changePassword-keys": by("session1", "POST", "/me/account/password", NEW_PASSWORD | {"revoke_keys": True}),
    "deleteAccount": by("session0", "POST", "/me/account/deletion", {"password": PASSWORD}),
    "createApiKey": by("session1", "POST", "/me/keys", NEW_KEY),
    "createApiKey-keyed": by("session1", "POST", "/me/keys", NEW_KEY, keyed=True),
    "revokeApiKey": by("session1", "DELETE", "/me/keys/{key_id}"),
    "updateAccount": by("key", "PATCH", "/me/account", {"name": "Ada"}),
    "createTask-keyed": by("key", "POST", "/me/tasks", {"title": "new"}, keyed=True),
}


@pytest.mark.parametrize("first", ACTS)
def test_every_pair_of_operations_on_an_account_interleaved_is_as_one_after_the_other(stage: Pairs, first: str) -> None:
    for second, act in ACTS.items():
        stage.check(ACTS[first], act, f"{first}, {second}")


def revoked(client: Client, world: World) -> Reply:
    """The key that the first request comes with is revoked."""
    path = f"{API}/me/keys/{world.key_ids[0]}"
    return client.signed_in(world.bearer("session0")).delete(path)


WRITES = [operation for operation in SECURED if operation.method not in ("GET", "HEAD")]
BODIES: dict[str, Any] = {"changeEmail": NEW_EMAIL, "changePassword": NEW_PASSWORD, "createApiKey": NEW_KEY}
BODIES["revertTask"] = {"version": 8}
IDENTITIES = ("session1", "key", "operator")
ENDS: dict[str, Act] = {
    "deleteAccount": ACTS["deleteAccount"],
    "revokeApiKey": revoked,
    "signOut-everywhere": ACTS["signOut-everywhere"],
}


STANDS_ON: dict[str, Callable[[str, str], bool]] = {
    "deleteAccount": lambda who, _: who != "operator",
    "revokeApiKey": lambda who, _: who == "key",
    "signOut-everywhere": lambda who, scope: who == "session1" and scope == "credentials",
}
"""Whether a write by that identity, with that scope, is refused once this has ended what it stands on."""


@pytest.mark.parametrize("operation", WRITES, ids=[operation.name for operation in WRITES])
def test_every_write_whose_account_key_or_session_ends_after_authentication_is_as_one_after_the_other(
    stage: Pairs, operation: Any
) -> None:
    body = BODIES.get(operation.name, operation.body)
    for who in IDENTITIES:
        act = by(who, operation.method, operation.template, body)
        for name, end in ENDS.items():
            found = stage.check(act, end, f"{operation.name} by {who}, {name}")
            if name == "deleteAccount" and who != "operator":
                after = [outcome.left for outcome, _ in found if outcome.replies[1] == "204 "]
                assert after == [NOTHING] * len(after) != []
            if STANDS_ON[name](who, operation.scope):
                assert {outcome.replies[0] for outcome, was_done in found if was_done} <= {
                    "refused",
                    "insufficient_scope",
                }
