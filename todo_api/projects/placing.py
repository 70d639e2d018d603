"""The order of projects. A user has so few that all are looked at."""

from collections.abc import Sequence
from typing import NamedTuple

from todo_api.errors import ValidationFailed, Violation
from todo_api.ordering import Destination, evenly_spaced, key_after, key_before, key_between


class Placed(NamedTuple):
    """A project and its position."""

    position: str
    id: str


def moved(projects: Sequence[Placed], project_id: str, destination: Destination, clock: str) -> list[Placed]:
    """Return the new positions: none if the project is there already, all if there is no room.

    `clock` is the key of the moment. Raise ValidationFailed.
    """
    others = [each for each in projects if each.id != project_id]
    index = _index(others, destination)
    if projects[index].id == project_id:
        return []
    low = others[index - 1].position if index else None
    if index == len(others):
        # The clock may have been put back.
        return [Placed(clock if low is None or clock > low else key_after(low), project_id)]
    high = others[index].position
    key = key_before(high) if low is None else key_between(low, high)
    if key is not None:
        return [Placed(key, project_id)]
    ids = [each.id for each in others]
    ids.insert(index, project_id)
    return [Placed(*each) for each in zip(evenly_spaced(len(ids), clock), ids, strict=True)]


def _index(others: Sequence[Placed], destination: Destination) -> int:
    """Return the index of the project among all of them, once it is there."""
    if destination.at is not None:
        return 0 if destination.at == "first" else len(others)
    name = "after" if destination.before is None else "before"
    other_id = destination.before or destination.after
    for index, other in enumerate(others):
        if other.id == other_id:
            return index if name == "before" else index + 1
    raise ValidationFailed([Violation("body", f"/{name}", "not_a_sibling", "Must be another project of yours.")])
