"""Helpers for tests of the embedded server."""

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2


def ask(url: str, statement: str, fetch: bool = True) -> Any:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if fetch else None


def keep(url: str) -> None:
    ask(url, "CREATE TABLE kept AS SELECT 'Grüße' AS word", fetch=False)


def kept(url: str) -> bool:
    return bool(ask(url, "SELECT word FROM kept") == ("Grüße",))


def pid(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().split()[0])
