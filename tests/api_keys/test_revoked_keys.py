"""A key that is revoked between authentication and the statement: every write is refused alike, and tells nothing of what is there."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.on_loop import on_loop
from tests.support.secured_operations import SECURED
from tests.support.tasks import create, path
from tests.support.users import User
from todo_api.batch.operation import Operation
from todo_api.batch.service import BatchService
from todo_api.database import Database
from todo_api.errors import Unauthorized
from todo_api.guards import Caller
from todo_api.labels import LabelService
from todo_api.ordering import Destination
from todo_api.projects import ProjectService
from todo_api.tasks import TaskService
from todo_api.trash import TrashService
from todo_api.undo.service import UndoService

PROJECTS = "/api/v1/me/projects"
NEW = {"title": "x", "description": None, "status": "pending", "priority": "none"}
DUE = {"due": {"date": "2026-11-20"}}
VERSIONS: list[list[int] | None] = [None, [0]]


class Space:
    """The services of a user, called by a key that is gone."""

    def __init__(self, database: Database, user_id: str) -> None:
        caller = Caller(registered=True, key=str(uuid.uuid4()))
        self.tasks = TaskService(database, user_id, caller)
        self.projects = ProjectService(database, user_id, caller)
        self.labels = LabelService(database, user_id, caller)
        self.batches = BatchService(database, user_id, caller)
        self.trash = TrashService(database, user_id, caller, 30)
        self.undo = UndoService(database, user_id, caller)


BELOW = {"parent_id": "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"}
Write = Callable[[Space, str, list[int] | None], Any]
WRITES: dict[str, Write] = {
    "createTask": lambda space, id_, _: space.tasks.create(NEW, id_),
    "createTask without an id": lambda space, *_: space.tasks.create(NEW, None),
    "createTask dated": lambda space, id_, _: space.tasks.create(NEW | DUE, id_),
    "createTask below": lambda space, id_, _: space.tasks.create(NEW | BELOW, id_),
    "replaceTask": lambda space, id_, versions: space.tasks.change(id_, NEW, versions),
    "updateTask": lambda space, id_, versions: space.tasks.change(id_, {"title": "x"}, versions),
    "updateTask below": lambda space, id_, versions: space.tasks.change(id_, BELOW, versions),
    "updateTask dated": lambda space, id_, versions: space.tasks.change(id_, DUE, versions),
    "completeTask": lambda space, id_, versions: space.tasks.complete(id_, True, versions),
    "moveTask": lambda space, id_, versions: space.tasks.move(id_, {}, Destination(at="first"), versions),
    "deleteTask": lambda space, id_, versions: space.tasks.delete(id_, versions),
    "createProject": lambda space, id_, _: space.projects.create(id_, name="x", description=None, color=None),
    "updateProject": lambda space, id_, versions: space.projects.change(id_, {"name": "x"}, versions),
    "moveProject": lambda space, id_, versions: space.projects.move(id_, Destination(at="first"), versions),
    "deleteProject": lambda space, id_, versions: space.projects.delete(id_, versions),
    "renameLabel": lambda space, _, versions: space.labels.rename(label(versions), "other", merge=True),
    "removeLabel": lambda space, _, versions: space.labels.remove(label(versions)),
    "runBatch": lambda space, id_, _: space.batches.run([Operation("delete_task", id_, None, {}, "")]),
    "restoreItem": lambda space, id_, _: space.trash.restore(id_),
    "purgeItem": lambda space, id_, _: space.trash.remove(id_),
    "emptyTrash": lambda space, *_: space.trash.empty(),
    "revertTask": lambda space, id_, versions: space.undo.revert_task(id_, 1, versions),
    "revertChange": lambda space, _, versions: space.undo.revert_change(99 if versions else 2, 30, force=True),
}
"""What each operation that needs the scope `tasks:write` does."""


def label(versions: list[int] | None) -> str:
    """Return a label that is there, or none: they have neither ids nor versions."""
    return "nowhere" if versions else "there"


def test_every_operation_that_writes_tasks_is_tried_with_a_revoked_key() -> None:
    assert {name.split()[0] for name in WRITES} == {each.name for each in SECURED if each.scope == "tasks:write"}


@pytest.mark.parametrize("name", WRITES)
def test_write_by_a_key_that_is_revoked_meanwhile_is_refused_alike_whatever_is_there(
    user: User, database: Database, name: str
) -> None:
    task = create(user.client, labels=["there"])
    project = user.client.post(PROJECTS, {"name": "Kitchen"}).json()
    deleted = create(user.client)
    assert user.client.delete(path(deleted)).status == 204
    before = user.client.get("/api/v1/me/account/export").json()

    @on_loop
    def refused(id_: str, versions: list[int] | None) -> str:
        with pytest.raises(Unauthorized) as error:
            WRITES[name](Space(database, user.id), id_, versions)
        return f"{error.value} {error.value.cause}"

    ids = (task["id"], project["id"], deleted["id"], str(uuid.uuid4()))
    told = {refused(id_, versions) for id_ in ids for versions in VERSIONS}
    assert told == {refused(ids[0], None)}
    assert "key_unknown" in told.pop()
    after = user.client.get("/api/v1/me/account/export").json()
    assert after | {"exported_at": before["exported_at"]} == before
