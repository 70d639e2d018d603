"""Database usage of each request."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Spending:
    """Statements, their seconds, and seconds of waiting for a connection."""

    statements: int = 0
    seconds: float = 0.0
    waited: float = 0.0


_spending: ContextVar[Spending | None] = ContextVar("spending")


def spending() -> Spending:
    """Return the usage of this function or thread."""
    found = _spending.get(None)
    if found is None:
        found = Spending()
        _spending.set(found)
    return found


def spent() -> tuple[int, float, float]:
    """Return the usage of this function or thread since the last call, and reset it."""
    found = _spending.get(None)
    if found is None:
        return 0, 0.0, 0.0
    _spending.set(None)
    return found.statements, found.seconds, found.waited
