"""The embedded database takes nothing from libpq's variables."""

import tempfile
from pathlib import Path

from tests.support.live import run
from todo_api.provisioning import migrations

VARIABLES = {
    "PGSERVICE": "elsewhere",
    "PGSERVICEFILE": "/nowhere/services",
    "PGHOST": "db.example.com",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGDATABASE": "elsewhere",
    "PGUSER": "nobody",
    "PGPASSFILE": "/nowhere/passwords",
    "PGOPTIONS": "-csearch_path=nowhere",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere/root",
    "PGREQUIREAUTH": "scram-sha-256",
    "PGCHANNELBINDING": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCLIENTENCODING": "SJIS",
    "PGDATA": "/nowhere",
}


def test_migrate_of_the_embedded_database_takes_nothing_from_variables_of_libpq() -> None:
    """In a folder that the database's system user may pass, as in the rest of these tests."""
    with tempfile.TemporaryDirectory(prefix="task-api-", ignore_cleanup_errors=True) as folder:
        done = run("migrate", cwd=Path(folder), DATA_DIR=f"{folder}/data", **VARIABLES)
    assert done.returncode == 0, done.stderr
    assert f"The database is at revision {migrations.head()}." in done.stderr
