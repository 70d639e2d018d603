"""A plugin of pytest that reports of a test what says something, where several processes share the tests.

That it begins, is set up and torn down, and ends says nothing, and to hand it to the main process takes longer than many a test.
"""

import pytest
from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test as pytest does. Report its call, and every other step that does not pass, without the test's keywords."""
    is_shared = hasattr(item.config, "workerinput")
    if not is_shared or item.config.getoption("durations") is not None:
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            report.keywords = {}
            item.ihook.pytest_runtest_logreport(report=report)
    return True
