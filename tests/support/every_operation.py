"""Every operation of the contracts, for tests that hold for each of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.client import Client, Reply
from todo_api import contract
from todo_api.contract import resolve

IDS = dict.fromkeys(("task_id", "key_id", "project_id", "item_id", "label"), "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e")
IDS["seq"] = "90"


class Operation(NamedTuple):
    """An operation of the contract, with its own example as the body."""

    name: str
    method: str
    path: str
    body: Any

    def call(self, client: Client, **more: Any) -> Reply:
        return client.request(self.method, self.path, json_body=self.body, **more)


def _operations(file: Path, base: str) -> Iterator[Operation]:
    document = contract.load(file)
    for template, item in document["paths"].items():
        path = base + template.format(user_id="me", **IDS)
        for method in item.keys() - {"parameters"}:
            operation, body = item[method], None
            if "requestBody" in operation:
                (media,) = operation["requestBody"]["content"].values()
                body = resolve(document, next(iter(media["examples"].values())))["value"]
            yield Operation(operation["operationId"], method.upper(), path, body)


def each(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=[operation.name for operation in operations])


FOR_USERS = sorted(_operations(contract.TASK_API, "/api/v1"))
FOR_OPERATORS = sorted(_operations(contract.OPS_API, ""))
