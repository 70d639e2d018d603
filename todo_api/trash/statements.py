"""SQL of the trash."""

from sqlalchemy import ColumnElement, Integer, func, literal_column

from todo_api.database import delete_expired, param
from todo_api.models import trash

_NONE: ColumnElement[int] = literal_column("0")
_KEPT = func.make_interval(_NONE, _NONE, _NONE, param("days", Integer))
"""How long something stays in the trash: years, months, weeks, days."""

PURGE = delete_expired(trash, trash.c.trashed_at < func.now() - _KEPT)
