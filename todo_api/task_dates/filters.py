"""Filters of lists by dates, as a client sends them."""

from datetime import date
from typing import Any

from todo_api.errors import ValidationFailed, Violation
from todo_api.lists import DateFilter
from todo_api.local_time import is_zone
from todo_api.task_dates.dates import unknown_zone

FILTERS = frozenset({"due", "due_from", "due_to", "startable", "time_zone"})
"""Parameters of lists that are about dates."""


def load_filter(sent: dict[str, Any]) -> DateFilter | None:
    """Return the filter by dates, None if there is but a zone. Raise ValidationFailed."""
    days = {name: date.fromisoformat(sent[name]) for name in ("due_from", "due_to") if name in sent}
    zone = sent.get("time_zone")
    found: list[Violation] = []
    if zone is not None and not is_zone(zone):
        found.append(unknown_zone("/time_zone", "query"))
    if "due" in sent and days:
        found.append(Violation("query", "/due", "conflicting", "Send due, or due_from and due_to."))
    elif len(days) > 1 and days["due_from"] > days["due_to"]:
        found.append(Violation("query", "/due_from", "conflicting", "Must not be later than due_to."))
    if found:
        raise ValidationFailed(found)
    dated = DateFilter(sent.get("due"), days.get("due_from"), days.get("due_to"), sent.get("startable"))
    return dated._replace(zone=zone) if dated.needs_zone else dated if dated.due else None
