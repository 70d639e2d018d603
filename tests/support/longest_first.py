"""A plugin of pytest that begins with the files that take longest, where several processes share the tests.

None is then left alone with a long one at the end. `make test ARGS=--durations=0` tells how long each test takes.
"""

import pytest

LONGEST = [
    "interleavings",
    "first_wall",
    "backups",
    "backup_files",
    "frozen",
    "issuers",
    "backup_proofs",
    "schema_steps",
    "serve_settings",
    "concurrency",
    "mcp",
    "isolation",
    "bundling",
    "query_plans",
    "search_limit",
    "session_defaults",
    "places",
    "client_limits",
    "found_databases",
    "serve",
    "heavy_lists",
    "guide",
    "stopping",
    "cli",
    "characters",
    "lists",
    "exports",
    "connections",
    "reload",
    "first_minute",
    "redis",
    "rate_limits",
    "traces",
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
