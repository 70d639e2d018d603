"""Readiness of the database, checked as the serving roles."""

import re

from psycopg2 import errors

from todo_api.database import EACH_TIME, Database, reason
from todo_api.errors import Unavailable
from todo_api.provisioning.checks import SERVER, DatabaseUnfitError, ServerFacts, refuse_server

USER_RIGHTS = {
    "users": "SELECT INSERT UPDATE DELETE",
    "accounts": "SELECT UPDATE",
    "api_keys": "SELECT INSERT UPDATE DELETE",
    "sessions": "SELECT INSERT UPDATE DELETE",
    "one_time_tokens": "SELECT INSERT DELETE",
    "projects": "SELECT INSERT UPDATE DELETE",
    "task_labels": "SELECT INSERT UPDATE DELETE",
    "tasks": "SELECT INSERT UPDATE DELETE",
    "tombstones": "SELECT INSERT UPDATE",
    "trash": "SELECT INSERT DELETE",
    "history": "SELECT INSERT UPDATE",
    "idempotent_replies": "SELECT INSERT DELETE",
}
LOGIN_RIGHTS = {
    "users": "SELECT INSERT UPDATE",
    "accounts": "SELECT INSERT UPDATE",
    "api_keys": "SELECT UPDATE",
    "sessions": "SELECT UPDATE DELETE",
    "one_time_tokens": "SELECT DELETE",
    "outbox": "SELECT INSERT UPDATE DELETE",
    "tombstones": "SELECT DELETE",
    "trash": "SELECT DELETE",
    "history": "SELECT DELETE",
    "idempotent_replies": "SELECT DELETE",
    "anonymous_replies": "SELECT INSERT DELETE",
}
"""Privileges that each role needs, on some columns at least. Migrations of grants change this."""

REVISION = "SELECT version_num FROM public.alembic_version"
REVISION_NUMBER = re.compile("[0-9]{4}")

# Names of tables and rights are constants of this module.
WANTING = """
SET LOCAL ROLE {role};
WITH needed (name, kind) AS (VALUES {needed}), tables AS (
    SELECT name, kind, oid, relrowsecurity AND relforcerowsecurity AS walled
    FROM needed LEFT JOIN pg_class ON oid = to_regclass('public.' || name))
SELECT 'there is no table ' || name FROM tables WHERE oid IS NULL
UNION SELECT 'row-level security of ' || name || ' is off' FROM tables WHERE NOT walled
UNION SELECT current_user || ' may not ' || kind || ' ' || name FROM tables
WHERE NOT CASE WHEN kind = 'DELETE' THEN has_table_privilege(oid, kind) ELSE has_any_column_privilege(oid, kind) END
UNION SELECT current_user || ' may not use the schema public' WHERE NOT has_schema_privilege('public', 'USAGE')
UNION SELECT current_user || ' bypasses row-level security' FROM pg_roles
WHERE rolname = current_user AND (rolsuper OR rolbypassrls)
"""


def check_database(database: Database) -> None:
    """Raise Unavailable if the database does not answer, or the service cannot work with it."""
    with database.connection() as connection:
        (facts,) = connection.run(SERVER)
    try:
        refuse_server(ServerFacts(*facts))
    except DatabaseUnfitError as error:
        raise Unavailable(str(error)) from error


def check_schema(database: Database, needed: str) -> None:
    """Raise Unavailable if the schema is too old, or the roles lack privileges.

    A later schema is fine: the earlier release serves on during a migration.
    """
    with database.connection() as connection:
        try:
            found = connection.run(f"{EACH_TIME}{REVISION}")
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege) as error:
            raise Unavailable(f"the revision of the schema cannot be read: {reason(error)}") from error
        revision = str(found[0][0]) if found else "none"
        if not REVISION_NUMBER.match(revision) or revision < needed:  # revisions are numbers of four digits
            raise Unavailable(
                f"the schema is at revision {revision}, and this release needs {needed}: todo-api migrate"
            )
        for role, rights in zip(database.roles, (USER_RIGHTS, LOGIN_RIGHTS), strict=True):
            pairs = ", ".join(f"('{name}', '{kind}')" for name, kinds in rights.items() for kind in kinds.split())
            try:
                wanting = connection.run(EACH_TIME + WANTING.format(role=role, needed=pairs))
            except (errors.InsufficientPrivilege, errors.InvalidParameterValue, errors.InvalidSchemaName) as error:
                raise Unavailable(f"the role {role} cannot be taken: {reason(error)}") from error
            if wanting:
                raise Unavailable("; ".join(sorted(str(what) for (what,) in wanting)))
