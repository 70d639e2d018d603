"""The tests of tests/test_concurrency.py, behind the pooler."""

from tests.test_concurrency import *  # noqa: F403  # each of them
