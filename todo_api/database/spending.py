"""What each request spends at the database: counted where it is spent, asked for when the request ends."""

from contextvars import ContextVar


class Spending:
    """Statements, their seconds, and seconds of waiting for a connection."""

    __slots__ = ("seconds", "statements", "waited")

    def __init__(self) -> None:
        self.statements = 0
        self.seconds = 0.0
        self.waited = 0.0


_spending: ContextVar[Spending] = ContextVar("spending")


def spending() -> Spending:
    """Return the account of this function, or thread."""
    found = _spending.get(None)
    if found is None:
        found = Spending()
        _spending.set(found)
    return found


def spent() -> tuple[int, float, float]:
    """Return what this function, or thread, has spent since it last asked: statements, their seconds, and those of waiting."""
    found = spending()
    _spending.set(Spending())
    return found.statements, found.seconds, found.waited
