"""`dry_run=true` on every write that has it: the reply of the write, and the database as before. The list is the contract's."""

import json
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.secured_operations import KEY_SCOPES, SECURED, UNKNOWN, SecuredOperation, new_key
from todo_api import contract
from todo_api.contract import resolve

DOCUMENT = contract.load(contract.TASK_API)
ME = "/api/v1/me"
DRY = "?dry_run=true"
OF_THE_SERVER = ("id", "position", "created_at", "updated_at", "completed_at")
"""Members that the server makes anew for each write."""

OF_THE_REQUEST = ("x-request-id", "location", "content-length", "dry-run")
"""Headers that differ from one request to another, and that of dry runs."""


def _parameters() -> dict[str, set[str]]:
    """Return the names of the parameters of each operation of the contract."""
    return {
        item[method]["operationId"]: {resolve(DOCUMENT, each)["name"] for each in item[method].get("parameters", [])}
        for item in DOCUMENT["paths"].values()
        for method in item.keys() - {"parameters"}
    }


PARAMETERS = _parameters()
WRITES = [operation for operation in SECURED if "dry_run" in PARAMETERS.get(operation.name, ())]
ABOUT_A_THING = [operation for operation in WRITES if any(f"{{{name}}}" in operation.template for name in UNKNOWN)]
CONDITIONAL = [operation for operation in WRITES if "If-Match" in PARAMETERS[operation.name]]
KEYED = [operation for operation in WRITES if "Idempotency-Key" in PARAMETERS[operation.name]]


def each(operations: list[SecuredOperation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=[operation.name for operation in operations])


class Owner(NamedTuple):
    """A user with one of everything that a write may be about: `ids` has what names it in addresses."""

    client: Client
    ids: dict[str, str]

    def send(self, operation: SecuredOperation, query: str = "", **more: Any) -> Reply:
        return operation._replace(template=operation.template + query).call(self.client, "me", self.ids, **more)


@pytest.fixture
def owner(ada: Client) -> Owner:
    """Every write has something to do: what is moved is not the first, what is deleted has something below it."""
    ada.post(f"{ME}/projects", {"name": "Before it"})
    project = ada.post(f"{ME}/projects", {"name": "Mine"}).json()["id"]
    ada.post(f"{ME}/tasks", {"title": "Before it", "project_id": project})
    made = ada.post(f"{ME}/tasks", {"title": "Mine", "labels": ["Mine", "Other"], "project_id": project}).json()
    task = made["id"]
    seq = ada.patch(f"{ME}/tasks/{task}", {"priority": "high"}).json()["version"]
    ada.post(f"{ME}/tasks", {"title": "Below it", "parent_id": task, "labels": ["mine"], "status": "completed"})
    item = ada.post(f"{ME}/tasks", {"title": "Deleted"}).json()["id"]
    ada.delete(f"{ME}/tasks/{item}")
    ids = {"task_id": task, "project_id": project, "item_id": item, "label": "mine"}
    return Owner(ada, {**UNKNOWN, **ids, "version": str(made["version"]), "seq": str(seq)})


@pytest.fixture
def dump(direct: str) -> Callable[[], dict[str, Any]]:
    """Return every row of every table, and the state of every sequence."""
    tables = [name for (name,) in rows(direct, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]

    def dumped() -> dict[str, Any]:
        found = {each: rows(direct, f'SELECT t::text FROM "{each}" t ORDER BY 1') for each in tables}
        return found | {"sequences": rows(direct, "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")}

    return dumped


def told(reply: Reply) -> tuple[int, list[tuple[str, str]], Any]:
    """Return status, headers and body of a reply, without what the server makes anew for each request."""
    headers = sorted(pair for pair in reply.header_list if pair[0] not in OF_THE_REQUEST)
    return reply.status, headers, lasting(json.loads(reply.content) if reply.content else None)


def lasting(value: Any) -> Any:
    """Return a JSON value, and for a member that the server makes anew whether it is null."""
    if isinstance(value, list):
        return [lasting(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: each is None if name in OF_THE_SERVER else lasting(each)
        for name, each in value.items()
        if name != "request_id"
    }


def test_every_write_of_tasks_projects_and_labels_is_tried() -> None:
    """And those that later tags have, by themselves."""
    assert {operation.name for operation in WRITES} >= {
        *("createTask", "replaceTask", "updateTask", "completeTask", "moveTask", "deleteTask"),
        *("createProject", "updateProject", "moveProject", "deleteProject", "renameLabel", "removeLabel"),
        *("emptyTrash", "purgeItem", "restoreItem"),
    }


@each(WRITES)
def test_dry_run_replies_as_the_write_does_and_keeps_nothing(
    operation: SecuredOperation, owner: Owner, dump: Callable[[], dict[str, Any]]
) -> None:
    before = dump()
    dry = owner.send(operation, DRY)
    assert dump() == before
    assert dry.headers["dry-run"] == "true"
    written = owner.send(operation)
    assert "dry-run" not in written.headers
    assert 200 <= written.status < 300
    assert told(dry) == told(written)
    assert ("location" in dry.headers) == ("location" in written.headers)
    assert dump() != before


@each(WRITES)
def test_dry_run_of_the_users_first_write_keeps_no_user(
    operation: SecuredOperation, new_user: Callable[[], Client], dump: Callable[[], dict[str, Any]]
) -> None:
    carol = Owner(new_user(), UNKNOWN)
    before = dump()
    dry = carol.send(operation, DRY)
    assert dump() == before
    assert told(dry) == told(carol.send(operation))
    assert dry.headers["dry-run"] == "true"


@each(WRITES)
def test_dry_run_that_is_false_is_the_write(
    operation: SecuredOperation, owner: Owner, dump: Callable[[], dict[str, Any]]
) -> None:
    before = dump()
    reply = owner.send(operation, "?dry_run=false")
    assert 200 <= reply.status < 300
    assert "dry-run" not in reply.headers
    assert dump() != before


@each(ABOUT_A_THING)
def test_dry_run_about_nothing_is_refused_as_the_write_is(
    operation: SecuredOperation, ada: Client, dump: Callable[[], dict[str, Any]]
) -> None:
    ada.post(f"{ME}/tasks", {"title": "Registered"})
    nobody = Owner(ada, UNKNOWN)
    before = dump()
    dry, written = nobody.send(operation, DRY), nobody.send(operation)
    assert (dry.status, dry.code) == (404, "not_found")
    assert told(dry) == told(written)
    assert dry.headers["dry-run"] == "true"
    assert dump() == before


@each(CONDITIONAL)
def test_dry_run_with_another_version_is_refused_as_the_write_is(
    operation: SecuredOperation, owner: Owner, dump: Callable[[], dict[str, Any]]
) -> None:
    before = dump()
    stale = {"If-Match": '"0"'}
    dry, written = owner.send(operation, DRY, headers=stale), owner.send(operation, headers=stale)
    assert (dry.status, dry.code) == (412, "precondition_failed")
    assert dry.json()["current"] == written.json()["current"]
    assert told(dry) == told(written)
    assert dump() == before


@each(CONDITIONAL)
def test_dry_run_with_the_version_is_as_the_write(operation: SecuredOperation, owner: Owner) -> None:
    name = "task_id" if "{task_id}" in operation.template else "project_id"
    tag = {"If-Match": owner.client.get(f"{ME}/{name[:-3]}s/{owner.ids[name]}").headers["etag"]}
    dry, again = (owner.send(operation, DRY, headers=tag) for _ in range(2))
    assert told(dry) == told(again) == told(owner.send(operation, headers=tag))
    assert 200 <= dry.status < 300


@each(KEYED)
def test_dry_run_with_an_idempotency_key_is_refused_and_the_key_stays_free(
    operation: SecuredOperation, owner: Owner, dump: Callable[[], dict[str, Any]]
) -> None:
    before, key = dump(), {"Idempotency-Key": secrets.token_hex(8)}
    refused = owner.send(operation, DRY, headers=key)
    assert refused.status == 400
    assert [(one["location"], one["pointer"], one["code"]) for one in refused.json()["errors"]] == [
        ("query", "/dry_run", "conflicting")
    ]
    assert dump() == before
    kept, replayed = owner.send(operation, "?dry_run=false", headers=key), owner.send(operation, headers=key)
    assert 200 <= kept.status < 300
    assert replayed.headers["idempotency-replayed"] == "true"


@each(WRITES)
def test_dry_run_by_a_key_without_the_scope_is_refused_as_the_write_is(
    operation: SecuredOperation, owner: Owner, dump: Callable[[], dict[str, Any]]
) -> None:
    reader = owner._replace(
        client=owner.client.signed_in(new_key(owner.client, [each for each in KEY_SCOPES if each != operation.scope]))
    )
    before = dump()
    dry, written = reader.send(operation, DRY), reader.send(operation)
    assert (dry.status, dry.code) == (403, "insufficient_scope")
    assert told(dry) == told(written)
    assert dump() | {"api_keys": before["api_keys"]} == before  # but for when the key was used


@each(WRITES)
def test_dry_run_by_a_key_with_the_scope_is_as_the_write(operation: SecuredOperation, owner: Owner) -> None:
    writer = owner._replace(client=owner.client.signed_in(new_key(owner.client, [operation.scope])))
    dry, written = writer.send(operation, DRY), writer.send(operation)
    assert told(dry) == told(written)
    assert 200 <= dry.status < 300


@each(WRITES)
def test_dry_run_at_another_users_address_is_forbidden(
    operation: SecuredOperation, owner: Owner, bob: Client, dump: Callable[[], dict[str, Any]]
) -> None:
    stranger = operation._replace(template=operation.template + DRY)
    user_id = owner.client.get(f"{ME}/tasks/{owner.ids['task_id']}").json()["user_id"]
    before = dump()
    assert stranger.call(bob, user_id, owner.ids).code == "forbidden"
    new = {"createTask": 201, "createProject": 201, "runBatch": 200, "emptyTrash": 204}
    assert stranger.call(bob, "me", owner.ids).status == new.get(operation.name, 404)  # what is another's
    assert dump() == before


@pytest.mark.parametrize("value", ["", "yes", "True", "1"])
def test_dry_run_that_is_no_boolean_is_refused(ada: Client, value: str) -> None:
    reply = ada.post(f"{ME}/tasks?dry_run={value}", {"title": "Not written"})
    assert reply.status == 400
    assert [(one["pointer"], one["code"]) for one in reply.json()["errors"]] == [("/dry_run", "wrong_type")]
    assert "dry-run" not in reply.headers
    assert ada.get(f"{ME}/tasks").json()["total"] == 0


def test_dry_run_sent_twice_is_refused(ada: Client) -> None:
    reply = ada.post(f"{ME}/tasks?dry_run=true&dry_run=false", {"title": "Not written"})
    assert [(one["pointer"], one["code"]) for one in reply.json()["errors"]] == [("/dry_run", "duplicate")]


@pytest.mark.parametrize(
    "path",
    [
        f"{ME}/tasks",
        f"{ME}/tasks/{UNKNOWN['task_id']}",
        f"{ME}/account",
        f"{ME}/projects",
        f"{ME}/labels",
        f"{ME}/keys",
    ],
)
def test_dry_run_of_a_read_is_refused(ada: Client, path: str) -> None:
    reply = ada.get(f"{path}{DRY}")
    assert (reply.status, reply.json()["errors"][0]["code"]) == (400, "unknown")
