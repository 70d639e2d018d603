"""Every statement of the service: the globals of its modules, and what their factories make."""

import inspect
import sys
from collections.abc import Iterator
from itertools import chain, product
from typing import Any

from tests.support.wall_cases import FIELDS, SORTS, powerset
from todo_api.database.statement import Statement
from todo_api.lists import MAX_PAGE
from todo_api.models import STATUSES
from todo_api.task_tree.tree import NEAR

FURTHER_CONDITIONS = (
    "project_id",
    "in_no_project",
    "parent_id",
    "without_parent",
    "labels",
    "priorities",
    "updated_since",
)
"""Those of lists after 1.1, but for those by dates."""

VALUES: dict[str, list[Any]] = {
    "action": ["reverted", ""],
    "status": [*STATUSES],
    "limit": [1, NEAR + 1],
    "of": ["parent", "project", "inbox"],
    "fields": [frozenset(names) for names in powerset([*FIELDS, "kept"])[1:]],
    "sort": SORTS,
    "statuses": [None, ("pending",), ("in_progress", "completed"), ()],
    "most_octets": [None, MAX_PAGE],
    "conditions": [(), ("words",), *((name,) for name in FURTHER_CONDITIONS)],
}


def every_statement() -> dict[str, Statement]:
    """Return the statements of the modules that are imported, by a name of the test's own."""
    modules = [module for name, module in sys.modules.items() if name.startswith("todo_api.")]
    there = {
        f"{module.__name__}.{name} {number}": statement
        for module in modules
        for name, value in vars(module).items()
        for number, statement in enumerate(statements_of(value))
    }
    factories = {value for module in modules for value in vars(module).values() if hasattr(value, "cache_info")}
    made = [one for one in factories if inspect.signature(one).return_annotation is Statement]
    assert len(made) >= 6
    return there | dict(chain.from_iterable(map(shapes, made)))


def statements_of(value: object) -> Iterator[Statement]:
    """Yield the statements that a module's global has, in tables of them as well."""
    if isinstance(value, Statement):
        yield value
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(statements_of, value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from chain.from_iterable(map(statements_of, value))


def shapes(factory: Any) -> Iterator[tuple[str, Statement]]:
    """Yield every statement that a factory makes, but for equal ones of a list's filters."""
    parameters = inspect.signature(factory).parameters
    domains = [
        (False, True) if parameter.annotation is bool else VALUES[name]  # a new one: say in VALUES what it may be
        for name, parameter in parameters.items()
    ]
    for chosen in product(*domains):
        arguments = dict(zip(parameters, chosen, strict=True))
        if arguments.get("in_zone") or (arguments.get("statuses") == () and arguments.get("cursor")):
            continue  # the former are `shapes_by_dates`, and a list of nothing has no second page
        if (
            arguments.get("conditions", ())[:1] in [(name,) for name in FURTHER_CONDITIONS]
            and arguments["sort"] != SORTS[0]
        ):
            continue  # a condition is the same in each order
        # As the service calls it, so that what it has made is not made again
        called = inspect.signature(factory).bind(**arguments)
        yield f"{factory.__module__}.{factory.__name__} {arguments}", factory(*called.args, **called.kwargs)
