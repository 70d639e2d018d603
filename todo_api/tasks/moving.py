"""Move a task among its siblings."""

from collections.abc import Sequence

from todo_api.database import RoleSessions
from todo_api.errors import NotFound, PreconditionFailed
from todo_api.guards import Caller
from todo_api.task_tree import Destination, Node, TaskTree
from todo_api.tasks import statements
from todo_api.tasks.task import Task


class TaskMover:
    """Moves the tasks of a user, each move in a transaction that locks the user's row first."""

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._database = database
        self._user_id = user_id

    def move(self, task_id: str, destination: Destination, versions: Sequence[int] | None) -> Task:
        """Return the task in its new place. If it is there already, it is not written.

        Raise NotFound, PreconditionFailed or ValidationFailed.
        """
        named = {"user_id": self._user_id, "task_id": task_id}
        with self._database.transaction() as transaction:
            session = transaction.as_user(self._user_id)
            tree = TaskTree(session, self._user_id)
            clock = tree.lock(self._caller)
            row = None if clock is None else session.fetch_one(statements.get, named)
            if clock is None or row is None:
                self._caller.check(session, self._user_id)
                raise NotFound
            task = Task._make(row)
            if versions is not None and task.version not in versions:
                raise PreconditionFailed(task)
            place = tree.place(Node(task.id, task.position, task.project_id), destination, clock)
            if place is None:
                return task
            ((*moved,),) = session.fetch_all(statements.place, {**named, "position": place.position})
            if place.siblings:
                tree.renumber(place)
        return Task._make(moved)
