"""Two databases with the same users. In one of them others have the same: tasks, keys, sessions and replies, under the same ids.

Row-level security is off in both. So whatever a request does differently in the two, the statements of the service did.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import psycopg2

from tests.support.client import Reply
from tests.support.rows import superuser_url

TWIN = "!twin-"
"""Prefix of the id of a copy that has exactly the same rows. It sorts before every user's id."""

LATER = "~later-"
"""Prefix of the id of a copy whose numbers are higher, and whose pending tasks are in progress and the reverse.

It is greater than any user's id.
"""

NOBODYS = {TWIN: "0" * 60, LATER: "f" * 60}
"""Prefixes of anonymous requests, for the same two copies."""

FURTHER = 1000
"""Difference between the numbers of a user and of the second copy."""

THEIR_TASK = "01932c07-9f7a-7c1d-b6a1-000000000001"
THEIR_KEY = "01932c07-9f7a-7c1d-b6a1-000000000002"
THEIR_PROJECT = "01932c07-9f7a-7c1d-b6a1-000000000003"
"""Ids of a task, a key and a project that the others have alone."""

_HEADERS = ("etag", "link", "location", "idempotent-replayed", "www-authenticate")
_TOKEN = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00(?::00)?)?|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\\*x?[0-9a-f]{56,}|\$argon2id[^\"]+|td[kor]_[\w-]+|eyJ[\w.-]+|\bm[0-9][0-9A-Za-z]{12,}\b"
)
_ELSEWHERE = {
    "email": "'{prefix}' || (r.email)",
    "family": "encode(sha256(convert_to('{prefix}' || r.family, 'UTF8')), 'hex')",
    "digest": "encode(sha256(convert_to('{prefix}' || r.digest, 'UTF8')), 'hex')",
}
"""Values of columns that are unique among all users, for a copy."""

_NUMBERS = ("version", "version_before", "seq", "passwords")
_SWAPPED = "CASE r.status WHEN 'pending' THEN 'in_progress' WHEN 'in_progress' THEN 'pending' ELSE r.status END"


class Sent(NamedTuple):
    """A statement that was sent, and what came back."""

    prefix: str
    scope: Mapping[str, Any]
    statement: Any
    values: Mapping[str, Any]
    rows: list[Any]


class Outcome(NamedTuple):
    """The outcome of a request, which must be the same whoever else is in the database."""

    replies: list[Any]
    answers: list[Any]
    mine: list[str]


class World:
    """One of the two databases, as its superuser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg2.connect(superuser_url(url))
        self._connection.autocommit = True
        self.rows("ALTER TABLE users ALTER epoch SET DEFAULT 7")  # the same in both
        found = self.rows(
            "SELECT c.relname, array_agg(a.attname::text) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version' GROUP BY 1"
            " ORDER BY c.relname = 'task_labels', 1"
        )
        self.tables: dict[str, list[str]] = dict(found)
        self.known: set[str] = set()
        self._plain: dict[str, str] = {}

    def rows(self, statement: str) -> list[Any]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self._connection.close()

    def owner(self, table: str) -> str:
        """The SQL of whose a row is."""
        return (
            "id"
            if table == "users"
            else next(name for name in ("user_id", "request", "email") if name in self.tables[table])
        )

    def _of_others(self, table: str) -> str:
        begins = "|".join((TWIN, LATER, *NOBODYS.values()))
        return f"r.{self.owner(table)} ~ '^({begins})'"

    def lower_the_second_wall(self) -> None:
        """Row-level security shows everybody everything."""
        for table in self.tables:
            self.rows(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    def make_older(self) -> None:
        """Every time that is written down is an hour earlier: what is written from now on can be told from it."""
        for table, column in self.rows(
            "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'timestamp with time zone' GROUP BY 1"
        ):
            changes = ", ".join(f"{name} = {name} - interval '1 hour'" for name in column)
            self.rows(f"UPDATE {table} SET {changes}")

    def copy_users(self) -> None:
        """For each user two others with the same, and with what nobody else has."""
        for prefix in (TWIN, LATER):
            for table in sorted(self.tables, key="users".__ne__):
                self.copy(table, f"NOT {self._of_others(table)}", self.changes(table, prefix, NOBODYS[prefix]))
        for table, id_ in (("projects", THEIR_PROJECT), ("tasks", THEIR_TASK), ("api_keys", THEIR_KEY)):
            one = f"({self.owner(table)}, id) IN (SELECT {self.owner(table)}, min(id::text)::uuid FROM {table} GROUP BY 1)"
            changes = {"id": f"'{id_}'"}
            if "digest" in self.tables[table]:
                changes["digest"] = _ELSEWHERE["digest"].format(prefix="another-")
            self.copy(table, f"{self._of_others(table)} AND {one}", changes)

    def changes(self, table: str, prefix: str, nobody: str) -> dict[str, str]:
        """Return the values that differ in a copy of a user's rows. Without a user they begin with `nobody`."""
        columns = self.tables[table]
        if self.owner(table) == "request":
            return {"request": f"'{nobody}' || right(r.request, 4)"}
        changes = {self.owner(table): f"'{prefix}' || r.{self.owner(table)}"}
        changes |= {name: sql.format(prefix=prefix) for name, sql in _ELSEWHERE.items() if name in columns}
        if prefix == LATER:
            changes |= {name: f"r.{name} + {FURTHER}" for name in _NUMBERS if name in columns}
            changes |= {"status": _SWAPPED} if "status" in columns else {}
        return changes

    def copy(self, table: str, which: str, changes: dict[str, str]) -> None:
        """Rows once more, with other values in some columns."""
        told = ", ".join(f"'{name}', {sql}" for name, sql in changes.items())
        self.rows(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(r) || jsonb_build_object({told}))).*"
            f" FROM {table} r WHERE {which}"
        )

    def keep(self) -> None:
        """Keep the rows that are there now, for `restore`."""
        self.rows("CREATE SCHEMA kept")
        for table in self.tables:
            ordered = f'SELECT * FROM public.{table} ORDER BY {self.owner(table)} COLLATE "C", ctid'
            self.rows(f"CREATE TABLE kept.{table} AS {ordered}")  # others first: who reads any row reads theirs
        self._restore = "BEGIN; SET LOCAL session_replication_role = replica;" + "".join(
            f"DELETE FROM public.{table}; INSERT INTO public.{table} TABLE kept.{table};" for table in self.tables
        )

    def restore(self) -> None:
        self.rows(f"{self._restore}COMMIT")

    def _all(self, columns: str, which: str) -> list[Any]:
        return self.rows(
            " UNION ALL ".join(
                f"SELECT '{table} ' || {columns.format(owner=self.owner(table))} FROM {table} r WHERE {which} {self._of_others(table)}"
                for table in self.tables
            )
        )

    def of_others(self) -> list[Any]:
        """Every row of the others: whose it is, its place, and who has written or locked it.

        What is at a place changes with the one who wrote it.
        """
        return sorted(self._all("r.{owner}, r.tableoid::text, r.ctid::text, r.xmin::text, r.xmax::text", ""))

    def mine(self) -> list[str]:
        """Every other row."""
        return [row for (row,) in self._all("to_jsonb(r)::text", "NOT")]

    def plain(self, value: Any) -> str:
        """Return a value as text, without the times, ids and secrets that are new."""

        def known(match: re.Match[str]) -> str:
            token = _canonical(match[0])
            return token if token in self.known else "new"

        text = value if isinstance(value, str) else json.dumps(value, default=_text)
        if text not in self._plain:  # most rows are there after each case
            self._plain[text] = _TOKEN.sub(known, text)
        return self._plain[text]

    def learn(self, text: str) -> None:
        """The times and ids in it are not new."""
        self.known |= {_canonical(token) for token in _TOKEN.findall(text)}
        self._plain.clear()

    def outcome(self, replies: list[Reply], sent: list[Sent]) -> Outcome:
        told = [
            (
                reply.status,
                self.plain(reply.body.decode()),
                {name: self.plain(reply.headers.get(name, "")) for name in _HEADERS},
            )
            for reply in replies
        ]
        answers = [(one.statement.sql, [self.plain(row) for row in one.rows]) for one in sent]
        return Outcome(told, answers, sorted(map(self.plain, self.mine())))


def _canonical(token: str) -> str:
    """Return a token as it is compared: a time to the microsecond, since a case may begin in the second in which its users came."""
    if ":" not in token:
        return token.lstrip("\\x")
    return f"{token[:19].replace(' ', 'T')}.{token[20:].rstrip('Z+:0')}"


def _text(value: Any) -> str:
    return bytes(value).hex() if isinstance(value, memoryview) else str(value)


Ask = Callable[..., Reply]
"""A request of somebody: who, method, path, and, if there is one, the body; header fields by their names."""


def tags(reply: Reply) -> Iterator[dict[str, str]]:
    """Conditions: at what others have, at what was read, and none. In this order, since a write changes what was read."""
    version = reply.json()["version"]
    yield {"If-Match": re.sub(rf"(?<!\d){version}(?!\d)", str(version + FURTHER), reply.headers["etag"])}
    yield {"If-Match": reply.headers["etag"]}
    yield {}
