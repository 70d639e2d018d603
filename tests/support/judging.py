"""A plugin of pytest that judges the run: every reply by the contracts, and every log line, error and metric for secrets."""

import logging
from typing import Any

import pytest

from tests.support import contract_coverage
from tests.support.contract_check import ContractCheck
from tests.support.discretion import RUN, Listener

CHECK = pytest.StashKey[ContractCheck]()
DESELECTED = pytest.StashKey[bool]()
COVERAGE = pytest.StashKey[list[str]]()
INDISCREET = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CHECK] = ContractCheck()
    config.stash[INDISCREET] = []
    logging.getLogger().addHandler(Listener(RUN))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that leaked a secret, and a whole run that lacks something of the contracts.

    With several processes (pytest-xdist), each reports what it saw to the main one, which judges.
    """
    session.config.stash[INDISCREET] += RUN.complaints()
    if hasattr(session.config, "workeroutput"):
        seen = session.config.stash[CHECK]
        deselected = session.config.stash.get(DESELECTED, False)
        session.config.workeroutput["saw"] = (list(seen.seen.items()), list(seen.headers_seen), deselected)
        session.config.workeroutput["indiscreet"] = session.config.stash[INDISCREET]
        return
    if session.config.stash[INDISCREET] and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not session.shouldfail
    if ended and contract_coverage.is_whole(session.config, session.config.stash.get(DESELECTED, False)):
        session.config.stash[COVERAGE] = contract_coverage.complaints(session.config.stash[CHECK])
        if session.config.stash[COVERAGE]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of the run has ended."""
    statuses, headers, deselected = getattr(node, "workeroutput", {}).get("saw", ((), (), True))
    check = node.config.stash[CHECK]
    check.seen.update(dict(statuses))
    check.headers_seen.update(headers)
    node.config.stash[INDISCREET] += getattr(node, "workeroutput", {}).get("indiscreet", ())
    if deselected:
        node.config.stash[DESELECTED] = True


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        item.config.stash[DESELECTED] = True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[INDISCREET]:
        terminalreporter.section("secrets in logs, errors or metrics")
        for complaint in sorted(set(config.stash[INDISCREET])):
            terminalreporter.line(complaint)
    if COVERAGE in config.stash:
        terminalreporter.section("contract coverage")
        terminalreporter.line(contract_coverage.summary(config.stash[CHECK]))
        for complaint in config.stash[COVERAGE]:
            terminalreporter.line(complaint)


@pytest.fixture(scope="session")
def check(pytestconfig: pytest.Config) -> ContractCheck:
    """The judge of every reply of the run."""
    return pytestconfig.stash[CHECK]
