"""Transitions of a task's status."""

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("pending", "in_progress", "completed", "cancelled"),
    "in_progress": ("pending", "in_progress", "completed", "cancelled"),
    "completed": ("pending", "in_progress", "completed"),
    "cancelled": ("pending", "cancelled"),
}
"""Allowed targets of each status. To itself is always allowed and changes nothing."""


def sources(target: str) -> list[str]:
    """Return the statuses that can change to `target`."""
    return [source for source, targets in TRANSITIONS.items() if target in targets]
