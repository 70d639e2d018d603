"""What the two FastAPI servers share: the table, the models, the checks and the statements.

Written as FastAPI's and SQLModel's documentation teach it, with what makes that stack fast: docs/benchmarks.md lists it.
`python fastapi_tasks.py URL` makes the table.
"""

import base64
import binascii
import os
import re
import struct
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import jwt
from fastapi import Depends, Header, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator
from sqlalchemy import BigInteger, DateTime, Index, Text, Update, case, func, tuple_, update
from sqlmodel import Field, SQLModel, col, create_engine, select
from sqlmodel.sql.expression import Select
from uuid_utils.compat import uuid7

PREFIX = "/api/v1/{user_id}/tasks"
PATH = "/api/v1/me/tasks"
SECRET = os.environ.get("JWT_SECRET", "")
POOL_SIZE = int(os.environ.get("BENCH_POOL_SIZE", "8"))
# Every operation is one statement, so autocommit spares it BEGIN and COMMIT or ROLLBACK, two round trips of three. Few write it
# so, since a second statement would then be no longer in one transaction with the first: both are measured.
ISOLATION = os.environ.get("BENCH_ISOLATION", "READ COMMITTED")
ENGINE: dict[str, Any] = {
    "pool_size": POOL_SIZE,
    "max_overflow": 0,
    "isolation_level": ISOLATION,
    "skip_autocommit_rollback": ISOLATION == "AUTOCOMMIT",
}
ISSUER = AUDIENCE = "task-api"
CLAIMS = ["iss", "aud", "sub", "iat", "exp"]
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Status = Literal["pending", "in_progress", "completed", "cancelled"]
Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"]
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("pending", "in_progress", "completed", "cancelled"),
    "in_progress": ("pending", "in_progress", "completed", "cancelled"),
    "completed": ("pending", "in_progress", "completed"),
    "cancelled": ("pending", "cancelled"),
}
INVISIBLE = r"\x20\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
PLAIN = r"[^\x00-\x1f\x7f-\x9f]*"
Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=rf"^{PLAIN}[^\x00-\x1f\x7f-\x9f{INVISIBLE}]{PLAIN}$"),
]
Description = Annotated[str, StringConstraints(max_length=5000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")]


class Task(SQLModel, table=True):
    """The row: the same columns and indexes as the service's, without its row-level security, counters and constraints."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("tasks_by_created_at", "user_id", "created_at", "id"),
        Index("tasks_by_updated_at", "user_id", "updated_at", "id"),
        Index("tasks_by_title", "user_id", "title", "id"),
    )
    user_id: str = Field(primary_key=True, sa_type=Text)
    id: UUID = Field(default_factory=uuid7, primary_key=True)
    title: str = Field(sa_type=Text)
    description: str | None = Field(default=None, sa_type=Text)
    status: str = Field(sa_type=Text)
    completed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(sa_type=DateTime(timezone=True))
    version: int = Field(default=1, sa_type=BigInteger)

    @property
    def completed(self) -> bool:
        return self.status == "completed"


class TaskOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: str
    title: str
    description: str | None
    status: Status
    completed: bool
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class Page(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    items: list[TaskOut]
    total: int
    next_cursor: str | None


class TaskIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Title
    description: Description | None = None
    status: Status = "pending"


class TaskPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Title = ""  # absent: not set; null is refused
    description: Description | None = None
    status: Status = "pending"

    @model_validator(mode="after")
    def _not_empty(self) -> "TaskPatch":
        if not self.model_fields_set:
            raise ValueError("at least one member")
        return self


class Completion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    completed: bool


class Wanted(BaseModel):
    """The parameters of a list."""

    model_config = ConfigDict(extra="forbid")

    status: str | None = None
    completed: bool | None = None
    q: str | None = Field(default=None, min_length=1, max_length=200)
    sort: Sort = "-created_at"
    limit: int = Field(default=50, ge=1, le=1000)
    skip: int = Field(default=0, ge=0, le=100000)
    cursor: str | None = Field(default=None, max_length=2048)


bearer = HTTPBearer(auto_error=False)


async def current_user(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
    if credentials is None:
        raise HTTPException(401, "No token.", {"WWW-Authenticate": "Bearer"})
    try:
        options: Any = {"require": CLAIMS}
        claims = jwt.decode(
            credentials.credentials, SECRET, ["HS256"], options, audience=AUDIENCE, issuer=ISSUER, leeway=60
        )
    except jwt.PyJWTError as error:
        raise HTTPException(401, "The token is invalid.", {"WWW-Authenticate": "Bearer"}) from error
    return str(claims["sub"])


async def owner_of(user_id: str, user: Annotated[str, Depends(current_user)]) -> str:
    if user_id not in ("me", user):
        raise HTTPException(403, "Another user's address.")
    return user


Owner = Annotated[str, Depends(owner_of)]
IfMatch = Annotated[str | None, Header(max_length=1024)]
IfNoneMatch = Annotated[str | None, Header(max_length=1024)]
ListQuery = Annotated[Wanted, Query()]


def etag(task: Task) -> str:
    return f'"{task.version}"'


def sources(target: str) -> list[str]:
    return [source for source, targets in TRANSITIONS.items() if target in targets]


def _versions(if_match: str) -> list[int]:
    return [int(tag) for tag in re.findall(r'"([0-9]{1,18})"', if_match)]


def new_task(owner: str, body: TaskIn) -> Task:
    now = datetime.now(UTC)
    return Task(
        user_id=owner,
        created_at=now,
        updated_at=now,
        completed_at=now if body.status == "completed" else None,
        **body.model_dump(),
    )


def get_statement(owner: str, task_id: UUID) -> Select[Task]:
    return select(Task).where(Task.user_id == owner, Task.id == task_id)


def change_statement(owner: str, task_id: UUID, changes: dict[str, Any], if_match: str | None) -> Update:
    """One UPDATE ... RETURNING that checks the version and the transition itself."""
    statement = update(Task).where(col(Task.user_id) == owner, col(Task.id) == task_id)
    if if_match not in (None, "*"):
        statement = statement.where(col(Task.version).in_(_versions(if_match)))
    values = {**changes, "version": Task.version + 1, "updated_at": func.clock_timestamp()}
    if "status" in changes:
        statement = statement.where(col(Task.status).in_(sources(changes["status"])))
        done = func.coalesce(Task.completed_at, func.clock_timestamp())
        values["completed_at"] = done if changes["status"] == "completed" else None
    return statement.values(**values).returning(Task).execution_options(synchronize_session=False)


def complete_statement(owner: str, task_id: UUID, completed: bool | None, if_match: str | None) -> Update:
    if completed is not None:
        changes = {"status": "completed" if completed else "pending"}
        return change_statement(owner, task_id, changes, if_match)
    is_done = col(Task.status) == "completed"
    statement = change_statement(owner, task_id, {}, if_match).where(col(Task.status).in_(sources("completed")))
    return statement.values(
        status=case((is_done, "pending"), else_="completed"),
        completed_at=case((is_done, None), else_=func.clock_timestamp()),
    )


def refusal(task: Task | None, if_match: str | None) -> HTTPException:
    """Why a write changed nothing."""
    if task is None:
        return HTTPException(404, "There is no such task.")
    if if_match not in (None, "*") and task.version not in _versions(if_match):
        return HTTPException(412, "The task has changed.", {"ETag": etag(task)})
    return HTTPException(409, "The status cannot change so.")


def page_statement(owner: str, wanted: Wanted) -> Select[tuple[Task, int]]:
    """The page and its total in one statement: the count is a scalar subquery, so it costs no second round trip."""
    filters: list[Any] = [col(Task.user_id) == owner]
    if wanted.status is not None:
        filters.append(col(Task.status).in_(wanted.status.split(",")))
    if wanted.completed is not None:
        filters.append((col(Task.status) == "completed") == wanted.completed)
    for word in (wanted.q or "").split():
        text = col(Task.title) + "\n" + func.coalesce(Task.description, "")
        filters.append(text.icontains(word, autoescape=True))
    total = select(func.count()).select_from(Task).where(*filters).scalar_subquery()
    key, descending = getattr(Task, wanted.sort.lstrip("-")), wanted.sort.startswith("-")
    statement = select(Task, total).where(*filters)
    if wanted.cursor is not None:
        position, row = _read_cursor(wanted.cursor, wanted.sort), tuple_(key, Task.id)
        statement = statement.where(row < position if descending else row > position)
    order = (key.desc(), col(Task.id).desc()) if descending else (key, col(Task.id))
    return statement.order_by(*order).limit(wanted.limit + 1).offset(wanted.skip)


def page_of(rows: list[tuple[Task, int]], wanted: Wanted) -> Page:
    tasks = [row[0] for row in rows[: wanted.limit]]
    more = len(rows) > wanted.limit
    return {  # type: ignore[return-value]  # FastAPI makes the Page from it once; making it here would do it twice
        "items": tasks,
        "total": rows[0][1] if rows else 0,
        "next_cursor": _write_cursor(tasks[-1], wanted.sort) if more else None,
    }


def _write_cursor(task: Task, sort: str) -> str:
    key = getattr(task, sort.lstrip("-"))
    text = struct.pack(">q", (key - EPOCH) // MICROSECOND) if isinstance(key, datetime) else key.encode()
    return base64.urlsafe_b64encode(task.id.bytes + text).rstrip(b"=").decode()


def _read_cursor(cursor: str, sort: str) -> tuple[Any, UUID]:
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        task_id, key = UUID(bytes=content[:16]), content[16:]
        if sort.endswith("title"):
            return key.decode(), task_id
        return EPOCH + struct.unpack(">q", key)[0] * MICROSECOND, task_id
    except (ValueError, struct.error, binascii.Error) as error:
        raise HTTPException(400, "The cursor does not hold.") from error


def database_url(driver: str) -> str:
    return os.environ["DATABASE_URL"].replace("postgresql://", f"postgresql+{driver}://", 1)


if __name__ == "__main__":
    os.environ["DATABASE_URL"] = sys.argv[1]
    SQLModel.metadata.create_all(create_engine(database_url("psycopg2")))
