"""The instants of dates that follow the user's zone."""

from todo_api.database import RoleSession
from todo_api.local_time import Moment
from todo_api.task_dates import statements
from todo_api.task_dates.dates import INSTANTS


class LocalDates:
    """The dates of a user's tasks that are in no zone of their own."""

    def __init__(self, session: RoleSession, user_id: str) -> None:
        self._db = session
        self._user_id = user_id

    def recompute(self, zone: str) -> None:
        """Compute their instants anew, for a user in the zone.

        Call it in the transaction that changes the user's zone.
        """
        for name, instant in INSTANTS.items():
            found = self._db.fetch_all(statements.local_moments[name], {"user_id": self._user_id})
            instants = [instant(Moment(*row), zone) for row in found]
            arrays = {"dates": [row[0] for row in found], "times": [row[1] for row in found], "instants": instants}
            self._db.fetch_all(statements.recompute[name], {"user_id": self._user_id, **arrays})
        self._db.fetch_all(statements.note, {"user_id": self._user_id})
