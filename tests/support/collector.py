"""A plugin of pytest that has the garbage collector run as in a service: rarely, and past what stays.

Each process of a run has all tests, and frees none of them.
"""

import pytest

from todo_api.config import garbage


def pytest_configure() -> None:
    """Collect nothing while the tests are imported."""
    garbage.postpone()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave out what is there when the tests are known."""
    garbage.resume()
