"""Requests that wait for a change. Meanwhile they hold neither a slot nor a connection.

A write in this process wakes those of its user. What other processes write is seen by asking for
the numbers of the users who are waited for: LISTEN does not work behind a pooler in transaction
mode, and NOTIFY has all commits of the database wait in line.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from time import monotonic

from todo_api.admission import AdmissionControl
from todo_api.changes import statements
from todo_api.database import Database, wait
from todo_api.errors import TooManyWaits
from todo_api.observability import RequestRecord

MOST = 1000
"""Maximum number of requests that wait in a process. Others are answered at once."""

MOST_OF_USER = 10
"""Maximum number of requests of a user that wait in a process. Others are refused."""

TOGETHER = 0.5
"""Seconds between the moments at which waits end.

Those of several requests end at one of them: the processor then finds its caches filled.
"""

EVERY = 0.4
"""Mean seconds between two looks at what other processes have written."""

_USERS = 100
"""Maximum number of users of a statement: the rule of each row reads the ids of all."""

_READS = ("GET", "HEAD", "OPTIONS")


class Waiter:
    """A request that may wait. `seq` is the user's number that it has read."""

    def __init__(self, admission: AdmissionControl, user_id: str, may_be_gone: Callable[[], bool], ends: float) -> None:
        self.seq: int | None = None
        self._admission = admission
        self._ends = ends
        self._may_be_gone = may_be_gone
        self._user_id = user_id
        self._has_changed = False
        self._woken = asyncio.Event()

    def sleep(self, seq: int) -> bool:
        """Wait until the user's number is another, and return whether to look again.

        A write that came since `begin` ends it at once.
        """
        self.seq = seq
        seconds = self._ends - monotonic()
        if seconds > 0:
            wait(self._admission.pause(self._user_id, self._woken, seconds))
        return self._has_changed and not self._may_be_gone() and not self._admission.is_stopping

    def begin(self) -> None:
        """Note that the user's changes are read from now on."""
        self.seq = None
        self._has_changed = False
        self._woken.clear()

    def look(self, seq: int | None) -> None:
        """Wake the request if the number is another than it has read, or its client may be gone."""
        if (self.seq is not None and self.seq != seq) or self._may_be_gone():
            self.wake()

    def wake(self) -> None:
        """Have the request look again."""
        self._has_changed = True
        self._woken.set()


class Waits:
    """The requests of a process that wait. It observes the requests that write."""

    def __init__(self, database: Database, admission: AdmissionControl) -> None:
        self._admission = admission
        self._count = 0
        self._database = database
        self._waiters: dict[str, list[Waiter]] = {}

    @contextmanager
    def waiter(self, user_id: str, seconds: float, may_be_gone: Callable[[], bool]) -> Iterator[Waiter]:
        """Yield what a request of the user can wait with, for at most these seconds.

        Raise TooManyWaits.
        """
        if self._count >= MOST:
            seconds = 0
        mine = self._waiters.setdefault(user_id, [])
        if len(mine) >= MOST_OF_USER:
            raise TooManyWaits
        ends = monotonic() + seconds
        waiter = Waiter(self._admission, user_id, may_be_gone, ends - ends % TOGETHER)
        mine.append(waiter)
        self._count += 1
        try:
            yield waiter
        finally:
            self._count -= 1
            mine.remove(waiter)
            if not mine:
                del self._waiters[user_id]

    def look(self) -> int:
        """Wake the requests whose user has written elsewhere, or whose client may be gone.

        Return 0. Raise Unavailable.
        """
        ids = iter([*self._waiters])
        while some := [*islice(ids, _USERS)]:
            rows = self._database.as_waiting(some).fetch_all(statements.waited_for, {"user_ids": some})
            numbers = {str(id_): int(seq) for id_, seq in rows}
            for user_id in some:
                for waiter in self._waiters.get(user_id, ()):
                    waiter.look(numbers.get(user_id, 0))
        return 0

    def on_start(self, record: RequestRecord) -> None:
        """Do nothing: a request has written when it ends."""

    def on_end(self, record: RequestRecord) -> None:
        """Wake the requests of the user who may have written."""
        if self._waiters and record.method not in _READS and record.subject:
            for waiter in self._waiters.get(record.subject, ()):
                waiter.wake()
