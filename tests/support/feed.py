"""Writers at random, and readers who follow the feed: in the end each reader has what the server has, wherever it had stopped."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from threading import Event
from typing import Any
from uuid import UUID

from tests.support.client import Reply
from tests.support.live import SLACK

CHANGES = "/api/v1/me/changes"
PROJECTS = "/api/v1/me/projects"
TRASH = "/api/v1/me/trash"
LABELS = "/api/v1/me/labels"
TASKS = "/api/v1/me/tasks"
BATCH = "/api/v1/me/batch"

NAMES = ("home", "errand", "garden")
IDS = [str(UUID(int=number)) for number in range(1, 9)]
"""Ids that are used again and again."""

Ask = Callable[[str, str, Any], Reply | None]
"""Sends a request, by its method, path and body. Returns None where no reply came."""

Request = tuple[str, str, Any]


class Choice:
    """Chance, and what the user has now, for a writer to choose from."""

    def __init__(self, ask: Ask, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311  # no secret
        self._ask = ask

    def task(self) -> str:
        """The id of a task, or one of none if there is none."""
        return self._of(f"{TASKS}?limit=100")

    def project(self) -> str:
        """The id of a project, or one of none if there is none."""
        return self._of(PROJECTS)

    def trashed(self) -> str:
        """The id of an item of the trash, or one of none if there is none."""
        return self._of(TRASH)

    def version(self) -> int:
        """One of the numbers that were given last."""
        reply = self._ask("GET", f"{TASKS}?limit=1", None)
        last = int(reply.headers["etag"].strip('"').split("-")[-1]) if reply and reply.status == 200 else 1
        return max(1, last - self.random.randint(0, 100))

    def text(self) -> str:
        """A text that is no other one."""
        return f"Text {self.random.random()}"

    def id(self) -> str:
        """An id for something new."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def _of(self, address: str) -> str:
        reply = self._ask("GET", address, None)
        found = reply.json()["items"] if reply and reply.status == 200 else []
        return str(self.random.choice(found)["id"]) if found else str(UUID(int=0))


def _create(it: Choice) -> Request:
    return "POST", TASKS, {"title": it.text(), "labels": it.random.sample(NAMES, 2)}


def _create_in_project(it: Choice) -> Request:
    return "POST", TASKS, {"title": it.text(), "project_id": it.project()}


def _create_below(it: Choice) -> Request:
    return "POST", TASKS, {"title": it.text(), "parent_id": it.task(), "labels": it.random.sample(NAMES, 1)}


def _create_again(it: Choice) -> Request:
    return "POST", TASKS, {"title": "Again", "id": it.random.choice(IDS)}


def _change(it: Choice) -> Request:
    return "PATCH", f"{TASKS}/{it.task()}", {"title": it.text()}


def _replace(it: Choice) -> Request:
    return "PUT", f"{TASKS}/{it.task()}", {"title": it.text()}


def _change_project_of_task(it: Choice) -> Request:
    return "PATCH", f"{TASKS}/{it.task()}", {"project_id": it.random.choice((None, it.project())), "parent_id": None}


def _complete_subtree(it: Choice) -> Request:
    return "PATCH", f"{TASKS}/{it.task()}/complete", {"completed": True, "subtasks": "complete"}


def _move(it: Choice) -> Request:
    place = it.random.choice(({"parent_id": it.task()}, {"parent_id": None}, {"at": "first"}))
    return "POST", f"{TASKS}/{it.task()}/move", place


def _delete(it: Choice) -> Request:
    return "DELETE", f"{TASKS}/{it.task()}", None


def _delete_for_good(it: Choice) -> Request:
    return "DELETE", f"{TASKS}/{it.random.choice((it.task(), *IDS))}?permanent=true", None


def _restore(it: Choice) -> Request:
    return "POST", f"{TRASH}/{it.trashed()}/restore", None


def _purge(it: Choice) -> Request:
    return "DELETE", f"{TRASH}/{it.trashed()}", None


def _empty_trash(_: Choice) -> Request:
    return "DELETE", TRASH, None


def _revert_task(it: Choice) -> Request:
    return "POST", f"{TASKS}/{it.task()}/revert", {"version": it.version()}


def _revert_change(it: Choice) -> Request:
    return "POST", f"{CHANGES}/{it.version()}/revert", {"force": it.random.random() < 0.5}


def _rename_label(it: Choice) -> Request:
    old, new = it.random.sample(NAMES, 2)
    return "PATCH", f"{LABELS}/{old}", {"name": new, "merge": True}


def _remove_label(it: Choice) -> Request:
    return "DELETE", f"{LABELS}/{it.random.choice(NAMES)}", None


def _create_project(it: Choice) -> Request:
    return "POST", PROJECTS, {"name": it.text()}


def _change_project(it: Choice) -> Request:
    return "PATCH", f"{PROJECTS}/{it.project()}", {"name": it.text()}


def _move_project(it: Choice) -> Request:
    return "POST", f"{PROJECTS}/{it.project()}/move", {"at": it.random.choice(("first", "last"))}


def _delete_project(it: Choice) -> Request:
    return "DELETE", f"{PROJECTS}/{it.project()}{it.random.choice(('', '?permanent=true'))}", None


def _batch_of_new(it: Choice) -> Request:
    project, parent = it.id(), it.id()
    below = [{"create_task": {"title": it.text(), "parent_id": parent}} for _ in range(it.random.randint(1, 20))]
    operations = [
        {"create_project": {"id": project, "name": it.text()}},
        {"create_task": {"id": parent, "title": it.text(), "project_id": project}},
        *below,
        {"complete_task": {"id": parent, "subtasks": "leave"}},
    ]
    return "POST", BATCH, {"operations": operations}


def _batch_of_old(it: Choice) -> Request:
    old, new = it.random.sample(NAMES, 2)
    operations = [
        {"update_task": {"id": it.task(), "change": {"title": it.text()}}},
        {"rename_label": {"label": old, "name": new, "merge": True}},
        {"move_task": {"id": it.task(), "at": "first"}},
        {"create_task": {"title": it.text(), "labels": [new]}},
        {"delete_task": {"id": it.task()}},
    ]
    return "POST", BATCH, {"operations": it.random.sample(operations, it.random.randint(2, 5))}


OPERATIONS: tuple[Callable[[Choice], Request], ...] = (
    _create,
    _create,
    _create_in_project,
    _create_below,
    _create_below,
    _create_again,
    _change,
    _change,
    _replace,
    _change_project_of_task,
    _complete_subtree,
    _move,
    _delete,
    _delete,
    _delete_for_good,
    _restore,
    _restore,
    _restore,
    _purge,
    _empty_trash,
    _revert_task,
    _revert_change,
    _revert_change,
    _rename_label,
    _remove_label,
    _create_project,
    _change_project,
    _move_project,
    _delete_project,
    _batch_of_new,
    _batch_of_old,
)
"""Every operation of writers. One on something that another has deleted is answered 404 and the like."""


class Writer:
    """Somebody who writes at random."""

    def __init__(self, ask: Ask, seed: int) -> None:
        self.done: set[str] = set()
        """Names of the operations that succeeded."""
        self._ask = ask
        self._choice = Choice(ask, seed)
        self._coming: list[Callable[[Choice], Request]] = []

    def write(self) -> int:
        """Do something, and return the status of the reply, 0 if none came."""
        if not self._coming:
            self._coming = self._choice.random.sample(OPERATIONS, len(OPERATIONS))
        operation = self._coming.pop()
        reply = self._ask(*operation(self._choice))
        if reply and reply.status < 300:
            self.done.add(operation.__name__)
        return reply.status if reply else 0


class Reader:
    """Somebody who keeps a copy, stops anywhere, forgets the page that came last, or begins anew."""

    def __init__(self, ask: Ask, seed: int, limits: tuple[int, ...] = (1, 2, 5, 50), begins_anew: float = 0) -> None:
        """`begins_anew` is the chance, after each page, to forget everything."""
        self.resyncs = 0
        """Number of times that the server did not know the place in the feed any more."""
        self._ask = ask
        self._begins_anew = begins_anew
        self._limits = limits
        self._random = Random(seed)  # noqa: S311  # no secret
        self._titles: dict[tuple[str, int], str] = {}
        self._begin()

    def _begin(self) -> None:
        self.tasks: dict[str, Any] = {}
        self.projects: dict[str, Any] = {}
        self._token = ""

    def read(self, limit: int, wait: int = 0) -> bool:
        """Take a page, and return whether there may be more."""
        reply = self._ask("GET", f"{CHANGES}?limit={limit}&wait={wait}{self._token}", None)
        if reply is None or reply.status == 503:
            time.sleep(0.02)
            return True
        if reply.status == 410:
            assert reply.code == "resync_required"
            self.resyncs += 1
            self._begin()
            return True
        assert reply.status == 200, reply.content
        page = reply.json()
        ids = [each["id"] for name in ("tasks", "projects", "deleted") for each in page[name]]
        assert len(ids) == len({*ids}) <= limit
        if self._random.random() < self._begins_anew:
            self._begin()
            return True
        if self._random.random() < 0.1:
            return True  # the page was lost before it was kept
        self._keep(page)
        self._token = f"&since={page['next']}"
        return bool(page["more"])

    def _keep(self, page: dict[str, Any]) -> None:
        for kept, name in ((self.tasks, "tasks"), (self.projects, "projects")):
            for each in page[name]:
                id_, version, title = each["id"], each["version"], each.get("title", each.get("name"))
                assert version >= kept.get(id_, each)["version"]
                # A version names one content, also after the database was restored.
                assert self._titles.setdefault((id_, version), title) == title
                kept[id_] = each
        for each in page["deleted"]:
            kept = self.tasks if each["kind"] == "task" else self.projects
            assert each["version"] > kept.pop(each["id"], {"version": 0})["version"]

    def follow(self, ended: Event) -> None:
        """Take pages until everybody has stopped to write, and then the rest."""
        while not ended.is_set():
            self.read(self._random.choice(self._limits), self._random.choice((0, 0, 1)))
        deadline = time.monotonic() + SLACK
        while self.read(self._random.choice((1, *self._limits))):
            assert time.monotonic() < deadline


def readers(ask: Ask, seed: int) -> list[Reader]:
    """Three readers: one whose first walk lasts as long as others write, one who never begins anew, and one who does."""
    return [Reader(ask, seed, (1,)), Reader(ask, seed + 1), Reader(ask, seed + 2, begins_anew=0.02)]


@contextmanager
def followed(readers: list[Reader]) -> Iterator[None]:
    """Have readers follow the feed; after the `with` they have taken the rest."""
    ended = Event()
    with ThreadPoolExecutor(len(readers)) as pool:
        following = [pool.submit(reader.follow, ended) for reader in readers]
        try:
            yield
        finally:
            ended.set()
        for each in following:
            each.result()


def written(writers: list[Writer], goes_on: Callable[[int], bool]) -> set[int]:
    """Have the writers write as long as it `goes_on` after so many writes of each; return the statuses of the replies."""

    def write(writer: Writer) -> set[int]:
        statuses: set[int] = set()
        count = 0
        while goes_on(count):
            statuses.add(writer.write())
            count += 1
        return statuses

    with ThreadPoolExecutor(len(writers)) as pool:
        return set().union(*pool.map(write, writers))


def listed(ask: Ask) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the server has, by id: tasks and projects."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        reply = ask("GET", f"{TASKS}?limit=1000{cursor}", None)
        assert reply is not None
        page = reply.json()
        found += page["items"]
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    projects = ask("GET", PROJECTS, None)
    assert projects is not None
    return {each["id"]: each for each in found}, {each["id"]: each for each in projects.json()["items"]}
