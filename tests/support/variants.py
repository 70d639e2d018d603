"""A plugin of pytest that runs some modules several times: with users of each kind, and behind a pooler in transaction mode."""

import pytest

from tests.support import programs
from tests.support.token_kinds import TOKEN_KINDS

TASKS = (
    "tests.tasks.test_conditions",
    "tests.tasks.test_tasks",
    "tests.tasks.test_lists",
    "tests.tasks.test_transitions",
)
BOTH = (
    "tests.contract.test_isolation",
    "tests.idempotency.test_retries",
    "tests.api_keys.test_api_keys",
)
EACH_KIND = dict.fromkeys(TASKS, TOKEN_KINDS) | dict.fromkeys(BOTH, TOKEN_KINDS[:2])
"""The modules whose users are of several kinds: one after another in each test. What is about keys and accounts takes no API key."""

POOLED = (
    "tests.tasks.test_concurrency",
    "tests.tasks.test_conditions",
    "tests.contract.test_isolation",
    "tests.dry_runs.test_refusals",
    "tests.tasks.test_search_limit",
)
"""The modules that run behind a pooler as well, with users of the first kind."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the modules above once for each variant."""
    module = metafunc.module.__name__
    names = [name for name in ("kind", "route") if name in metafunc.fixturenames]
    kinds = EACH_KIND.get(module, TOKEN_KINDS[:1]) if "kind" in names else TOKEN_KINDS[:1]
    variants = {kind: {"kind": kind, "route": "direct"} for kind in kinds}
    if "route" in names and module in POOLED and programs.FOUND["pgbouncer"]:
        variants["pooled"] = {"kind": TOKEN_KINDS[0], "route": "pooled"}
    if len(variants) > 1:
        values = [[variant[name] for name in names] for variant in variants.values()]
        metafunc.parametrize(names, values, indirect=True, scope="module", ids=list(variants))


@pytest.fixture(scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of the test's users: whom the service has not met yet, unless the module has several."""
    return str(getattr(request, "param", TOKEN_KINDS[0]))


@pytest.fixture(scope="module")
def route(request: pytest.FixtureRequest) -> str:
    """Return how the module's databases are reached: `direct` or `pooled`."""
    return str(getattr(request, "param", "direct"))
