"""The constant load: users who each send one request after another, at a pace, whatever happens to the service."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from tests.system.faults.journal import Journal, State
from tests.system.faults.wire import ClosedError, Connection, LateError, RefusedError, Reply
from todo_api import contract

TASKS = "/api/v1/me/tasks"
BATCH = "/api/v1/me/batch"
TRASH = "/api/v1/me/trash"
CHANGES = "/api/v1/me/changes"
USERS = 16
EVERY = 0.2
"""Seconds from one request of a user to the next: 80 requests a second in all."""

KEPT = 40
"""Tasks that a user has before it deletes as many as it makes."""

UNAVAILABLE = 503
IN_PROGRESS = 409
IDEMPOTENT = b"Idempotency-Key" in contract.as_json(contract.TASK_API)

Unknown = (ClosedError, LateError)


class Sent(NamedTuple):
    """One request: when, how long, what, and its status, or `refused`, `closed`, `late`."""

    at: float
    seconds: float
    operation: str
    request_id: str
    outcome: int | str
    looked_for: bool = False
    """Whether it asked for a task whose deletion or restoration had no answer: then 404 is as good an answer as 200."""


class Creation(NamedTuple):
    """A request that creates tasks, and is sent until it is answered if it has a key."""

    operation: str
    path: str
    body: dict[str, Any]
    titles: list[str]
    key: dict[str, str]


class User:
    """One user, with a journal, a copy that follows the feed, and a connection of its own."""

    def __init__(self, journal: Journal, port: int, token: str, sent: list[Sent]) -> None:
        self.journal = journal
        self._connection = Connection(port)
        self._authorization = f"Bearer {token}"
        self._sent = sent
        self._random = random.Random(journal.user)  # noqa: S311  # the same mix in each run, and no secret
        self._number = 0
        self._again: Creation | None = None
        self._pages = 0
        self._copy: dict[str, Any] = {}
        self._next = ""

    async def ask(
        self,
        operation: str,
        method: str,
        path: str,
        content: Any = None,
        more: dict[str, str] | None = None,
        *,
        looked_for: bool = False,
    ) -> Reply:
        """The reply. Raises RefusedError, ClosedError or LateError."""
        self._number += 1
        request_id = f"{self.journal.user}-{self._number}"
        fields = {"Authorization": self._authorization, "X-Request-ID": request_id, **(more or {})}
        body = b"" if content is None else json.dumps(content).encode()
        at = time.monotonic()
        outcome: int | str = "late"
        try:
            reply = await self._connection.ask(method, path, fields, body)
            outcome = reply.status
        except RefusedError:
            outcome = "refused"
            raise
        except ClosedError:
            outcome = "closed"
            raise
        finally:
            self._sent.append(Sent(at, time.monotonic() - at, operation, request_id, outcome, looked_for))
        return reply

    async def step(self) -> None:
        """One request of the mix: 37 reads, 8 pages of the feed, 20 lists, 35 writes of a hundred, 3 of them batches and 3 restorations."""
        doubtful = self.journal.settled()
        free, trashed = self.journal.free(), self.journal.trashed()
        chance = self._random.random()
        if doubtful:
            await self._look(doubtful)
        elif self._again:
            await self._create(self._again)
        elif not free or (chance < 0.12 and len(free) < KEPT):
            await self._create(self._several() if chance < 0.03 else self._one())
        elif 0.12 <= chance < 0.15 and trashed:
            await self._restore(self._random.choice(trashed))
        elif chance < 0.24:
            await (self._delete if len(free) >= KEPT else self._complete)(self._random.choice(free))
        elif chance < 0.35:
            await self._update(self._random.choice(free))
        elif chance < 0.72:
            await self._look(self._random.choice(free))
        elif chance < 0.8:
            await self._follow()
        else:
            await self._list()

    def _expect(self, reply: Reply, *statuses: int) -> bool:
        if reply.status not in (*statuses, UNAVAILABLE):
            self.journal.complain(f"{reply.status} instead of {statuses}: {reply.body[:300]!r}")
        return reply.status in statuses

    async def _look(self, task_id: str) -> None:
        doubt = self.journal.doubts.get(task_id)
        looked_for = doubt is not None and (doubt.wanted is None or task_id in self.journal.gone)
        reply = await self.ask("getTask", "GET", f"{TASKS}/{task_id}", looked_for=looked_for)
        if reply.status in (200, 404):
            self.journal.saw(task_id, json.loads(reply.body) if reply.status == 200 else None)
        else:
            self._expect(reply, 200, 404)

    async def _list(self) -> None:
        reply = await self.ask("listTasks", "GET", f"{TASKS}?limit=20")
        if self._expect(reply, 200):
            for task in json.loads(reply.body)["items"]:
                self.journal.saw(task["id"], task)

    def _one(self) -> Creation:
        """A task."""
        title = f"{self.journal.user}, made {self._number}"
        return Creation("createTask", TASKS, {"title": title}, [title], self._key())

    def _several(self) -> Creation:
        """A batch of tasks, the first of which is changed by it as well."""
        titles = [f"{self.journal.user}, made {self._number} as {place}" for place in range(3)]
        ids = [str(UUID(int=self._random.getrandbits(128), version=4)) for _ in titles]
        created = [{"create_task": {"id": id_, "title": title}} for id_, title in zip(ids, titles, strict=True)]
        titles[0] += ", changed"
        operations = [*created, {"update_task": {"id": ids[0], "change": {"title": titles[0]}}}]
        return Creation("runBatch", BATCH, {"operations": operations}, titles, self._key())

    def _key(self) -> dict[str, str]:
        return {"Idempotency-Key": f"key-{self.journal.user}-{self._number}"} if IDEMPOTENT else {}

    async def _create(self, it: Creation) -> None:
        try:
            reply = await self.ask(it.operation, "POST", it.path, it.body, it.key)
        except Unknown:
            self._unsure_of_create(it)
            raise
        self._again = None
        in_progress = reply.status == IN_PROGRESS and b"idempotency_in_progress" in reply.body
        if reply.status == UNAVAILABLE or in_progress or not self._expect(reply, 201 if it.path == TASKS else 200):
            self._unsure_of_create(it)
            return
        made = json.loads(reply.body)
        tasks = [result["task"] for result in made["results"]] if it.path == BATCH else [made]
        for task in {task["id"]: task for task in tasks}.values():
            self.journal.wrote(task)

    def _unsure_of_create(self, it: Creation) -> None:
        """With a key the same request is sent until it is answered; it is to be done once."""
        if it.key:
            self._again = it
        for title in it.titles:
            if title not in self.journal.doubtful_creates:
                self.journal.unsure_of_create(title)

    async def _follow(self) -> bool:
        """Take a page of the feed into the copy, and return whether there may be more."""
        since = f"&since={self._next}" if self._next else ""
        reply = await self.ask("listChanges", "GET", f"{CHANGES}?limit=20{since}")
        if not self._expect(reply, 200):
            return True
        page = json.loads(reply.body)
        self._copy |= {task["id"]: task for task in page["tasks"]}
        for each in page["deleted"]:
            self._copy.pop(each["id"], None)
        self._next = page["next"]
        return bool(page["more"])

    async def _write(
        self, task_id: str, wanted: State | None, ask: Callable[[], Awaitable[Reply]], status: int = 200
    ) -> None:
        try:
            reply = await ask()
        except Unknown:
            self.journal.unsure(task_id, wanted)
            raise
        if reply.status == UNAVAILABLE or not self._expect(reply, status):
            self.journal.unsure(task_id, wanted)
        elif status == 204:
            self.journal.ended(task_id)
        else:
            self.journal.wrote(json.loads(reply.body))

    async def _update(self, task_id: str) -> None:
        known = self.journal.tasks[task_id]
        title = f"{self.journal.user}, changed {self._number}"
        matches = {"If-Match": f'"{known.version}"'}
        await self._write(
            task_id,
            State(known.version, title, known.status),
            lambda: self.ask("updateTask", "PATCH", f"{TASKS}/{task_id}", {"title": title}, matches),
        )

    async def _complete(self, task_id: str) -> None:
        known = self.journal.tasks[task_id]
        done = known.status != "completed"
        await self._write(
            task_id,
            State(known.version, known.title, "completed" if done else "pending"),
            lambda: self.ask("completeTask", "PATCH", f"{TASKS}/{task_id}/complete", {"completed": done}),
        )

    async def _delete(self, task_id: str) -> None:
        await self._write(task_id, None, lambda: self.ask("deleteTask", "DELETE", f"{TASKS}/{task_id}"), 204)

    async def _restore(self, task_id: str) -> None:
        was = self.journal.gone[task_id]
        try:
            reply = await self.ask("restoreItem", "POST", f"{TRASH}/{task_id}/restore")
        except Unknown:
            self.journal.unsure(task_id, was)
            raise
        if self._expect(reply, 200):
            self.journal.restored(json.loads(reply.body)["task"])
        else:
            self.journal.unsure(task_id, was)

    async def everything(self) -> None:
        """Walks all tasks and holds them against the journal. The service must be well."""
        listed: list[dict[str, Any]] = []
        query = "?limit=100"
        while True:
            reply = await self.ask("listTasks", "GET", f"{TASKS}{query}")
            if reply.status != 200:
                self.journal.complain(f"{reply.status} in the walk at the end: {reply.body[:300]!r}")
                return
            page = json.loads(reply.body)
            listed += page["items"]
            if not page.get("next_cursor"):
                break
            query = f"?limit=100&cursor={page['next_cursor']}"
        self.journal.check(listed)
        while await self._follow():
            pass
        if self._copy != {task["id"]: task for task in listed}:
            self.journal.complain(f"the feed gave {len(self._copy)} tasks that are not the {len(listed)} of the lists")

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


class Load:
    """All users, on an event loop in a thread of its own."""

    def __init__(self, port: int, token: Callable[[str], str], file: Path, name: str) -> None:
        self.sent: list[Sent] = []
        self._file = file.open("a", encoding="utf-8", buffering=1)
        names = [f"{name}-{number}" for number in range(USERS)]
        self.users = [User(Journal(user, self._file), port, token(user), self.sent) for user in names]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="load", daemon=True)
        self._thread.start()
        self._going = False
        self._tasks: list[Any] = []

    def _run(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def go(self) -> None:
        """Begins, or goes on."""
        self._going = True
        self._tasks = [
            asyncio.run_coroutine_threadsafe(self._pace(user, number), self._loop)
            for number, user in enumerate(self.users)
        ]

    def pause(self) -> None:
        """Ends what is under way, and sends no more."""
        self._going = False
        for task in self._tasks:
            task.result(30)

    async def _pace(self, user: User, number: int) -> None:
        due = time.monotonic() + EVERY * number / USERS
        while self._going:
            await asyncio.sleep(due - time.monotonic())
            due = max(due + EVERY, time.monotonic())
            try:
                await user.step()
            except RefusedError:
                await asyncio.sleep(EVERY)
            except Unknown:
                pass

    def verify(self) -> list[str]:
        """Every complaint, after a look at everything. The load must be paused, and the last doubt over."""

        async def walk() -> None:
            for user in self.users:
                await user.everything()

        self._run(walk(), 120)
        return [complaint for user in self.users for complaint in user.journal.complaints]

    def close(self) -> None:
        """Ends the thread and the connections."""
        if self._going:
            self.pause()
        for user in self.users:
            self._loop.call_soon_threadsafe(user.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._file.close()
