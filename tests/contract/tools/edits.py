"""Edits of the contract, each with what it asks of clients. `check_edits.py` has each judged; docs/contract-checks.md has the result."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.contract.tools.impact import Document, Impact

TASKS = "/{user_id}/tasks"
TASK = "/{user_id}/tasks/{task_id}"
COMPLETE = "/{user_id}/tasks/{task_id}/complete"
MAJOR, MINOR, PATCH = Impact.MAJOR, Impact.MINOR, Impact.PATCH


class Edit(NamedTuple):
    """One edit, what it is in words, and the part of the version that it must raise."""

    what: str
    right: Impact
    make: Callable[[Document], Any]


def _schema(document: Document, name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def _members(document: Document, name: str) -> dict[str, Any]:
    found: dict[str, Any] = _schema(document, name)["properties"]
    return found


def _parameter(document: Document, name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["parameters"][name]
    return found


def _without_status(document: Document) -> None:
    del _members(document, "Task")["completed_at"]
    _schema(document, "Task")["required"].remove("completed_at")


def _with_member(document: Document) -> None:
    _members(document, "Task")["colour"] = {"type": "string", "enum": ["red", "blue"]}
    _schema(document, "Task")["required"].append("colour")


def _with_operation(document: Document) -> None:
    read = document["paths"][TASK]["get"]
    document["paths"][f"{TASK}/comments"] = {
        "parameters": document["paths"][TASK]["parameters"],
        "get": read | {"operationId": "getComments", "parameters": []},
    }


def _moved(document: Document, before: str, after: str) -> None:
    document["paths"][after] = document["paths"].pop(before)


def _status_moved(document: Document) -> None:
    responses = document["paths"][TASKS]["post"]["responses"]
    responses["200"] = responses.pop("201")


def _media_type_moved(document: Document) -> None:
    content = document["paths"][TASKS]["post"]["requestBody"]["content"]
    content["application/cbor"] = content.pop("application/json")


def _with_error_status(document: Document) -> None:
    limited = document["components"]["responses"]["Unavailable"] | {"description": "Too many requests."}
    document["components"]["responses"]["RateLimited"] = limited
    document["paths"][TASKS]["get"]["responses"]["429"] = {"$ref": "#/components/responses/RateLimited"}


def _with_code(document: Document) -> None:
    """As where a status that one code had gets another, whose problems have less to say."""
    response = document["components"]["responses"]["PreconditionFailed"]
    response["content"]["application/problem+json"]["examples"]["reused"] = {
        "$ref": "#/components/examples/IdempotencyKeyReusedProblem"
    }
    _schema(document, "PreconditionProblem")["required"].remove("current")


def _query(name: str, *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": {"type": "boolean"}}


EDITS = (
    Edit("An operation is removed", MAJOR, lambda d: d["paths"][TASK].pop("put")),
    Edit("A path is renamed", MAJOR, lambda d: _moved(d, COMPLETE, f"{TASK}/done")),
    Edit("An operationId is renamed", MAJOR, lambda d: d["paths"][TASKS]["get"].update(operationId="findTasks")),
    Edit("The server's address changes", MAJOR, lambda d: d["servers"][0].update(url="/api/v2")),
    Edit("A public operation needs a token", MAJOR, lambda d: d["paths"]["/auth/token"]["post"].pop("security")),
    Edit("A query parameter is removed", MAJOR, lambda d: d["paths"][TASKS]["get"]["parameters"].pop(5)),
    Edit(
        "A required query parameter is added",
        MAJOR,
        lambda d: d["paths"][TASKS]["get"]["parameters"].append(_query("all", required=True)),
    ),
    Edit("A parameter's maximum is lowered", MAJOR, lambda d: _parameter(d, "Limit")["schema"].update(maximum=100)),
    Edit("A parameter's minimum is raised", MAJOR, lambda d: _parameter(d, "Limit")["schema"].update(minimum=10)),
    Edit("A parameter's default changes", MAJOR, lambda d: _parameter(d, "Limit")["schema"].update(default=20)),
    Edit("The default order changes", MAJOR, lambda d: _schema(d, "TaskSort").update(default="title")),
    Edit("A request member becomes required", MAJOR, lambda d: _schema(d, "TaskInput")["required"].append("status")),
    Edit("A request member is removed", MAJOR, lambda d: _members(d, "TaskPatch").pop("status")),
    Edit("A request member no longer takes null", MAJOR, lambda d: _schema(d, "TaskDescription").pop("nullable")),
    Edit("A string may be less long", MAJOR, lambda d: _schema(d, "TaskTitle").update(maxLength=200)),
    Edit("A pattern changes", MAJOR, lambda d: _schema(d, "TaskTitle").update(pattern="^[A-Za-z ]+$")),
    Edit(
        "An optional body becomes required",
        MAJOR,
        lambda d: d["paths"][COMPLETE]["patch"]["requestBody"].update(required=True),
    ),
    Edit("A body's media type changes", MAJOR, _media_type_moved),
    Edit(
        "A further media type is no longer taken",
        MAJOR,
        lambda d: d["paths"][TASK]["patch"]["x-accept-patch"].remove("application/merge-patch+json"),
    ),
    Edit("A response member is removed", MAJOR, _without_status),
    Edit("A response member may be absent", MAJOR, lambda d: _schema(d, "Task")["required"].remove("version")),
    Edit(
        "A problem's member may be absent",
        MAJOR,
        lambda d: _schema(d, "PreconditionProblem")["required"].remove("current"),
    ),
    Edit("A response member may be null", MAJOR, lambda d: _schema(d, "StoredTaskTitle").update(nullable=True)),
    Edit(
        "A member's type changes",
        MAJOR,
        lambda d: _members(d, "Task").update(version={"type": "string", "maxLength": 20}),
    ),
    Edit("An enum loses a value", MAJOR, lambda d: _schema(d, "TaskStatus")["enum"].remove("cancelled")),
    Edit("A closed enum gains a value", MAJOR, lambda d: _schema(d, "TaskStatus")["enum"].append("archived")),
    Edit("An open enum loses a value", MAJOR, lambda d: _schema(d, "ProblemCode")["enum"].remove("forbidden")),
    Edit("A success status changes", MAJOR, _status_moved),
    Edit("A response header is removed", MAJOR, lambda d: d["components"]["responses"]["Task"]["headers"].pop("ETag")),
    Edit("A response header may be absent", MAJOR, lambda d: d["components"]["headers"]["ETag"].update(required=False)),
    Edit("An operation is added", MINOR, _with_operation),
    Edit(
        "An optional query parameter is added",
        MINOR,
        lambda d: d["paths"][TASKS]["get"]["parameters"].append(_query("all", required=False)),
    ),
    Edit(
        "An optional request member is added",
        MINOR,
        lambda d: _members(d, "TaskInput").update(colour={"type": "string", "enum": ["red"]}),
    ),
    Edit("A response member is added", MINOR, _with_member),
    Edit("An enum of a parameter gains a value", MINOR, lambda d: _schema(d, "TaskSort")["enum"].append("status")),
    Edit("An open enum gains a value", MINOR, lambda d: _schema(d, "ProblemCode")["enum"].append("gone")),
    Edit("A problem's member is absent with a new code", MINOR, _with_code),
    Edit("A parameter's maximum is raised", MINOR, lambda d: _parameter(d, "Limit")["schema"].update(maximum=2000)),
    Edit("An error status is added", MINOR, _with_error_status),
    Edit(
        "An optional response header is added",
        MINOR,
        lambda d: d["components"]["responses"]["Task"]["headers"].update(
            Age={"required": False, "schema": {"type": "integer"}}
        ),
    ),
    Edit(
        "An operation becomes deprecated",
        MINOR,
        lambda d: d["paths"][TASK]["put"].update({"deprecated": True, "x-deprecated-at": "2026-11-20T00:00:00Z"}),
    ),
    Edit("A token is no longer needed", MINOR, lambda d: d["paths"][TASKS]["get"].update(security=[])),
    Edit("A description changes", PATCH, lambda d: d["paths"][TASKS]["get"].update(description="Lists tasks.")),
    Edit(
        "An example changes",
        PATCH,
        lambda d: d["components"]["examples"]["TaskInput"]["value"].update(title="Buy bread"),
    ),
)
