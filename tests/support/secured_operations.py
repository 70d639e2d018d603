"""The operations of the contract that ask for a token, each with the request that its examples make."""

import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.client import Client, Reply
from todo_api import contract
from todo_api.contract import resolve

METHODS = ("get", "put", "post", "patch", "delete")
KEY_SCOPES = contract.load(contract.TASK_API)["components"]["schemas"]["KeyScope"]["enum"]
UNKNOWN = dict.fromkeys(("task_id", "key_id", "project_id", "item_id", "label"), "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e")
UNKNOWN["seq"] = "9007199254740991"
"""Ids of what is in nobody's space, by the parameter that names it.

`version` may stand beside them: one that the task had before its last change.
"""


class SecuredOperation(NamedTuple):
    """An operation of the contract and a request that its examples make."""

    name: str
    method: str
    template: str
    body: Any
    scope: str

    def call(self, client: Client, user_id: str, ids: dict[str, str], **more: Any) -> Reply:
        path = "/api/v1" + self.template.format(user_id=user_id, **ids)
        body = self.body
        if self.name == "changeEmail":
            body = body | {"email": f"{secrets.token_hex(6)}@example.com"}  # that of the example is one user's alone
        if self.name == "revertTask" and "version" in ids:
            body = {"version": int(ids["version"])}
        return client.request(self.method, path, json_body=body, **more)


def is_public(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    return not operation.get("security", document["security"])


def operations_of(path: str) -> Iterator[tuple[dict[str, Any], str, str, dict[str, Any], list[Any]]]:
    document = contract.load(path)
    for template, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
                yield document, template, method, operation, [resolve(document, one) for one in parameters]


def _secured() -> Iterator[SecuredOperation]:
    for document, template, method, operation, parameters in operations_of(contract.TASK_API):
        if is_public(document, operation):
            continue
        name = operation["operationId"]
        required = {parameter["name"] for parameter in parameters if parameter.get("required")}
        assert required <= {"user_id", *UNKNOWN}, f"{name}: say here how to give it {required}"
        body = None
        if "requestBody" in operation:
            (media,) = operation["requestBody"]["content"].values()
            body = resolve(document, next(iter(media["examples"].values())))["value"]
        scope = operation["x-required-scope"]
        yield SecuredOperation(name, method.upper(), template, body, scope)
        if method == "get":
            yield SecuredOperation(f"{name}-head", "HEAD", template, None, scope)


SECURED = list(_secured())


def new_key(client: Client, scopes: list[str]) -> str:
    return str(client.post("/api/v1/me/keys", {"name": "For a test", "scopes": scopes}).json()["key"])
