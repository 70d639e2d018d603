"""The tests of tests/tasks/test_conditions.py, behind the pooler."""

from tests.tasks.test_conditions import *  # noqa: F403  # each of them
