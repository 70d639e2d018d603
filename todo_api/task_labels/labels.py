"""The rows of a task's labels. They are written in the transaction that writes the task."""

from collections.abc import Mapping

from todo_api.database import RoleSession
from todo_api.errors import TooManyLabels
from todo_api.task_labels import statements


class TaskLabels:
    """The labels of a user's tasks, seen by a transaction that has locked the user's row."""

    def __init__(self, session: RoleSession, user_id: str) -> None:
        self._db = session
        self._user_id = user_id

    def write(self, task_id: str, version: int, labels: Mapping[str, str]) -> None:
        """Write the labels of a task, names by keys, once the task has that version.

        How many labels the user has is looked at after the write. The lock makes that safe. Raise
        TooManyLabels.
        """
        named = {"user_id": self._user_id, "task_id": task_id, "version": version}
        arrays = {"keys": [*labels], "names": [*labels.values()]}
        if self._db.fetch_one(statements.write, named | arrays) is not None:
            self.check_number()

    def restore(self, version: int, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write the labels of tasks that have none, names by keys by task.

        `check_number` is to follow, once for all tasks.
        """
        rows = [(task_id, *label) for task_id, found in labels.items() for label in found.items()]
        if rows:
            task_ids, keys, names = map(list, zip(*rows, strict=True))
            values = {"task_ids": task_ids, "keys": keys, "names": names, "version": version}
            self._db.fetch_all(statements.restore, {"user_id": self._user_id, **values})

    def check_number(self) -> None:
        """Raise TooManyLabels if the user has more labels than allowed."""
        if self._db.fetch_one(statements.are_too_many, {"user_id": self._user_id}) is not None:
            raise TooManyLabels
