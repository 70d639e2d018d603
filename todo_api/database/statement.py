"""Statements of SQLAlchemy Core, compiled once at the start."""

import re
from collections.abc import Mapping
from copy import copy
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import sqlalchemy
from sqlalchemy import Column, ColumnElement, Text, any_, bindparam, case, cast, literal_column
from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN
from sqlalchemy.dialects.postgresql import psycopg2 as dialect

from todo_api.database.connection import STATEMENT_TIMEOUT

Row = tuple[Any, ...]

LONG = 60
"""Maximum seconds of a statement that writes very many rows. The user's other writes wait."""

FEW = 1000
"""Maximum number of rows that a statement can write within the time that any has."""

_DIALECT = dialect.dialect(paramstyle="pyformat")


def _literal(value: str | int) -> str:
    """Return a constant as SQL, with `%` doubled for psycopg2."""
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"


def param(name: str, kind: Any) -> ColumnElement[Any]:
    """Return a typed bind parameter."""
    return cast(bindparam(name, type_=kind), kind)


def column_value(column: Column[Any]) -> ColumnElement[Any]:
    """Return a bind parameter with a column's name and type."""
    kind = column.type.data_type if isinstance(column.type, DOMAIN) else column.type
    return param(column.name, kind)


def if_named(column: Column[Any]) -> ColumnElement[Any]:
    """Return the parameter of the column if it is one of `named`, else what the column has."""
    is_named = literal_column(f"'{column.name}'") == any_(param("named", ARRAY(Text)))
    return case((is_named, column_value(column)), else_=column)


def _listed(parts: list[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


class Statement:
    """A compiled statement with inlined constants: whole, to prepare, and to execute."""

    __slots__ = ("execute", "longer", "name", "prepare", "reads", "sql", "times_as_text")

    def __init__(
        self,
        statement: sqlalchemy.Executable,
        *,
        seconds: int | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        times_as_text: bool = False,
    ) -> None:
        """Compile the statement. `seconds` is a time limit instead of the session's.

        It is planned and run with the `settings` of PostgreSQL. With `times_as_text` its rows have
        times as PostgreSQL writes them, in UTC.
        """
        self.longer = max(0, (seconds or 0) - STATEMENT_TIMEOUT)
        """Seconds by which its limit exceeds that of the session."""
        self.times_as_text = times_as_text
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]  # every Executable of Core has it
        sql = str(compiled)
        for name, value in compiled.params.items():
            if value is not None:
                sql = sql.replace(f"%({name})s", _literal(value))
        own = {**settings, **({} if seconds is None else {"statement_timeout": f"{seconds}s"})}
        prefix = "".join([f"SET LOCAL {name} = '{value}';\n" for name, value in own.items()])
        self.sql = prefix + sql
        self.reads = re.search(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", sql) is None
        self.name = f"s_{sha256(sql.encode()).hexdigest()[:32]}"
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", sql)))
        types = [compiled.binds[name].type.compile(dialect=_DIALECT) for name in names]
        for number, name in enumerate(names, start=1):
            sql = sql.replace(f"%({name})s", f"${number}")
        self.prepare = f"PREPARE {self.name}{_listed(types)} AS {sql};\n"
        self.execute = f"{prefix}EXECUTE {self.name}{_listed([f'%({name})s' for name in names])}"

    def for_rows(self, count: int) -> "Statement":
        """Return the statement with the time that it needs to write so many rows.

        Only that of very many has more than others: who waits for a silent database waits as long.
        It joins by hashes: PostgreSQL may take very many for none that it has not counted since.
        """
        if count <= FEW:
            return self
        more = copy(self)
        limit = f"SET LOCAL statement_timeout = '{LONG}s';\nSET LOCAL enable_nestloop = off;\n"
        more.longer, more.sql, more.execute = LONG - STATEMENT_TIMEOUT, limit + self.sql, limit + self.execute
        return more
