"""How many functions one request calls, by layer: the same on a busy machine as on a quiet one.

`python benchmarks/calls.py`: the application in this process, without the server; calls of Python's functions, and of C's by them.
Each count is of 20 requests in a row, after 30 that are not counted.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any

import uvloop

import prepare
from closed_loop import HOME, NEW
from todo_api.app import create_app
from todo_api.config import Config
from todo_api.provisioning import migrations

USER = "counted"
WARMUP, COUNTED = 30, 20
LAYERS = (
    ("this program", r"benchmarks/|asyncio/"),
    ("Connexion's layers and security", r"/connexion/|/starlette/"),
    ("Flask's context", r"/flask/|/blinker/|/werkzeug/"),
    ("pool of connections", r"/sqlalchemy/|database/pool|queues\.py|locks\.py"),
    ("sessions and statements", r"todo_api/database/"),
    ("record and metrics", r"todo_api/(observability|changes/waits)"),
    ("rate limits and admission", r"todo_api/(throttling|admission)"),
    ("authentication", r"todo_api/(auth|http/authentication|http/authorization)"),
    ("routing", r"todo_api/http/(routing|paths)"),
    ("parameters and body", r"todo_api/(contract|http/validation|http/body)"),
    ("dispatch and further layers", r"todo_api/(http|site)/"),
    ("product", r"todo_api/"),
    ("Python's library", r"."),
)
"""Layers by the file of the function that is called, or that calls one of C's. The first that matches counts."""

Counts = Counter[tuple[str, str]]
Ask = Callable[[], Awaitable[Any]]


async def main(url: str) -> None:
    """Print a table for docs/benchmarks.md."""
    app = create_app(Config(database_url=url, jwt_secret=prepare.SECRET))
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    started = asyncio.Event()

    async def told(_: Any) -> None:
        started.set()

    lifespan = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    running = asyncio.create_task(app(lifespan, events.get, told))
    await events.put({"type": "lifespan.startup"})
    await started.wait()
    for _ in range(60):
        made = await _ask(app, "POST", HOME, NEW)
    place, number = f"{HOME}/{made['id']}", count()
    seen = {
        "get": await _counted(lambda: _ask(app, "GET", place)),
        "list of 50": await _counted(lambda: _ask(app, "GET", HOME, query=b"limit=50")),
        "create": await _counted(lambda: _ask(app, "POST", HOME, NEW)),
        "update": await _counted(lambda: _ask(app, "PATCH", place, {"title": f"Title {next(number)}"})),
        "complete": await _counted(lambda: _ask(app, "PATCH", f"{place}/complete")),
    }
    await events.put({"type": "lifespan.shutdown"})
    await running
    print(f"| calls of Python's functions, and of C's | {' | '.join(seen)} |")
    print(f"|---|{'---:|' * len(seen)}")
    for layer, _ in LAYERS:
        print(f"| {layer} | {' | '.join(_cell(counts, layer) for counts in seen.values())} |")
    print(f"| **all** | {' | '.join(_cell(counts) for counts in seen.values())} |")


async def _ask(app: Any, method: str, path: str, body: Any = None, query: bytes = b"") -> Any:
    """One request of the user; its reply's body."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = [(b"host", b"localhost"), (b"authorization", BEARER)]
    if body is not None:
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": ""}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query, "headers": headers}
    scope |= {"client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 80), "state": {"read_at": perf_counter()}}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if sent[0]["status"] >= 300:
        raise SystemExit(f"{method} {path}: {sent}")
    return json.loads(b"".join(message.get("body", b"") for message in sent))


async def _counted(ask: Ask) -> Counts:
    for _ in range(WARMUP):
        await ask()
    counts: Counts = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event in ("call", "c_call"):
            counts[event, frame.f_code.co_filename] += 1

    sys.setprofile(note)
    for _ in range(COUNTED):
        await ask()
    sys.setprofile(None)
    return counts


def _cell(counts: Counts, layer: str | None = None) -> str:
    """Calls of one request, of a layer or all but this program's."""
    told: Counter[str] = Counter()
    for (event, file), number in counts.items():
        found = next(name for name, pattern in LAYERS if re.search(pattern, file))
        if found == layer or (layer is None and found != LAYERS[0][0]):
            told[event] += number
    return f"{told['call'] / COUNTED:.0f}, {told['c_call'] / COUNTED:.0f}"


BEARER = b"Bearer " + prepare.token(USER).encode()

if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(prefix="calls-") as folder,
        prepare.postgresql(Path(folder) / "postgresql") as place,
    ):
        migrations.migrate(place)
        uvloop.run(main(place))
