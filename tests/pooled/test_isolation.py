"""The tests of tests/test_isolation.py, behind the pooler."""

from tests.test_isolation import *  # noqa: F403  # each of them
