"""Cases of one test: as many as it likes, without what pytest takes for each test."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*names: object) -> Iterator[None]:
    """Name the case in the failure of what is within."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"The case: {', '.join(map(repr, names))}")
        raise
