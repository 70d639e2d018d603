"""Coverage of the contracts. A whole run fails if they document something that no test has seen: remove it, or test it."""

import pytest

from tests.support.contract_check import ContractCheck

EXCEPTIONS: dict[tuple[str, int | str], str] = {
    ("checkLiveness", 500): "it asks nothing that could be broken",
    ("checkReadiness", 500): "whatever its checks meet is a 503",
    ("getMetrics", 500): "it adds up memory of its own, and asks nothing that could be broken",
}
"""Documented things that no test can see, with the reason. The run also fails for an entry that is seen, or not documented."""

Line = tuple[str, int | str]


def is_whole(config: pytest.Config, deselected: bool) -> bool:
    """Return whether the run has every test of the suite."""
    options = ("keyword", "markexpr", "collectonly", "ignore", "ignore_glob")
    narrowed = deselected or any(config.getoption(name) for name in options)
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not narrowed


def complaints(check: ContractCheck) -> list[str]:
    """A line for each thing that was never seen, and for each exception that is none."""
    unseen = check.unseen()
    never = [f"{name} {what}: never seen" for name, what in _sorted(unseen - set(EXCEPTIONS))]
    needless = [
        f"{name} {what}: excepted, and seen or not documented" for name, what in _sorted(set(EXCEPTIONS) - unseen)
    ]
    return never + needless


def summary(check: ContractCheck) -> str:
    """One line of figures."""
    documented, unseen = check.documented(), check.unseen()
    statuses = {line for line in documented if isinstance(line[1], int)}
    headers = documented - statuses
    return (
        f"seen {len(statuses - unseen)} of {len(statuses)} documented statuses and "
        f"{len(headers - unseen)} of {len(headers)} response headers of {len({name for name, _ in documented})} operations"
    )


def _sorted(lines: set[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (line[0], str(line[1])))
