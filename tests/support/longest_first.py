"""A plugin of pytest that begins with the files that take longest, where several processes share the tests.

None is then left alone with a long one at the end. `make test ARGS=--durations=0` tells how long each test takes.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

LONGEST = [
    "undo_interleavings",
    "first_wall",
    "interleavings",
    "redis",
    "backups",
    "backup_files",
    "restores",
    "frozen",
    "issuers",
    "backup_proofs",
    "schema_steps",
    "serve_settings",
    "isolation",
    "mcp",
    "concurrency",
    "found_databases",
    "guide",
    "bundling",
    "query_plans",
    "search_limit",
    "session_defaults",
    "places",
    "client_limits",
    "serve",
    "policies",
    "migrations",
    "own_server",
    "restores_at_once",
    "traces",
    "heavy_lists",
    "stopping",
    "cli",
    "characters",
    "lists",
    "exports",
    "first_minute",
    "connections",
    "reload",
    "plans_of_purges",
    "dry_runs",
    "cursors",
    "conditions",
    "overload",
    "discretion",
    "subtasks_at_once",
    "house_rules",
    "retries",
    "rate_limits",
    "outages",
    "moves_at_once",
    "upgrading",
    "deprecation",
    "logs",
    "lost_connections",
    "urls",
    "cors_of_refusals",
    "variables",
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


class Numbered(list[str]):
    """Names of tests, each with its number at hand: to search for every one of 12,000 takes four seconds."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self._numbers = {name: number for number, name in enumerate(names)}

    def index(self, name: str, *_: Any) -> int:
        """Return the number of that name."""
        return self._numbers[name]


class Files(LoadFileScheduling):
    """Shares the files among the processes, those of MCP as one: what they need takes two seconds to import."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what stays together."""
        file: str = super()._split_scope(nodeid)
        return "mcp" if "/test_mcp" in file else file

    def add_node_collection(self, node: Any, collection: list[str]) -> None:
        """Note the tests of a process."""
        super().add_node_collection(node, collection)
        if node in self.registered_collections:  # those of another one would not do
            self.registered_collections[node] = Numbered(collection)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Share files, where files are to be shared."""
    return Files(config, log) if config.getoption("dist") == "loadfile" else None
