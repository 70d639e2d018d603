"""A plugin of pytest that begins with the files that take longest, where several processes share the tests.

None is then left alone with a long one at the end. `make test ARGS=--durations=0` tells how long each test takes.
"""

import pytest

LONGEST = [
    "interleavings",
    "isolation",
    "issuers",
    "places",
    "session_defaults",
    "client_limits",
    "found_databases",
    "concurrency",
    "mcp",
    "backups",
    "first_wall",
    "bundling",
    "frozen",
    "overload",
    "stopping",
    "outages",
    "traces",
    "conditions",
    "lists",
    "cli",
    "heavy_lists",
    "guide",
    "serve",
    "exports",
    "schema_steps",
    "reload",
    "redis",
    "paths",
    "characters",
    "discretion",
    "query_plans",
    "migrations",
    "connections",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in their order."""
    if not items or not hasattr(items[0].config, "workerinput"):
        return
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))
