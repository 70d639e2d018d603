"""The tests of tests/tasks/test_search_limit.py, behind the pooler."""

from tests.tasks.test_search_limit import *  # noqa: F403  # each of them
