"""A plugin of pytest that tells progress in steps of five per cent. A test that passes shows nothing else."""

import pytest

STEP = 5


class Progress:
    """Counts the tests that are done, where they are reported."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._done = 0

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a line if this test completes a step."""
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        self._done += 1
        total = max(self._session.testscollected, 1)
        percent = 100 * self._done // total
        if percent // STEP > 100 * (self._done - 1) // total // STEP:
            self._reporter.write_line(f"{percent:3d} %, {self._done} of {total} tests")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Count in the process that reports, not in those of pytest-xdist."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        config.pluginmanager.register(Progress(reporter))


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """Show no dot for a test that passes, unless every test is to be named."""
    silent = report.when == "call" and report.passed and config.get_verbosity() <= 0
    return ("passed", "", "PASSED") if silent else None
