"""The second wall, policy by policy: what a role sees and writes in each table, by command, with each setting of its own.

Nothing that is tried here reads what it writes: where a statement has a WHERE or a RETURNING, what may be read hides what may be
written.
"""

from collections.abc import Iterator
from typing import NamedTuple

import psycopg2
import psycopg2.errors
import pytest

from tests.support.client import Client
from tests.support.credentials import PASSWORD
from tests.support.look_alikes import World
from todo_api.models import LOGIN_ROLE, USER_ROLE

OWNERS = ("ada", "bob", "old")
"""Of old's rows those that expire have expired. Each has the same as the others."""

OWNER = "CASE WHEN {0} ~ '^(bob-|0{{60}})' THEN 'bob' WHEN {0} ~ '^(old-|1{{60}})' THEN 'old' ELSE 'ada' END"

CHANGES = {
    "users": "horizon = 9",
    "accounts": "registered_again = true",
    "tasks": "description = 'x'",
    "projects": "description = 'x'",
    "task_labels": "name = 'x'",
    "tombstones": "version = 9",
    "history": "action = 'x'",
    "api_keys": "last_used_at = now()",
    "sessions": "refreshed_at = created_at",
    "outbox": "attempts = 9",
}
"""A change to every row there is, by a constant, of tables that a role may change."""


class Scope(NamedTuple):
    """A role with a setting, and what of each table is open to it: by command, whose rows."""

    role: str
    setting: str
    value: str
    may: dict[str, str]


def login(**more: str) -> dict[str, str]:
    """What is open before a user is known. A command without a name reaches no row. What has expired may always be deleted."""
    return {
        "users": "SELECT, INSERT ada bob old, UPDATE",
        "accounts": "SELECT, INSERT, UPDATE",
        "api_keys": "SELECT, UPDATE",
        "sessions": "SELECT, UPDATE, DELETE old",
        "one_time_tokens": "SELECT, DELETE old",
        "idempotent_replies": "SELECT, DELETE",
        "anonymous_replies": "SELECT, INSERT, DELETE",
        "outbox": "SELECT, INSERT, UPDATE, DELETE old",
        "tombstones": "SELECT, DELETE",
        "trash": "SELECT, DELETE",
        "history": "SELECT, DELETE",
    } | more


def user(name: str) -> dict[str, str]:
    """Return the commands that a user may run on each table, with the users whose rows they reach."""
    every = f"SELECT{name}, INSERT{name}, UPDATE{name}, DELETE{name}"
    some = f"SELECT{name}, INSERT{name}, DELETE{name}"
    locked = f"SELECT{name}, INSERT{name}, UPDATE, DELETE{name}"
    return {
        "users": every,
        "accounts": f"SELECT{name}, UPDATE{name}",
        "tasks": every,
        "projects": every,
        "task_labels": every,
        "tombstones": f"SELECT{name}, INSERT{name}, UPDATE{name}",
        "history": f"SELECT{name}, INSERT{name}, UPDATE{name}",
        "api_keys": locked,
        "sessions": locked,
        "one_time_tokens": some,
        "trash": some,
        "idempotent_replies": some,
    }


OF_ADA = {
    "app.user_id": ("users", "id"),
    "app.email": ("accounts", "email"),
    "app.waiting": ("users", "id"),
    "app.key_digest": ("api_keys", "digest"),
    "app.session": ("sessions", "family"),
    "app.one_time_token": ("one_time_tokens", "digest"),
    "app.request": ("anonymous_replies", "request"),
}
"""Where the value of a setting stands that opens what is Ada's."""

SCOPES = {
    "user": Scope(USER_ROLE, "app.user_id", "ada", user(" ada")),
    "user not set": Scope(USER_ROLE, "app.other", "ada", user("")),
    "user empty": Scope(USER_ROLE, "app.user_id", "", user("")),
    "user unknown": Scope(USER_ROLE, "app.user_id", "%", user("")),
    "user by the email": Scope(USER_ROLE, "app.email", "ada", user("")),
    "email": Scope(
        LOGIN_ROLE,
        "app.email",
        "ada",
        login(
            accounts="SELECT ada, INSERT ada, UPDATE ada", outbox="SELECT ada, INSERT ada, UPDATE ada, DELETE ada old"
        ),
    ),
    "key": Scope(LOGIN_ROLE, "app.key_digest", "ada", login(api_keys="SELECT ada, UPDATE ada")),
    "session": Scope(LOGIN_ROLE, "app.session", "ada", login(sessions="SELECT ada, UPDATE ada, DELETE ada old")),
    "one-time token": Scope(LOGIN_ROLE, "app.one_time_token", "ada", login(one_time_tokens="SELECT ada, DELETE old")),
    "list": Scope(
        LOGIN_ROLE,
        "app.operator",
        "list",
        login(users="SELECT ada bob old, INSERT ada bob old, UPDATE", accounts="SELECT ada bob old, INSERT, UPDATE"),
    ),
    "sender": Scope(
        LOGIN_ROLE,
        "app.sender",
        "outbox",
        login(outbox="SELECT ada bob old, INSERT, UPDATE ada bob old, DELETE ada bob old"),
    ),
    "waiting": Scope(LOGIN_ROLE, "app.waiting", "ada", login(users="SELECT ada, INSERT ada bob old, UPDATE")),
    "sender of another": Scope(LOGIN_ROLE, "app.sender", "ada", login()),
    "list of a user": Scope(LOGIN_ROLE, "app.operator", "ada", login()),
    "user who lists": Scope(USER_ROLE, "app.operator", "list", user("")),
    "request": Scope(LOGIN_ROLE, "app.request", "ada", login(anonymous_replies="SELECT ada, INSERT ada, DELETE ada")),
    "purge": Scope(
        LOGIN_ROLE,
        "app.purge",
        "expired",
        login(
            sessions="SELECT old, UPDATE, DELETE old",
            one_time_tokens="SELECT old, DELETE old",
            idempotent_replies="SELECT old, DELETE old",
            anonymous_replies="SELECT old, INSERT, DELETE old",
            outbox="SELECT old, INSERT, UPDATE, DELETE old",
            tombstones="SELECT old, DELETE old",
            users="SELECT ada bob old, INSERT ada bob old, UPDATE ada bob old",
        ),
    ),
    "purge of history": Scope(LOGIN_ROLE, "app.history_days", "90", login(history="SELECT old, DELETE old")),
    "purge of trash": Scope(LOGIN_ROLE, "app.trash_days", "30", login(trash="SELECT old, DELETE old")),
    "purge of all": Scope(LOGIN_ROLE, "app.purge", "all", login()),
    "login by the user": Scope(LOGIN_ROLE, "app.user_id", "ada", login()),
    "login not set": Scope(LOGIN_ROLE, "app.other", "ada", login()),
} | {
    f"{name} empty": Scope(LOGIN_ROLE, name, "", login())
    for name in ("app.purge", "app.trash_days", "app.history_days", "app.operator", "app.sender", *OF_ADA)
}

MUST_NOT_READ = {
    USER_ROLE: {
        "accounts": "password_hash",
        "api_keys": "digest",
        "sessions": "digest family",
        "one_time_tokens": "digest",
    },
    LOGIN_ROLE: {
        "users": "api_keys cancelled completed epoch in_progress pending projects time_zone updated_at version week_start",
        "api_keys": "hint name",
        "idempotent_replies": "reply request",
    },
}
"""Columns of tables of which a role may read the others."""

MAY_CHANGE = {
    USER_ROLE: {
        "accounts": "email email_verified_at password_hash passwords registered_again",
        "api_keys": "last_used_at",
        "sessions": "refreshed_at",
    },
    LOGIN_ROLE: {
        "accounts": "registered_again",
        "api_keys": "last_used_at",
        "sessions": "digest expires_at refreshed_at",
        "outbox": "attempts created_at next_attempt_at",
        "users": "horizon",
    },
}
"""Columns of tables of which a role may not change the others."""

LOCKED_ALONE = {(USER_ROLE, "api_keys"), (USER_ROLE, "sessions")}
"""Where a role may lock the rows it sees, and each change of them is refused."""


class Database(World):
    """Ada, Bob and Old, who have the same."""

    def owner_name(self, table: str) -> str:
        return OWNER.format(self.owner(table))

    def granted(self, role: str, table: str, command: str) -> set[str]:
        """The columns that a role may use with a command."""
        found = self.rows(
            "SELECT column_name FROM information_schema.column_privileges WHERE table_schema = 'public'"
            f" AND grantee = '{role}' AND table_name = '{table}' AND privilege_type = '{command}'"
        )
        return {name for (name,) in found}

    def attempt(self, scope: Scope, before: str, statement: str, found: str) -> set[str] | str:
        """What is found as the superuser after a statement in a scope; or that it was `denied`, or `refused` by a policy.

        It is undone again. `before` is what the superuser does first.
        """
        value = scope.value
        if value == "ada" and scope.setting in OF_ADA:
            table, column = OF_ADA[scope.setting]
            ((value,),) = self.rows(f"SELECT {column} FROM {table} WHERE {self.owner_name(table)} = 'ada'")
        try:
            self.rows(f"BEGIN; SET LOCAL session_replication_role = replica; {before or 'SELECT'}")
            self.rows(f"SET LOCAL ROLE {scope.role}; SET LOCAL {scope.setting} = '{value}'")
            seen = self.rows(statement)
            if not found:
                return {row[0] for row in seen}
            self.rows("RESET ROLE")
            return {name for (name,) in self.rows(found)}
        except psycopg2.errors.InsufficientPrivilege as error:
            return "refused" if "row-level security policy" in str(error) else "denied"
        finally:
            self.rows("ROLLBACK")

    def select(self, scope: Scope, table: str) -> set[str] | str:
        if not self.granted(scope.role, table, "SELECT"):
            return "denied"
        return self.attempt(scope, "", f"SELECT {self.owner_name(table)} FROM {table}", "")

    def insert(self, scope: Scope, table: str) -> set[str] | str:
        """Each row there is, by itself and with all it has: taken out first, and written again as it was."""
        written = set()
        for name in OWNERS:
            these = f"{self.owner_name(table)} = '{name}'"
            before = (
                f"CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT * FROM {table} WHERE {these};"
                f"GRANT SELECT ON taken TO {scope.role}; DELETE FROM {table} WHERE {these}"
            )
            found = f"SELECT {self.owner_name(table)} FROM {table} WHERE {these}"
            ended = self.attempt(scope, before, f"INSERT INTO {table} TABLE taken", found)
            if ended == "denied":
                return "denied"
            written |= {name} if ended == {name} else set()
            assert ended in ({name}, "refused"), (scope, table, ended)
        return written

    def update(self, scope: Scope, table: str) -> set[str] | str:
        if not self.granted(scope.role, table, "UPDATE"):
            return "denied"
        changed = f"SELECT {self.owner_name(table)} FROM {table} WHERE xmin::text = pg_current_xact_id()::text"
        return self.attempt(scope, "", f"UPDATE {table} SET {CHANGES[table]}", changed)

    def delete(self, scope: Scope, table: str) -> set[str] | str:
        left = f"SELECT {self.owner_name(table)} FROM {table}"
        ended = self.attempt(scope, "", f"DELETE FROM {table}", left)
        return ended if isinstance(ended, str) else {*OWNERS} - ended

    def open_to(self, scope: Scope, table: str) -> str:
        """By command, whose rows are open."""
        ended = {
            command: act(scope, table)
            for command, act in (
                ("SELECT", self.select),
                ("INSERT", self.insert),
                ("UPDATE", self.update),
                ("DELETE", self.delete),
            )
        }
        if (scope.role, table) in LOCKED_ALONE and ended["UPDATE"] == "refused":
            ended["UPDATE"] = set()
        reached = {command: names for command, names in ended.items() if not isinstance(names, str)}
        assert {names for names in ended.values() if isinstance(names, str)} <= {"denied"}, (scope, table, ended)
        return ", ".join(" ".join([command, *sorted(names)]) for command, names in reached.items())


@pytest.fixture(scope="module")
def database(url: str, anonymous: Client) -> Iterator[Database]:
    credentials = {"email": "ada@example.com", "password": PASSWORD}
    anonymous.post("/api/v1/auth/register", credentials)
    tokens = anonymous.post("/api/v1/auth/token", credentials, headers={"Idempotency-Key": "kept"}).json()
    ada = anonymous.signed_in(tokens["access_token"])
    ada.post("/api/v1/me/tasks", {"title": "Buy milk", "labels": ["errand"]}, headers={"Idempotency-Key": "kept"})
    ada.post("/api/v1/me/projects", {"name": "Mine"})
    ada.post("/api/v1/me/keys", {"name": "Mine", "scopes": ["account"]})
    ada.delete(ada.post("/api/v1/me/tasks", {"title": "Gone"}).headers["location"])
    database = Database(url)
    database.rows(
        "INSERT INTO one_time_tokens SELECT user_id, gen_random_uuid(), 'reset', repeat('a', 64), email, 1, now(),"
        " now() + interval '1 hour' FROM accounts"
    )
    database.rows("INSERT INTO outbox SELECT email, 'reset', 0, now(), now() FROM accounts")
    for prefix, digit in (("bob-", "0"), ("old-", "1")):
        for table in sorted(database.tables, key="users".__ne__):
            database.copy(table, f"{database.owner_name(table)} = 'ada'", database.changes(table, prefix, digit * 60))
    ages = {
        "idempotent_replies": 2,
        "anonymous_replies": 2,
        "sessions": 60,
        "one_time_tokens": 2,
        "outbox": 2,
        "tombstones": 91,
        "trash": 31,
        "history": 91,
    }
    for table, days in ages.items():
        times = [name for name in database.tables[table] if name == "day" or name.endswith("_at")]
        older = ", ".join(f"{name} = {name} - interval '{days} days'" for name in times)
        database.rows(f"UPDATE {table} SET {older} WHERE {database.owner_name(table)} = 'old'")
    yield database
    database.close()


def test_every_table_has_a_row_of_each_owner_to_reach(database: Database) -> None:
    assert len(database.tables) >= 9
    for table in database.tables:
        found = database.rows(f"SELECT {database.owner_name(table)} FROM {table} ORDER BY 1")
        assert [name for (name,) in found] == [*OWNERS], table


@pytest.mark.parametrize("name", SCOPES)
def test_policies_of_every_table_by_command_open_what_is_ones_own(database: Database, name: str) -> None:
    scope = SCOPES[name]
    found = {table: may for table in database.tables if (may := database.open_to(scope, table))}
    assert found == scope.may


@pytest.mark.parametrize("name", SCOPES)
def test_policies_of_every_table_keep_a_row_from_moving_to_another(database: Database, name: str) -> None:
    """Also where none can be seen: then there is nothing to move."""
    scope = SCOPES[name]
    for table in database.tables:
        column = database.owner(table)
        ((bob,),) = database.rows(f"SELECT {column} FROM {table} WHERE {database.owner_name(table)} = 'bob'")
        moved = f"SELECT {column} FROM {table} WHERE xmin::text = pg_current_xact_id()::text"
        ended = database.attempt(scope, "", f"UPDATE {table} SET {column} = '{bob}'", moved)
        may = column in database.granted(scope.role, table, "UPDATE")
        own = "UPDATE ada" in scope.may.get(table, "")
        assert ended == ("denied" if not may else "refused" if own else set()), table


@pytest.mark.parametrize("role", [USER_ROLE, LOGIN_ROLE])
def test_grants_on_columns_are_those_that_a_role_needs(database: Database, role: str) -> None:
    for table, columns in database.tables.items():
        readable, changeable = (database.granted(role, table, command) for command in ("SELECT", "UPDATE"))
        if readable:
            assert {*columns} - readable == {*MUST_NOT_READ[role].get(table, "").split()}, table
        if changeable and table in MAY_CHANGE[role]:
            assert changeable == {*MAY_CHANGE[role][table].split()}, table
        others = database.rows(
            f"SELECT kind FROM unnest(ARRAY['TRUNCATE', 'TRIGGER', 'REFERENCES']) kind"
            f" WHERE has_table_privilege('{role}', '{table}', kind)"
        )
        assert others == [], table


def test_catalogue_every_table_has_row_security_forced_and_policies_of_one_role_each(database: Database) -> None:
    """Every table but alembic's is one with user data: add its rows to the scopes here."""
    found = database.rows(
        "SELECT relname, relrowsecurity AND relforcerowsecurity, EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)"
        " FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'I', 'S', 'c', 't')"
    )
    assert {row for row in found if row[0] != "alembic_version"} == {(table, True, True) for table in database.tables}
    policies = database.rows("SELECT policyname, permissive, roles::text[] FROM pg_policies")
    assert len(policies) > 10
    assert {(permissive, *roles) for _, permissive, roles in policies} == {
        ("PERMISSIVE", USER_ROLE),
        ("PERMISSIVE", LOGIN_ROLE),
        ("RESTRICTIVE", USER_ROLE),  # that of what may be locked alone
    }


def test_catalogue_roles_inherit_nothing_own_nothing_and_nobody_else_may_use_the_tables(database: Database) -> None:
    roles = (USER_ROLE, LOGIN_ROLE)
    found = database.rows(
        "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication,"
        " EXISTS (SELECT FROM pg_shdepend WHERE refobjid = r.oid AND deptype = 'o'),"
        " EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r"
        f" WHERE rolname IN {roles} ORDER BY 1 DESC"
    )
    assert found == [(role, False, False, False) for role in roles]
    grantees = database.rows(
        "SELECT DISTINCT a.grantee::regrole::text FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner"
    )
    assert {name for (name,) in grantees} == {*roles}
    for role in roles:
        statement = f"SELECT has_schema_privilege('{role}', 'public', 'CREATE')"
        assert database.rows(statement) == [(False,)]
        assert "alembic_version" not in {
            name
            for (name,) in database.rows(
                f"SELECT table_name FROM information_schema.role_table_grants WHERE grantee = '{role}'"
            )
        }
