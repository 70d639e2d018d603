"""The floor: a bare ASGI application that runs the service's own statements over the service's own connections.

No framework and no validation: what is left is HTTP, the token (PyJWT, each time), PostgreSQL and orjson.
"""

import base64
import hmac
import os
from typing import Any

import jwt
import orjson
from uuid_utils import uuid7

from todo_api.database.database import Database
from todo_api.database.greenlets import spawn
from todo_api.database.statement import Statement
from todo_api.schemas import utc
from todo_api.task_rows import Task
from todo_api.tasks import list_statements, statements
from todo_api.tasks.transitions import sources

SECRET = os.environ["JWT_SECRET"]
CLAIMS = ["iss", "aud", "sub", "iat", "exp"]
START, JSON = "/api/v1/me/tasks", (b"content-type", b"application/json")
PAGE = list_statements.page("-created_at", None)

database = Database(os.environ["DATABASE_URL"], pool_size=int(os.environ.get("BENCH_POOL_SIZE", "8")))
Answer = tuple[int, Any, int]


def rows(user: str, statement: Statement, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    return database.as_user(user).fetch_all(statement, {"user_id": user, **values})


def told(row: tuple[Any, ...], user: str) -> dict[str, Any]:
    task = Task.of(row, user)
    times = {name: value and utc(value) for name, value in task._asdict().items() if name.endswith("_at")}
    return task._asdict() | times | {"completed": task.completed}


def signed(place: str) -> str:
    """As much work as the service's cursor."""
    return base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), place.encode(), "sha256") + place.encode()).decode()


def listed(user: str, query: str) -> Answer:
    limit = int(query.partition("limit=")[2] or 50)
    found = rows(user, PAGE, limit=limit + 1, skip=0, known=[])
    _, seq, total = map(int, found[0][-1].split()) if found else (0, 0, 0)
    items = [told(row[:-1], user) for row in found[:limit] if row[0] is not None]
    more = len(found) > limit
    cursor = signed(f"{user} {items[-1]['created_at']} {items[-1]['id']}") if more else None
    return 200, {"items": items, "total": total, "next_cursor": cursor}, seq


def created(user: str, body: dict[str, Any]) -> Answer:
    values = {"task_id": str(uuid7()), "description": None, "status": "pending", **body}
    ((at, version, position, _),) = rows(user, statements.create(values["status"], registered=False), **values)
    completed_at = at if values["status"] == "completed" else None
    known = (values["task_id"], values["title"], values["description"], values["status"])
    task = told((*known, completed_at, at, at, version, position, None, None), user)
    return 201, task, task["version"]


def one(user: str, statement: Statement, **values: Any) -> Answer:
    found = rows(user, statement, **values) or rows(
        user, statements.get, task_id=values["task_id"]
    )  # nothing to change
    if not found:
        return 404, {"status": 404}, 0
    task = told(found[0], user)
    return 200, task, task["version"]


def answer(method: str, path: str, query: str, token: str, body: bytes) -> tuple[int, bytes, bytes]:
    names = {"audience": "task-api", "issuer": "task-api"}
    user = jwt.decode(token, SECRET, ["HS256"], {"require": CLAIMS}, leeway=60, **names)["sub"]
    _, _, rest = path.removeprefix(START).partition("/")
    if not rest:
        status, told_, version = listed(user, query) if method == "GET" else created(user, orjson.loads(body))
    elif method == "GET":
        status, told_, version = one(user, statements.get, task_id=rest)
    elif rest.endswith("/complete"):
        statement = statements.complete(True, False)
        status, told_, version = one(
            user, statement, task_id=rest.removesuffix("/complete"), sources=sources("completed")
        )
    else:
        changes = orjson.loads(body)
        statement = statements.change(frozenset(changes), False)
        status, told_, version = one(user, statement, task_id=rest, **changes)
    return status, orjson.dumps(told_, option=orjson.OPT_UTC_Z), b'"%d"' % version


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    if scope["method"] != "GET":
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    token = next(value for name, value in scope["headers"] if name == b"authorization")[7:].decode()
    query = scope["query_string"].decode()
    status, reply, tag = await spawn(answer, scope["method"], scope["path"], query, token, body)
    headers = [JSON, (b"content-length", b"%d" % len(reply)), (b"etag", tag)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reply})
