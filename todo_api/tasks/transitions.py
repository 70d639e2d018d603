"""How a task's status may change."""

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("pending", "in_progress", "completed", "cancelled"),
    "in_progress": ("pending", "in_progress", "completed", "cancelled"),
    "completed": ("pending", "in_progress", "completed"),
    "cancelled": ("pending", "cancelled"),
}
"""From each status, those it can change to. To itself it always can, which changes nothing."""


def sources(target: str) -> list[str]:
    """The statuses that can change to `target`."""
    return [source for source, targets in TRANSITIONS.items() if target in targets]
