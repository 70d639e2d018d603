"""After other zone data, the instants of dates are computed anew: user by user, in small batches.

`users.zone_data` has the oldest data with which instants of the user were computed. Every write of
dates lowers it to its own release's, so a release with older data may write beside this one. A
release with older data than the user's leaves them alone: the newest data are right.
"""

import logging
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from todo_api.database import Database, RoleSession, Row
from todo_api.local_time import DEFAULT_ZONE, VERSION, Moment, is_zone
from todo_api.task_dates import statements
from todo_api.task_dates.dates import INSTANTS

USERS = 20
"""Maximum number of users between two pauses."""

BATCH = 1000
"""Maximum number of tasks for which a user's row is locked at a time."""

LOCK = 0x7A6F6E65
"""Advisory lock: one transaction at a time computes instants anew."""

_FIRST = "00000000-0000-0000-0000-000000000000"

_log = logging.getLogger(__name__)


class _Walk(NamedTuple):
    """A user whose tasks take several batches, the last task so far, and the mark of the walk.

    The mark is in `users.zone_data`, between older data and this release's. If it is gone, somebody
    wrote dates with older data, or another process has begun anew.
    """

    user_id: str
    after: str
    mark: int


class Recomputation:
    """Computes anew the instants that were computed with older zone data."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._walks: list[_Walk] = []
        self._done = 0

    def step(self) -> int:
        """Compute some instants anew, and return for how many users. Zero: wait for the next time.

        What was begun and not finished is begun anew by whoever comes next.
        """
        walks, self._walks = self._walks or self._outdated(), []
        done = sum(map(self._batch, walks))
        self._done += done - len(self._walks)
        if self._done and not done:
            _log.info("the dates of %d users are at the instants of tzdata %s", self._done, VERSION)
            self._done = 0
        return done

    def _outdated(self) -> list[_Walk]:
        asked = {"current": statements.CURRENT, "limit": USERS}
        found = self._database.as_operator().fetch_all(statements.outdated, asked)
        return [_Walk(user_id, _FIRST, 0) for (user_id,) in found]

    def _batch(self, walk: _Walk) -> int:
        """Compute the next batch of a user. Return 1, or 0 if it is done or another process's."""
        with self._database.transaction(claim=LOCK) as transaction:
            session = transaction.as_user(walk.user_id)
            named = {"user_id": walk.user_id}
            row = session.fetch_one(statements.lock, named)
            if row is None or row[1] >= statements.CURRENT or (walk.mark and row[1] != walk.mark):
                return 0
            dated = session.fetch_all(statements.dated, named | {"after": walk.after, "limit": BATCH})
            changed = _correct(session, walk.user_id, dated, row[0] or DEFAULT_ZONE)
            mark = statements.CURRENT
            if len(dated) == BATCH:
                mark = walk.mark or statements.CURRENT - 1 - secrets.randbelow(statements.STEP - 1)
            session.execute_and_commit(statements.finish, named | {"zone_data": mark, "changed": changed})
        if mark < statements.CURRENT:
            self._walks.append(_Walk(walk.user_id, dated[-1][0], mark))
        return 1


def correct(session: RoleSession, user_id: str, ids: Sequence[str], zone: str) -> None:
    """Compute the instants of these tasks anew, for a user in the zone whose row is locked."""
    dated = session.fetch_all(statements.dated_among, {"user_id": user_id, "ids": ids})
    _correct(session, user_id, dated, zone)


def _correct(session: RoleSession, user_id: str, dated: Iterable[Row], zone: str) -> bool:
    """Write the instants that are others now, and return whether there are some."""
    changed = list(_changed(dated, zone))
    if changed:
        arrays = zip(("ids", "due_ats", "start_ats"), map(list, zip(*changed, strict=True)), strict=True)
        session.fetch_all(statements.correct, {"user_id": user_id, **dict(arrays)})
    return bool(changed)


def _changed(dated: Iterable[Row], zone: str) -> Iterable[tuple[object, ...]]:
    """Yield id and instants of the tasks whose instants are others now, for a user in the zone.

    A zone that there is no longer leaves the instant as it is.
    """
    for task_id, *parts in dated:
        before = [parts[3], parts[7]]
        after = list(before)
        for number, instant in enumerate(INSTANTS.values()):
            moment = parts[4 * number : 4 * number + 3]
            if moment[0] is not None and is_zone(moment[2] or zone):
                after[number] = instant(Moment(*moment), zone)
        if after != before:
            yield task_id, *after
