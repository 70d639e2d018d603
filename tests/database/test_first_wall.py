"""The first wall alone: with row-level security off, every statement of the service touches and shows its user's rows only.

Each case runs in two databases that differ in nothing but the users beside its own (see `look_alikes`).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import product
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.databases import database_url, execute
from tests.support.every_statement import FURTHER_CONDITIONS, every_statement, statements_of
from tests.support.list_cases import BY_DATES, DATED, shapes_by_dates
from tests.support.look_alikes import FURTHER, LATER, NOBODYS, THEIR_TASK, TWIN, Outcome, Sent, World
from tests.support.on_loop import on_loop
from tests.support.purges import PURGES
from tests.support.settings import with_mail
from tests.support.wall_cases import CASES, EMAIL, PREPARED, VERIFYING, Mine, seed
from todo_api import contract
from todo_api.accounts import (
    administration,
    administration_statements,
    one_time_tokens,
    sessions,
)
from todo_api.changes import statements as change_statements
from todo_api.config import Config
from todo_api.database.database import Database
from todo_api.database.statement import Statement
from todo_api.database.transaction import RoleSession
from todo_api.embedded import EmbeddedServer
from todo_api.idempotency.store import IdempotencyStore
from todo_api.lists.conditions import CONDITIONS
from todo_api.mail import outbox
from todo_api.task_dates import Recomputation
from todo_api.tasks.list_statements import page

MORE_ORDERS = [("priorities",), ("updated_since",)]
"""Those that a case asks for in three orders."""

PAST = {
    "id": "'01932c07-9f7a-7c1d-b6a1-000000000003'",
    "family": "repeat('a', 64)",
    "created_at": "r.created_at - interval '60 days'",
    "refreshed_at": "r.created_at - interval '59 days'",
    "expires_at": "r.created_at - interval '58 days'",
}


def age(world: World) -> None:
    """Some of what the users of the cases have, and nobody else, is too old."""
    mine, nobodys = f"user_id !~ '^({TWIN}|{LATER})'", f"request !~ '^({'|'.join(NOBODYS.values())})'"
    older = "SET created_at = created_at - interval '25 hours'"
    world.rows(
        f"UPDATE idempotent_replies {older} WHERE {mine} AND (user_id, created_at) IN"
        " (SELECT user_id, max(created_at) FROM idempotent_replies GROUP BY 1)"
    )
    world.rows(
        f"UPDATE anonymous_replies {older} WHERE created_at ="
        f" (SELECT max(created_at) FROM anonymous_replies WHERE {nobodys}) AND {nobodys}"
    )
    mine_first = "(SELECT min(id::text)::uuid FROM one_time_tokens)"
    past = {name: PAST[name] for name in ("id", "created_at", "expires_at")} | {"digest": "repeat('a', 64)"}
    world.copy("one_time_tokens", f"{mine} AND id = {mine_first}", past)
    world.copy("sessions", f"{mine} AND id = (SELECT min(id::text)::uuid FROM sessions WHERE {mine})", PAST)


class Worlds:
    """The two databases and a service on each. Runs each case once, when it is asked for."""

    def __init__(self, alone: World, crowded: World, mine: Mine, clients: list[list[Client]], sent: list[Sent]) -> None:
        self.both = (alone, crowded)
        self._mine, self._clients, self._sent = mine, clients, sent
        self._done: dict[str, list[tuple[Outcome, list[Any], list[Any]]]] = {}
        self.sent: list[Sent] = []
        self.asked: set[tuple[str, str]] = set()

    def run(self, name: str) -> list[tuple[Outcome, list[Any], list[Any]]]:
        """Of each of the two databases what the case did, and the rows of others before and after it."""
        if name not in self._done:
            self._done[name] = [
                self.within(world, lambda client=client: self._ask(name, client), PREPARED.get(name, "SELECT"))
                for world, client in zip(self.both, self._clients[name in VERIFYING], strict=True)
            ]
        return self._done[name]

    def within(
        self, world: World, act: Callable[[], list[Reply]], prepared: str = "SELECT"
    ) -> tuple[Outcome, list[Any], list[Any]]:
        """Restore the database, and return what an act does to it. Nobody else is in the first one."""
        others = world.of_others if world is self.both[1] else list
        world.restore()
        world.rows(prepared)
        before = others()
        self._sent.clear()
        replies = act()
        self.sent += self._sent
        return world.outcome(replies, self._sent), before, others()

    def _ask(self, name: str, client: Client) -> list[Reply]:
        replies = []

        def ask(who: str, method: str, path: str, body: Any = None, **fields: str) -> Reply:
            bearer = self._mine.tokens[who] if who in self._mine.tokens else token(who)
            headers = {"X-Request-ID": "the-same", **fields}
            replies.append(client.signed_in(bearer).request(method, path, json_body=body, headers=headers))
            self.asked.add((method, path.partition("?")[0]))
            return replies[-1]

        CASES[name](ask, self._mine)
        return replies


@pytest.fixture(scope="module")
def worlds(
    new_database: Callable[[], str], server: EmbeddedServer, new_client: Callable[[Config], Client]
) -> Iterator[Worlds]:
    def client(url: str, **more: Any) -> Client:
        return new_client(with_mail(url, rate_limit="off", **more))

    url = new_database()
    alone = World(url)
    alone.lower_the_second_wall()
    mine = seed(alone, client(url))
    alone.close()
    name = url.partition("?")[0].rpartition("/")[2]
    execute(server.url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    execute(server.url, f"CREATE DATABASE {name}_crowded TEMPLATE {name}")
    alone, crowded = World(url), World(database_url(url, f"{name}_crowded"))
    crowded.copy_users()
    for world in (alone, crowded):
        age(world)
        world.keep()
        world.known = alone.known
    for row in alone.mine():
        alone.learn(row)
    sent: list[Sent] = []
    required = {"email_verification": "required"}
    with pytest.MonkeyPatch.context() as patch:
        record(patch, sent)
        clients = [[client(world.url, **more) for world in (alone, crowded)] for more in ({}, required)]
        yield Worlds(alone, crowded, mine, clients, sent)
    alone.close()
    crowded.close()


def record(patch: pytest.MonkeyPatch, sent: list[Sent]) -> None:
    """Writes down every statement that a scope sends."""
    every, last = RoleSession.fetch_all, RoleSession.execute_and_commit

    def recorded_all(self: RoleSession, statement: Statement, parameters: Any) -> list[Any]:
        rows = every(self, statement, parameters)
        sent.append(Sent(self._prefix, self._values, statement, parameters, rows))
        return rows

    def recorded_last(self: RoleSession, statement: Statement, parameters: Any) -> None:
        last(self, statement, parameters)
        sent.append(Sent(self._prefix, self._values, statement, parameters, []))

    patch.setattr(RoleSession, "fetch_all", recorded_all)
    patch.setattr(RoleSession, "execute_and_commit", recorded_last)


def assert_the_same(found: list[tuple[Outcome, list[Any], list[Any]]]) -> None:
    """What was shown and done does not depend on the others, and nothing of the others was touched, or locked."""
    (alone, _, _), (crowded, before, after) = found
    assert after == before
    assert crowded.replies == alone.replies
    assert crowded.answers == alone.answers
    assert crowded.mine == alone.mine


@pytest.mark.parametrize("name", CASES)
def test_every_statement_among_look_alikes_touches_and_shows_its_users_rows_alone(worlds: Worlds, name: str) -> None:
    found = worlds.run(name)
    statuses = {status for outcome, _, _ in found for status, _, _ in outcome.replies}
    assert statuses & {200, 201, 202, 204}
    assert max(statuses) < 500
    assert_the_same(found)


def test_every_case_has_others_who_could_be_touched(worlds: Worlds) -> None:
    alone, crowded = worlds.both
    for table in crowded.tables:
        count = crowded.rows(f"SELECT count(*) FROM kept.{table}")[0][0]
        assert count >= 2 * alone.rows(f"SELECT count(*) FROM kept.{table}")[0][0] > 0, table
    seen = f"BEGIN; SET LOCAL ROLE task_api_user; SELECT count(*) FROM tasks WHERE id = '{THEIR_TASK}'"
    assert execute(crowded.url, seen)[0][0] > 1
    assert execute(alone.url, seen) == [(0,)]


def databases(worlds: Worlds) -> Iterator[tuple[World, Database]]:
    """Each of the two with the service's way to it."""
    for world in worlds.both:
        with closing(Database(world.url, pool_size=1)) as database:
            yield world, database


def test_purges_among_look_alikes_delete_what_has_expired_alone(worlds: Worlds) -> None:
    found = []
    for world, database in databases(worlds):
        replies = IdempotencyStore(database, SECRET.encode())
        counts = []

        @on_loop
        def purge(
            replies: IdempotencyStore = replies, database: Database = database, counts: list[int] = counts
        ) -> list[Reply]:
            counts += [replies.purge(), sessions.purge(database), one_time_tokens.purge(database)]
            return []

        found.append(worlds.within(world, purge))
        assert all(counts)
    assert_the_same(found)


def recompute(worlds: Worlds) -> list[tuple[Outcome, list[Any], list[Any]]]:
    """Compute the instants of the account's dates anew, which are an hour late, in each of the two."""
    one = f"(SELECT user_id FROM accounts WHERE email = '{EMAIL}')"
    late = f"UPDATE tasks SET due_at = due_at + interval '1 hour' WHERE due_at IS NOT NULL AND user_id = {one}"
    outdated = f"{DATED}; {late}; UPDATE users SET zone_data = CASE id WHEN {one} THEN 0 END"
    found = []
    for world, database in databases(worlds):
        steps: list[int] = []

        @on_loop
        def act(database: Database = database, steps: list[int] = steps) -> list[Reply]:
            work = Recomputation(database)
            steps += [work.step(), work.step()]
            return []

        found.append(worlds.within(world, act, outdated))
        assert steps == [1, 0]
    return found


def test_recomputation_among_look_alikes_corrects_the_dates_of_the_one_user_alone(worlds: Worlds) -> None:
    found = recompute(worlds)
    assert_the_same(found)
    assert any(sql.startswith("UPDATE tasks") for sql, _ in found[0][0].answers)


def administer(worlds: Worlds) -> list[tuple[Outcome, list[Any], list[Any]]]:
    """What an operator does with a user, in each of the two."""
    found = []
    for world, database in databases(worlds):

        @on_loop
        def act(database: Database = database) -> list[Reply]:
            users = administration.Administration(database)
            for name in (EMAIL.upper(), "operator", "nobody"):
                user = users.show(name)
                if user is not None:
                    users.issue_reset_token(user)
                    users.verify_email(user.id, user.email or "")
                    users.sign_out(user, revoke_keys=False)
                    users.sign_out(user, revoke_keys=True)
                    users.delete(user)
            return []

        found.append(worlds.within(world, act))
    return found


def test_administration_among_look_alikes_touches_and_shows_the_one_user_alone(worlds: Worlds) -> None:
    found = administer(worlds)
    assert_the_same(found)
    assert len(found[0][0].answers) > 10


def test_every_statement_on_a_password_that_was_changed_does_not_take_that_of_others_for_it(worlds: Worlds) -> None:
    """The password is changed while it is checked: what was checked is of a number that others alone have."""
    for name in CASES:
        worlds.run(name)
    stale = {one.statement.name: one for one in worlds.sent if "passwords" in one.values}
    assert len(stale) >= 4
    for one in stale.values():
        values = {**one.values, "passwords": one.values["passwords"] + FURTHER}
        found = []
        for world, database in databases(worlds):
            scope = RoleSession(database, one.prefix, one.scope)
            found.append(
                worlds.within(
                    world,
                    on_loop(lambda scope=scope, one=one, values=values: scope.fetch_all(one.statement, values) and []),
                )
            )
        assert_the_same(found)
        assert found[0][0].answers == [(one.statement.sql, [])]


def test_every_statement_of_the_service_was_sent_by_a_case(worlds: Worlds) -> None:
    """Add a case for the one that is missing, whose filter nobody has seen to work."""
    administer(worlds)
    recompute(worlds)
    for name in CASES:
        worlds.run(name)
    there = every_statement()
    assert len(there) > 100
    purges = [statement for statement, _ in PURGES.values()]
    of_many = [administration_statements.LIST, change_statements.waited_for]
    apart = [outbox.CLAIM, outbox.FINISH, *purges, *of_many]  # by other tests
    sent = {each.name for each in (*(one.statement for one in worlds.sent), *statements_of(apart))}
    assert sorted(name for name, statement in there.items() if statement.name not in sent) == []
    more = {page(*chosen).name for chosen in product(("created_at", "due", "-due"), [None], MORE_ORDERS, (False, True))}
    dated = {name: statement.name for name, statement in shapes_by_dates()}
    assert {"words", *FURTHER_CONDITIONS, *BY_DATES} == {*CONDITIONS}
    assert sorted(name for name in dated if dated[name] not in sent) == []
    assert sent <= more | {*dated.values()} | {
        statement.name for statement in there.values()
    }  # none is made where nobody finds it


def test_every_operation_of_users_has_a_case(worlds: Worlds) -> None:
    for name in CASES:
        worlds.run(name)
    paths = contract.load(contract.TASK_API)["paths"]
    asked = {
        item[method.lower()]["operationId"]
        for method, path in worlds.asked
        for template, item in paths.items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", f"/api/v1{template}"), path)
    }
    assert asked == {
        part["operationId"] for item in paths.values() for key, part in item.items() if key != "parameters"
    }
