"""Projects of a user: create, list, change, move and delete."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils import uuid7

from todo_api.database import RoleSession, RoleSessions
from todo_api.errors import IdTaken, NotFound, PreconditionFailed, TooManyProjects, TooManyTasks, Unavailable
from todo_api.etags import SpaceTag, version_tag
from todo_api.guards import Caller, gone
from todo_api.models import MOST_AT_ONCE
from todo_api.ordering import Destination
from todo_api.projects import statements
from todo_api.projects.placing import Placed, moved

_ATTEMPTS = 5
_MISSING = "There is no such project in your space."


class Project(NamedTuple):
    """A project as it is stored. Its id is the text of a UUID; times are in UTC."""

    id: str
    name: str
    description: str | None
    color: str | None
    position: str
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return version_tag(self.version)


class ProjectList(NamedTuple):
    """The projects of a user by position. `seq` is the number of their last write in the epoch.

    There is no project if the client knows them.
    """

    epoch: int
    seq: int
    projects: list[Project]


class ProjectService:
    """Projects of a user. A method is one statement unless it fails, but for `move` and `delete`.

    A write raises Unauthorized if the caller's credential is gone; every method does if the user
    must have a row and it is gone.
    """

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._database = database
        self._db = database.as_user(user_id, caller.actor)
        self._user_id = user_id

    def list(self, known: Sequence[SpaceTag] = ()) -> ProjectList:
        """Return every project. If `known` has the number of the last write, none is read."""
        rows = self._db.fetch_all(statements.list_, {"user_id": self._user_id, "known": [*map(str, known)]})
        if not rows:
            if self._caller.registered:
                raise gone()
            return ProjectList(0, 0, [])
        return ProjectList(rows[0][0], rows[0][1], [Project._make(row[2:]) for row in rows if row[2] is not None])

    def create(self, project_id: str | None, **members: str | None) -> Project:
        """Return the new project, the last by position.

        Raise IdTaken if a project has the id, in the trash as well, or TooManyProjects. The first
        write of an unregistered user creates their row.
        """
        values = {**self._named(str(uuid7() if project_id is None else UUID(project_id))), **members}
        for _ in range(_ATTEMPTS):
            statement = statements.create(chosen=project_id is not None, by_key=self._caller.by_key)
            row = self._db.fetch_one(statement, values)
            if row is not None:
                return Project._make(row)
            self._check_key()
            current = self._db.fetch_one(statements.get, values)
            if current is not None:
                raise IdTaken(Project._make(current), "One of your projects has this id.")
            if self._db.fetch_one(statements.is_in_trash, values) is not None:
                raise IdTaken(None, "A project in your trash has this id. Restore it, or delete it there.")
            if self._db.fetch_one(statements.is_full, values) is not None:
                raise TooManyProjects
            if self._caller.registered:
                self._caller.check(self._db, self._user_id)
            else:
                self._db.fetch_all(statements.register, values)
        raise Unavailable("The account keeps changing. Try again.")

    def get(self, project_id: str) -> Project:
        """Return the project. Raise NotFound."""
        return self._found(self._db, self._named(project_id))

    def several(self, ids: Sequence[str]) -> dict[str, Project]:
        """Return those of these projects that there are, by id."""
        rows = self._db.fetch_all(statements.several, {"user_id": self._user_id, "ids": ids})
        return {project.id: project for project in map(Project._make, rows)}

    def change(self, project_id: str, changes: dict[str, Any], versions: Sequence[int] | None) -> Project:
        """Return the project with these members. If nothing changes, it is not written.

        Raise NotFound or PreconditionFailed.
        """
        columns = dict.fromkeys(column.name for column in statements.WRITTEN)
        values = {**self._named(project_id), **columns, **changes, "named": [*changes], "versions": versions}
        statement = statements.change(conditional=versions is not None, by_key=self._caller.by_key)
        for _ in range(_ATTEMPTS):
            row = self._db.fetch_one(statement, values)
            if row is not None:
                return Project._make(row)
            current = self._at(project_id, versions)
            if all(getattr(current, name) == value for name, value in changes.items()):
                return current
        raise Unavailable("The project keeps changing. Try again.")

    def move(self, project_id: str, destination: Destination, versions: Sequence[int] | None) -> Project:
        """Return the project in its new place. If it is there already, it is not written.

        Raise NotFound, PreconditionFailed or ValidationFailed.
        """
        values = self._named(project_id)
        with self._database.transaction() as transaction:
            scope = transaction.as_user(self._user_id, self._caller.actor)
            clock = self._lock(scope, values)
            current = self._found(scope, values)
            if versions is not None and current.version not in versions:
                raise _changed(current)
            placed = [Placed(*row) for row in scope.fetch_all(statements.placed, values)]
            new = moved(placed, current.id, destination, clock)
            if not new:
                return current
            arrays = {"ids": [each.id for each in new], "positions": [each.position for each in new]}
            scope.fetch_all(statements.place, {**values, **arrays})
            return self._found(scope, values)

    def delete(self, project_id: str, versions: Sequence[int] | None, *, permanent: bool = False) -> None:
        """Delete the project and its tasks, to the trash unless it is to be `permanent`.

        Raise NotFound, PreconditionFailed or TooManyTasks.
        """
        values = {**self._named(project_id), "versions": versions}
        with self._database.transaction() as transaction:
            scope = transaction.as_user(self._user_id, self._caller.actor)
            self._lock(scope, values)
            ((count,),) = scope.fetch_all(statements.size, {**values, "most": MOST_AT_ONCE + 1})
            if count > MOST_AT_ONCE:
                raise TooManyTasks
            statement = statements.remove(conditional=versions is not None, permanent=permanent)
            if scope.fetch_one(statement.for_rows(count), values) is None:
                raise _changed(self._found(scope, values))

    def _lock(self, scope: RoleSession, values: dict[str, Any]) -> str:
        """Lock the user's row, and return the position key of that moment. Raise NotFound."""
        row = scope.fetch_one(statements.lock(by_key=self._caller.by_key), values)
        if row is None:
            self._caller.check(scope, self._user_id)
            raise NotFound(_MISSING)
        return str(row[0])

    def _found(self, scope: RoleSession, values: dict[str, Any]) -> Project:
        row = scope.fetch_one(statements.get, values)
        if row is None:
            self._caller.check(scope, self._user_id)
            raise NotFound(_MISSING)
        return Project._make(row)

    def _at(self, project_id: str, versions: Sequence[int] | None) -> Project:
        """Return the project that a write did not find. Raise NotFound or PreconditionFailed."""
        self._check_key()
        current = self.get(project_id)
        if versions is not None and current.version not in versions:
            raise _changed(current)
        return current

    def _check_key(self) -> None:
        """Raise Unauthorized before a refused write tells a revoked key anything of the project."""
        if self._caller.by_key:
            self._caller.check(self._db, self._user_id)

    def _named(self, project_id: str) -> dict[str, Any]:
        return {"user_id": self._user_id, "project_id": project_id, **self._caller.values}


def _changed(current: Project) -> PreconditionFailed:
    return PreconditionFailed(current, "The project has changed since you read it.")
