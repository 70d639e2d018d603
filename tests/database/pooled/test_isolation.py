"""The tests of tests/contract/test_isolation.py, behind the pooler."""

from tests.contract.test_isolation import *  # noqa: F403  # each of them
