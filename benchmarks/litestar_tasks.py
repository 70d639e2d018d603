"""Litestar + msgspec + asyncpg, for granian: the operations of the FastAPI servers, on the same table, with the same checks.

Written as Litestar's and msgspec's documentation teach it, with what makes that stack fast: docs/benchmarks.md lists it.
"""

import base64
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import jwt
import msgspec
from litestar import Controller, Litestar, Request, Response, get, patch, post
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.params import Parameter
from msgspec import UNSET, Meta, Struct, UnsetType
from uuid_utils.compat import uuid7

PATH = "/api/v1/me/tasks"
SECRET = os.environ.get("JWT_SECRET", "")
POOL_SIZE = int(os.environ.get("BENCH_POOL_SIZE", "8"))
ISSUER = AUDIENCE = "task-api"
CLAIMS = ["iss", "aud", "sub", "iat", "exp"]

Status = Literal["pending", "in_progress", "completed", "cancelled"]
Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"]
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("pending", "in_progress", "completed", "cancelled"),
    "in_progress": ("pending", "in_progress", "completed", "cancelled"),
    "completed": ("pending", "in_progress", "completed"),
    "cancelled": ("pending", "cancelled"),
}
SOURCES = {target: [one for one, targets in TRANSITIONS.items() if target in targets] for target in TRANSITIONS}
INVISIBLE = r"\x20\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
PLAIN = r"[^\x00-\x1f\x7f-\x9f]*"
Title = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=rf"^{PLAIN}[^\x00-\x1f\x7f-\x9f{INVISIBLE}]{PLAIN}\Z")
]
Description = Annotated[str, Meta(max_length=5000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*\Z")]

COLUMNS = "id, user_id, title, description, status, status = 'completed', completed_at, created_at, updated_at, version"
GET = f"SELECT {COLUMNS} FROM tasks WHERE user_id = $1 AND id = $2"
CREATE = f"""
INSERT INTO tasks (user_id, id, title, description, status, completed_at, created_at, updated_at, version)
SELECT $1, $2, $3, $4, $5, CASE WHEN $5 = 'completed' THEN now END, now, now, 1 FROM clock_timestamp() AS now
RETURNING {COLUMNS}
"""


class Task(Struct):
    """The members in the order of COLUMNS."""

    id: UUID
    user_id: str
    title: str
    description: str | None
    status: str
    completed: bool
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class Page(Struct):
    items: list[Task]
    total: int
    next_cursor: str | None


class TaskIn(Struct, forbid_unknown_fields=True):
    title: Title
    description: Description | None = None
    status: Status = "pending"


class TaskPatch(Struct, forbid_unknown_fields=True):
    title: Title | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET


class Completion(Struct, forbid_unknown_fields=True):
    completed: bool


IfMatch = Annotated[str | None, Parameter(header="If-Match", max_length=1024)]
IfNoneMatch = Annotated[str | None, Parameter(header="If-None-Match", max_length=1024)]


def owner_of(request: Request[Any, Any, Any], user_id: str) -> str:
    sent = request.headers.get("authorization", "")
    if not sent.startswith("Bearer "):
        raise HTTPException(status_code=401, detail="No token.", headers={"WWW-Authenticate": "Bearer"})
    try:
        options: Any = {"require": CLAIMS}
        user = jwt.decode(sent[7:], SECRET, ["HS256"], options, audience=AUDIENCE, issuer=ISSUER, leeway=60)["sub"]
    except jwt.PyJWTError as error:
        bearer = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(status_code=401, detail="The token is invalid.", headers=bearer) from error
    if user_id not in ("me", user):
        raise HTTPException(status_code=403, detail="Another user's address.")
    return str(user)


def told(task: Task, status: int = 200, **headers: str) -> Response[Task]:
    return Response(task, status_code=status, headers={"ETag": f'"{task.version}"', **headers})


def versions(if_match: str) -> list[int]:
    return [int(tag) for tag in re.findall(r'"([0-9]{1,18})"', if_match)]


def change(assigned: list[str], sources: bool, known: bool, first: int) -> str:
    """One UPDATE ... RETURNING that checks the version and the transition itself. `first` numbers their values."""
    where = ["user_id = $1", "id = $2"]
    if sources:
        where.append(f"status = ANY (${first})")
    if known:
        where.append(f"version = ANY (${first + sources})")
    sets = ", ".join([*assigned, "version = version + 1", "updated_at = clock_timestamp()"])
    return f"UPDATE tasks SET {sets} WHERE {' AND '.join(where)} RETURNING {COLUMNS}"


class Tasks(Controller):
    path = "/api/v1/{user_id:str}/tasks"
    dependencies = {"owner": Provide(owner_of, sync_to_thread=False)}  # noqa: RUF012  # as Litestar teaches it

    @get()
    async def list_tasks(  # noqa: PLR0913, PLR0917  # the contract's parameters
        self,
        owner: str,
        pool: asyncpg.Pool,
        status: str | None = None,
        completed: bool | None = None,
        q: Annotated[str | None, Parameter(min_length=1, max_length=200)] = None,
        sort: Sort = "-created_at",
        limit: Annotated[int, Parameter(ge=1, le=1000)] = 50,
        skip: Annotated[int, Parameter(ge=0, le=100000)] = 0,
        cursor: Annotated[str | None, Parameter(max_length=2048)] = None,
    ) -> Page:
        values: list[Any] = [owner]

        def value(given: Any) -> str:
            values.append(given)
            return f"${len(values)}"

        filters = ["user_id = $1"]
        if status is not None:
            filters.append(f"status = ANY ({value(status.split(','))})")
        if completed is not None:
            filters.append(f"(status = 'completed') = {value(completed)}")
        for word in (q or "").split():
            pattern = value("%" + re.sub(r"([\\%_])", r"\\\1", word) + "%")
            filters.append(rf"(title || E'\n' || coalesce(description, '')) ILIKE {pattern}")
        # The page and its total in one statement: the count is a scalar subquery, so it costs no second round trip.
        total = f"(SELECT count(*) FROM tasks WHERE {' AND '.join(filters)})"
        key, descending = sort.lstrip("-"), sort.startswith("-")
        if cursor is not None:
            at, task_id = read_cursor(cursor, key)
            filters.append(f"({key}, id) {'<' if descending else '>'} ({value(at)}, {value(task_id)})")
        order = " DESC" if descending else ""
        statement = (
            f"SELECT {COLUMNS}, {total} FROM tasks WHERE {' AND '.join(filters)}"
            f" ORDER BY {key}{order}, id{order} LIMIT {value(limit + 1)} OFFSET {value(skip)}"
        )
        rows = await pool.fetch(statement, *values)
        items = [Task(*row[:-1]) for row in rows[:limit]]
        more = write_cursor(items[-1], key) if len(rows) > limit else None
        return Page(items, rows[0][-1] if rows else 0, more)

    @post()
    async def create_task(self, owner: str, pool: asyncpg.Pool, data: TaskIn) -> Response[Task]:
        task = Task(*await pool.fetchrow(CREATE, owner, uuid7(), data.title, data.description, data.status))
        return told(task, 201, Location=f"{PATH}/{task.id}")

    @get("/{task_id:uuid}")
    async def get_task(
        self, owner: str, pool: asyncpg.Pool, task_id: UUID, if_none_match: IfNoneMatch = None
    ) -> Response[Task | None]:
        row = await pool.fetchrow(GET, owner, task_id)
        if row is None:
            raise HTTPException(status_code=404, detail="There is no such task.")
        task = Task(*row)
        if if_none_match == f'"{task.version}"':
            return Response(None, status_code=304, headers={"ETag": if_none_match})
        return told(task)

    @patch("/{task_id:uuid}")
    async def update_task(
        self, owner: str, pool: asyncpg.Pool, task_id: UUID, data: TaskPatch, if_match: IfMatch = None
    ) -> Response[Task]:
        sent = {name: getattr(data, name) for name in ("title", "description", "status")}
        values = {name: value for name, value in sent.items() if value is not UNSET}
        if not values:
            raise HTTPException(status_code=400, detail="At least one member.")
        return await written(pool, owner, task_id, values, if_match)

    @patch("/{task_id:uuid}/complete")
    async def complete_task(
        self,
        owner: str,
        pool: asyncpg.Pool,
        task_id: UUID,
        request: Request[Any, Any, Any],
        if_match: IfMatch = None,
    ) -> Response[Task]:
        body = await request.body()
        if not body:
            return await written(pool, owner, task_id, None, if_match)
        try:
            done = msgspec.json.decode(body, type=Completion).completed
        except msgspec.ValidationError as error:
            raise HTTPException(status_code=400, detail=str(error)) from error
        return await written(pool, owner, task_id, {"status": "completed" if done else "pending"}, if_match)


async def written(
    pool: asyncpg.Pool, owner: str, task_id: UUID, values: dict[str, Any] | None, if_match: str | None
) -> Response[Task]:
    """Set `values`, or without them complete or reopen."""
    if values is None:
        status: Any = "completed"
        assigned = [
            "status = CASE WHEN status = 'completed' THEN 'pending' ELSE 'completed' END",
            "completed_at = CASE WHEN status <> 'completed' THEN clock_timestamp() END",
        ]
    else:
        status = values.get("status")
        assigned = [f"{name} = ${3 + number}" for number, name in enumerate(values)]
        if status is not None:
            done = "coalesce(completed_at, clock_timestamp())" if status == "completed" else "NULL"
            assigned.append(f"completed_at = {done}")
    sent = list((values or {}).values())
    known = None if if_match in (None, "*") else versions(if_match or "")
    statement = change(assigned, status is not None, known is not None, 3 + len(sent))
    checks = [each for each in (SOURCES.get(status), known) if each is not None]
    row = await pool.fetchrow(statement, owner, task_id, *sent, *checks)
    if row is not None:
        return told(Task(*row))
    found = await pool.fetchrow(GET, owner, task_id)
    if found is None:
        raise HTTPException(status_code=404, detail="There is no such task.")
    now = Task(*found)
    if known is not None and now.version not in known:
        raise HTTPException(status_code=412, detail="The task has changed.", headers={"ETag": f'"{now.version}"'})
    raise HTTPException(status_code=409, detail="The status cannot change so.")


def write_cursor(task: Task, key: str) -> str:
    at = getattr(task, key)
    text = at if isinstance(at, str) else at.isoformat()
    return base64.urlsafe_b64encode(task.id.bytes + text.encode()).rstrip(b"=").decode()


def read_cursor(cursor: str, key: str) -> tuple[Any, UUID]:
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        task_id, text = UUID(bytes=content[:16]), content[16:].decode()
        return text if key == "title" else datetime.fromisoformat(text), task_id
    except ValueError as error:
        raise HTTPException(status_code=400, detail="The cursor does not hold.") from error


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:
        app.state.pool = pool
        yield


def pool_of(state: State) -> asyncpg.Pool:
    return state.pool


app = Litestar(
    [Tasks],
    lifespan=[lifespan],
    dependencies={"pool": Provide(pool_of, sync_to_thread=False)},
    openapi_config=None,
    logging_config=None,
)
