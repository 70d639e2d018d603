"""What each user was told, kept outside of the service: every acknowledged write, and every one whose outcome is not known.

A user sends one request at a time, so what it knows of its tasks is exact, but for writes without an answer. Such a task is left alone
until the write can no longer happen; then what is read must be either of the two.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

DOUBT_SECONDS = 15
"""How long a write without an answer may still be under way: longer than any time limit of the service and the database frozen."""


@dataclass(frozen=True)
class State:
    """A task as it was told."""

    version: int
    title: str
    status: str

    @classmethod
    def of(cls, task: dict[str, Any]) -> "State":
        """From the service's JSON."""
        return cls(task["version"], task["title"], task["status"])


@dataclass
class Doubt:
    """A write without an answer: what it would make of the task, None for its end."""

    wanted: State | None
    since: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Return whether the write has happened by now, or never will."""
        return time.monotonic() - self.since > DOUBT_SECONDS


class Journal:
    """The writes of one user, as that user knows them."""

    def __init__(self, user: str, file: TextIO) -> None:
        self.user = user
        self.tasks: dict[str, State] = {}
        self.gone: dict[str, State] = {}
        """Tasks in the trash, as they were."""
        self.doubts: dict[str, Doubt] = {}
        self.doubtful_creates: dict[str, float] = {}
        self.acknowledged = 0
        self.doubted = 0
        self.doubted_and_done = 0
        self.complaints: list[str] = []
        self._file = file

    def _note(self, event: str, task_id: str, **more: Any) -> None:
        self._file.write(
            json.dumps({"at": time.time(), "user": self.user, "event": event, "id": task_id, **more}) + "\n"
        )

    def complain(self, what: str) -> None:
        """Something is not as it was told."""
        self.complaints.append(f"{self.user}: {what}")
        self._note("complaint", "", what=what)

    def wrote(self, task: dict[str, Any]) -> None:
        """A write was acknowledged with the task as it is now."""
        task_id, state = task["id"], State.of(task)
        before = self.tasks.get(task_id) or self.gone.pop(task_id, None)
        if before and before != state and state.version <= before.version:
            self.complain(f"the version of {task_id} went from {before.version} to {state.version}")
        self.tasks[task_id] = state
        if self.doubtful_creates.pop(state.title, None) is not None:
            self.doubted_and_done += 1
        self.acknowledged += 1
        self._note("wrote", task_id, version=state.version, title=state.title, status=state.status)

    def restored(self, task: dict[str, Any]) -> None:
        """A restoration was acknowledged with the task as it is again."""
        before, state = self.gone[task["id"]], State.of(task)
        if (state.title, state.status) != (before.title, before.status) or state.version <= before.version:
            self.complain(f"{task['id']} came back as {state}, and was {before}")
        self.wrote(task)

    def ended(self, task_id: str) -> None:
        """A deletion was acknowledged."""
        self.gone[task_id] = self.tasks.pop(task_id)
        self.acknowledged += 1
        self._note("deleted", task_id)

    def unsure(self, task_id: str, wanted: State | None) -> None:
        """A write had no answer."""
        self.doubts[task_id] = Doubt(wanted)
        self.doubted += 1
        self._note("unsure", task_id, wanted=wanted and wanted.title)

    def unsure_of_create(self, title: str) -> None:
        """A creation had no answer."""
        self.doubtful_creates[title] = time.monotonic()
        self.doubted += 1
        self._note("unsure", "", wanted=title)

    def saw(self, task_id: str, task: dict[str, Any] | None) -> None:
        """A read has told of a task, or that there is none."""
        known, doubt = self.tasks.get(task_id), self.doubts.get(task_id)
        if doubt and not doubt.over:
            return  # either may still be true
        self.doubts.pop(task_id, None)
        state = State.of(task) if task else None
        if doubt and state != known:
            self._settle(task_id, doubt, state)
        elif state is None and task_id not in self.gone:
            self.complain(f"{task_id} is lost: {known}")
        elif state and task_id in self.gone:
            self.complain(f"{task_id} was deleted and is there")
        elif state and known is None:
            self._found(task_id, state)
        elif state != known:
            self.complain(f"{task_id} is {state}, and was told to be {known}")

    def _settle(self, task_id: str, doubt: Doubt, state: State | None) -> None:
        known = self.tasks.get(task_id) or self.gone.get(task_id)
        done = (state is None) == (doubt.wanted is None)
        if done and state and doubt.wanted and known:
            done = (
                state.version > known.version
                and state.title == doubt.wanted.title
                and state.status == doubt.wanted.status
            )
        if not done:
            self.complain(f"{task_id} is {state}: neither {known} nor {doubt.wanted}")
        self.doubted_and_done += 1
        if state:
            self.gone.pop(task_id, None)
            self.tasks[task_id] = state
        else:
            self.gone[task_id] = self.tasks.pop(task_id)

    def _found(self, task_id: str, state: State) -> None:
        if self.doubtful_creates.pop(state.title, None) is None:
            self.complain(f"{task_id} is there, which nobody created: {state}")
        else:
            self.doubted_and_done += 1
        self.tasks[task_id] = state

    def check(self, listed: list[dict[str, Any]]) -> None:
        """All tasks that the user has, at the end, against what it was told."""
        titles: dict[str, str] = {}
        for task in listed:
            if task["title"] in titles:
                self.complain(f"{task['title']!r} is there twice: {titles[task['title']]} and {task['id']}")
            titles[task["title"]] = task["id"]
            self.saw(task["id"], task)
        for task_id in set(self.tasks) - {task["id"] for task in listed}:
            self.saw(task_id, None)

    def free(self) -> list[str]:
        """The tasks that nothing is unsure about."""
        return [task_id for task_id in self.tasks if task_id not in self.doubts]

    def trashed(self) -> list[str]:
        """The tasks that were deleted, and that nothing is unsure about."""
        return [task_id for task_id in self.gone if task_id not in self.doubts]

    def settled(self) -> str | None:
        """A task whose doubt can be ended by a look."""
        return next((task_id for task_id, doubt in self.doubts.items() if doubt.over), None)
