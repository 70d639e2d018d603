"""The tests of tests/test_conditions.py, behind the pooler."""

from tests.test_conditions import *  # noqa: F403  # each of them
