"""The tests of tests/tasks/test_concurrency.py, behind the pooler."""

from tests.tasks.test_concurrency import *  # noqa: F403  # each of them
