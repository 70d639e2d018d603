"""Requirements for a database. Each refusal is one line with a remedy."""

import re
from typing import Any, NamedTuple

from psycopg2 import errors

from todo_api.config import Roles
from todo_api.database import STRINGS_ADVICE
from todo_api.models import metadata

OLDEST = 15
OURS = re.compile(r"[0-9]{4}(_.*)?")
"""Form of this service's revisions, also of later releases."""

SERVER = """
SELECT current_database(), session_user, current_setting('server_version_num')::int / 10000,
    current_setting('server_encoding'), current_setting('standard_conforming_strings') = 'on',
    current_setting('session_replication_role') = 'origin', pg_is_in_recovery(),
    current_setting('transaction_read_only') = 'on'
"""
SCHEMA = """
SELECT current_user, to_regnamespace('public') IS NOT NULL,
    coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), false),
    coalesce(has_schema_privilege(to_regnamespace('public'), 'USAGE WITH GRANT OPTION'), false),
    (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user),
    ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('public') AND relname = ANY(%(tables)s)),
    (SELECT count(*) = 3 FROM pg_class WHERE relnamespace = to_regnamespace('public')
        AND relname IN ('users', 'accounts', 'tasks') AND relrowsecurity),
    to_regclass('public.alembic_version') IS NOT NULL,
    (SELECT min(version.relnamespace::regnamespace::text) FROM pg_class version JOIN pg_class tasks
        ON tasks.relnamespace = version.relnamespace AND tasks.relname = 'tasks' AND tasks.relforcerowsecurity
        WHERE version.relname = 'alembic_version' AND version.relnamespace <> to_regnamespace('public')),
    ARRAY(SELECT DISTINCT unnest(roles)::text FROM pg_policies WHERE schemaname = 'public' AND tablename = 'tasks')
"""
ROLES = """
SELECT name, pg_roles.oid IS NOT NULL, coalesce(pg_has_role(current_user, pg_roles.oid, %(set_role)s), false),
    coalesce(pg_has_role(current_user, pg_roles.oid, 'MEMBER WITH ADMIN OPTION'), false),
    has_schema_privilege(coalesce(rolname, 'public'), 'public', 'USAGE')
FROM unnest(%(names)s) AS name LEFT JOIN pg_roles ON rolname = name
"""
GRANTS_SET_SINCE = 16
"""The first release that distinguishes membership in a role from the right to SET ROLE."""


class DatabaseUnfitError(Exception):
    """The database is not usable. The message is one line with a remedy."""


class ServerFacts(NamedTuple):
    """Facts of a session on its server, database and settings."""

    database: str
    user: str
    release: int
    encoding: str
    standard_strings: bool
    has_triggers: bool
    is_standby: bool
    is_read_only: bool


class SchemaFacts(NamedTuple):
    """Facts of a database on its tables. `elsewhere` is a schema besides public that has ours."""

    user: str
    has_public: bool
    may_create: bool
    may_share: bool
    may_make_roles: bool
    tables: list[str]
    is_ours: bool
    has_version: bool
    elsewhere: str | None
    roles: list[str]


def current_revision(cursor: Any, roles: Roles) -> str | None:
    """Return the revision of a usable database, None before its first migration.

    Raise DatabaseUnfitError.
    """
    cursor.execute(SERVER)
    server = ServerFacts(*cursor.fetchone())
    refuse_server(server)
    cursor.execute(SCHEMA, {"tables": list(metadata.tables)})
    schema = SchemaFacts(*cursor.fetchone())
    revision = _revision(cursor, server.database, schema)
    if revision is None:
        _refuse_place(server.database, schema)
    elif roles.user not in schema.roles:
        raise DatabaseUnfitError(
            f"the database {server.database} was made for the roles {', '.join(schema.roles)}, not {roles.user}:"
            " set DATABASE_ROLE_PREFIX to what it was then."
        )
    _refuse_roles(cursor, server.release, schema, roles, is_new=revision is None)
    return revision


def refuse_server(facts: ServerFacts) -> None:
    """Raise DatabaseUnfitError if the set-up of server, database or role is unusable."""
    name, user = facts.database, facts.user
    if facts.release < OLDEST:
        raise DatabaseUnfitError(
            f"the server is PostgreSQL {facts.release}: upgrade it, the service needs {OLDEST} or newer."
        )
    if facts.encoding != "UTF8":
        raise DatabaseUnfitError(
            f"the encoding of the database {name} is {facts.encoding}, and the service needs UTF8:"
            " make another database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0."
        )
    if facts.is_standby:
        raise DatabaseUnfitError("the server is a standby, which only reads: name the primary in DATABASE_URL.")
    if facts.is_read_only:
        raise DatabaseUnfitError(
            f"the database {name} is read-only: run ALTER DATABASE {name} RESET default_transaction_read_only,"
            f" and ALTER ROLE {user} likewise."
        )
    if not facts.standard_strings:
        raise DatabaseUnfitError(STRINGS_ADVICE)
    if not facts.has_triggers:
        raise DatabaseUnfitError(
            "session_replication_role switches foreign keys off:"
            f" run ALTER ROLE {user} RESET session_replication_role, and ALTER DATABASE {name} likewise."
        )


def _revision(cursor: Any, database: str, facts: SchemaFacts) -> str | None:
    if not facts.has_version:
        return None
    try:
        cursor.execute("SELECT version_num FROM public.alembic_version")
        found = [str(number) for (number,) in cursor.fetchall()]
    except errors.UndefinedColumn:
        found = ["unknown"]
    except errors.InsufficientPrivilege as error:
        raise DatabaseUnfitError(
            f"the role {facts.user} may not read the table alembic_version of the database {database}:"
            " use its owner, or give the service a database of its own."
        ) from error
    if not found and not facts.tables:
        return None
    if len(found) != 1 or not OURS.fullmatch(found[0]) or not facts.is_ours:
        raise DatabaseUnfitError(
            f"the table alembic_version of the database {database} is another program's"
            f" (revision {', '.join(sorted(found)) or 'none'}): give the service a database of its own."
        )
    return found[0]


def _refuse_place(database: str, facts: SchemaFacts) -> None:
    """Refuse a database that has no room for the first migration."""
    if not facts.has_public:
        raise DatabaseUnfitError(f"the database {database} has no schema public: run CREATE SCHEMA public.")
    if facts.elsewhere:
        raise DatabaseUnfitError(
            f"the tables are in the schema {facts.elsewhere}, and the service uses public:"
            f" run ALTER SCHEMA {facts.elsewhere} RENAME TO public in place of an empty public, or use another database."
        )
    if facts.tables:
        raise DatabaseUnfitError(
            f"the database {database} has a table {min(facts.tables)} of another program:"
            " give the service a database of its own."
        )
    if not facts.may_create:
        raise DatabaseUnfitError(
            f"the role {facts.user} may not make tables: run ALTER DATABASE {database} OWNER TO {facts.user},"
            f" or GRANT CREATE ON SCHEMA public TO {facts.user}."
        )


def _refuse_roles(cursor: Any, release: int, facts: SchemaFacts, roles: Roles, *, is_new: bool) -> None:
    cursor.execute(ROLES, {"names": list(roles), "set_role": "SET" if release >= GRANTS_SET_SINCE else "MEMBER"})
    found = cursor.fetchall()
    both = ", ".join(roles)
    if any(exists and not (may_set or (is_new and may_grant)) for _, exists, may_set, may_grant, _ in found):
        raise DatabaseUnfitError(
            f"the role {facts.user} may not take the roles {both}. If they are another deployment's in this cluster,"
            f" set DATABASE_ROLE_PREFIX to a name of your own; if they are this one's, run GRANT {both} TO {facts.user}."
        )
    existing = {name for name, exists, *_ in found if exists}
    missing = [name for name in roles if name not in existing]
    if missing and not (is_new and facts.may_make_roles):
        raise DatabaseUnfitError(
            f"the roles {', '.join(missing)} are missing, and the role {facts.user} cannot make them:"
            f" run CREATE ROLE ... NOLOGIN for each, and GRANT {both} TO {facts.user}."
        )
    if not all(may_use for *_, may_use in found) and not (is_new and facts.may_share):
        whom = f"{facts.user} WITH GRANT OPTION" if is_new else both
        raise DatabaseUnfitError(
            f"the roles {both} may not use the schema public, which another role owns:"
            f" run GRANT USAGE ON SCHEMA public TO {whom}."
        )
