"""What a client asks of a list. It knows no SQL."""

from typing import Any, NamedTuple

from todo_api.models import STATUSES


class TaskFilter(NamedTuple):
    """Filters and sort of a list.

    `further` has the filters after 1.1 that are set, by the names of their conditions.
    """

    statuses: tuple[str, ...] | None = None
    completed: bool | None = None
    words: str | None = None
    sort: str = "-created_at"
    further: tuple[tuple[str, Any], ...] = ()

    def matching(self) -> tuple[str, ...] | None:
        """Return the statuses that both filters allow, None for all."""
        if self.statuses is None and self.completed is None:
            return None
        return tuple(
            status
            for status in STATUSES
            if (self.statuses is None or status in self.statuses)
            and (self.completed is None or (status == "completed") == self.completed)
        )

    def conditions(self) -> tuple[str, ...]:
        """Return the names of the conditions besides the statuses, in one order."""
        further = tuple(name for name, _ in self.further)
        return ("words", *further) if self.words else further

    def values(self) -> dict[str, Any]:
        """Return the parameters of these conditions."""
        values = dict(self.further)
        if self.words:
            values["words"] = [_escape(word) for word in self.words.split()]
        return values

    def scope(self) -> str:
        """Return what a cursor is bound to. A filter that is not set leaves older cursors valid."""
        known = f"statuses={self.statuses!r}, completed={self.completed!r}, words={self.words!r}, sort={self.sort!r}"
        return f"TaskFilter({known})" + "".join(f", {name}={value!r}" for name, value in self.further)


def _escape(word: str) -> str:
    """Return the word with the wildcards of LIKE escaped."""
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
