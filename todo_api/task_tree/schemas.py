"""The place, project and parent of a move, as a client writes them."""

from typing import Any

from todo_api.ordering import Destination
from todo_api.schemas import load_place
from todo_api.task_tree.tree import Branch


def load_destination(body: dict[str, Any]) -> tuple[dict[str, Any], Destination | None]:
    """Return what a task is to hang on, and its place. Raise ValidationFailed for several."""
    place = load_place(body)
    return {name: body[name] for name in Branch._fields if name in body}, place if any(place) else None
