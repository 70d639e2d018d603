"""The tests of tests/test_search_limit.py, behind the pooler."""

from tests.test_search_limit import *  # noqa: F403  # each of them
