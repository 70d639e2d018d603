"""The place among siblings that a move names."""

from typing import NamedTuple


class Destination(NamedTuple):
    """A place in an order: `before` or `after` another thing, or `at` an end."""

    before: str | None = None
    after: str | None = None
    at: str | None = None


LAST = Destination(at="last")
