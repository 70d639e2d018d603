"""A plugin of pytest that begins with the files that take longest, where several processes share the tests.

None is then left alone with a long one at the end. `make test ARGS=--durations=0` tells how long each test takes.
"""

import pytest

LONGEST = [
    "backups",
    "frozen",
    "issuers",
    "backup_proofs",
    "search_limit",
    "session_defaults",
    "interleavings",
    "places",
    "first_wall",
    "mcp",
    "client_limits",
    "found_databases",
    "serve",
    "heavy_lists",
    "concurrency",
    "bundling",
    "guide",
    "schema_steps",
    "stopping",
    "cli",
    "characters",
    "lists",
    "exports",
    "connections",
    "reload",
    "first_minute",
    "isolation",
    "redis",
    "rate_limits",
    "traces",
    "query_plans",
    "outages",
    "overload",
    "migrations",
    "deprecation",
    "logs",
    "lost_connections",
    "urls",
    "plans_of_purges",
    "house_rules",
    "cors_of_refusals",
    "policies",
    "variables",
    "discretion",
    "start",
    # Those of the browser
    "trying",
    "accessibility",
    "pages",
    "front_ends_page",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in their order."""
    if not items or not hasattr(items[0].config, "workerinput"):
        return
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))
