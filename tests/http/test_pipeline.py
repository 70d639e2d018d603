"""The pipeline on contracts of its own: it knows no task, and does what the contract says, whatever that is."""

import copy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from connexion import FlaskApp

import todo_api
from tests.support.client import Client, Reply, event_loop
from todo_api.admission import AdmissionControl
from todo_api.contract.rules import json_schema
from todo_api.errors import Unauthorized
from todo_api.http.authentication import BearerHandler, Security, TokenLookup
from todo_api.http.connexion_app import TagResolver
from todo_api.http.dispatch import HandlerDispatch
from todo_api.http.problems import Problems
from todo_api.http.request_id import RequestIdMiddleware
from todo_api.http.routing import Routing
from todo_api.http.validation import Validation

CONTRACT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Boats", "version": "1"},
    "servers": [{"url": "/v9"}],
    "security": [{"bearer": []}],
    "paths": {
        "/boats/{name}": {
            "put": {
                "operationId": "paintBoat",
                "tags": ["boats"],
                "x-required-scope": "paint",
                "parameters": [
                    {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 5}},
                    {"name": "coats", "in": "query", "schema": {"type": "integer", "maximum": 3, "default": 1}},
                    {"name": "X-Brush", "in": "header", "schema": {"type": "string", "enum": ["wide", "fine"]}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "additionalProperties": False,
                                "required": ["colour"],
                                "properties": {"colour": {"type": "string", "nullable": True, "maxLength": 4}},
                            }
                        }
                    },
                },
                "responses": {"200": {"description": "Painted."}},
            }
        }
    },
    "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
}


class NoCheck:
    """These replies belong to another contract than the one that the suite's judge knows."""

    def reply(self, method: str, path: str, reply: Reply) -> None:
        pass


class Sailor(NamedTuple):
    subject: str
    rank: str
    scopes: frozenset[str] | None = None


def paint_boat(name: str, body: dict[str, Any], coats: int, identity: Sailor, x_brush: str | None = None) -> Any:
    return (
        {
            "name": name,
            "body": body,
            "coats": coats,
            "user": identity.subject,
            "rank": identity.rank,
            "x_brush": x_brush,
        },
        200,
        {},
    )


def verify(token: str) -> Sailor:
    if token != "good":
        raise Unauthorized(token_sent=True)
    return Sailor("skipper", "captain")


def tattooed(token: str) -> Sailor:
    """Of a token that is looked up: it names its scopes."""
    return Sailor("mate", "sailor", frozenset(token.split("-")[1:]))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """Makes a client of a service with a contract; the changes name a place in it, with `.` between, and what stands there."""
    module = ModuleType("todo_api.boats.handlers")
    module.paint_boat = paint_boat  # type: ignore[attr-defined]  # a module made here
    package = ModuleType("todo_api.boats")
    package.handlers = module  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(todo_api, "boats", package, raising=False)

    with event_loop() as loop:

        def make(*contracts: dict[str, Any]) -> Client:
            admission = AdmissionControl()
            tattoos = TokenLookup("ink-", str, tattooed, admission=admission)
            app = FlaskApp(
                __name__,
                middlewares=[
                    RequestIdMiddleware,
                    partial(Problems, serialize=str),
                    Routing,
                    Security,
                    Validation,
                    partial(HandlerDispatch, admission=admission),
                ],
                resolver=TagResolver(),
                security_map={"bearer": lambda: BearerHandler(verify, tattoos)},
            )
            for contract in contracts:
                app.add_api(copy.deepcopy(contract))
            return Client(app, NoCheck(), loop, "good")  # type: ignore[arg-type]  # see NoCheck

        yield make


def changed(*path: str | int, value: Any) -> dict[str, Any]:
    """The contract with one thing changed in the operation."""
    contract = copy.deepcopy(CONTRACT)
    place: Any = contract["paths"]["/boats/{name}"]["put"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return contract


def public() -> dict[str, Any]:
    """The contract with an operation that needs no token, and so no scope."""
    contract = changed("security", value=[])
    del contract["paths"]["/boats/{name}"]["put"]["x-required-scope"]
    return contract


def violations(reply: Reply) -> list[tuple[str, str, str]]:
    assert reply.status == 400
    return [(error["location"], error["pointer"], error["code"]) for error in reply.json()["errors"]]


def test_pipeline_good_request_reaches_handler_with_converted_arguments(serve: Callable[..., Client]) -> None:
    reply = serve(CONTRACT).put("/v9/boats/ann?coats=2", {"colour": "red"}, headers={"X-Brush": "fine"})
    assert reply.status == 200
    assert reply.json() == {
        "name": "ann",
        "body": {"colour": "red"},
        "coats": 2,
        "user": "skipper",
        "rank": "captain",
        "x_brush": "fine",
    }


def test_pipeline_absent_parameters_take_their_defaults(serve: Callable[..., Client]) -> None:
    assert serve(CONTRACT).put("/v9/boats/ann", {"colour": None}).json()["coats"] == 1


def test_pipeline_every_violation_is_listed(serve: Callable[..., Client]) -> None:
    reply = serve(CONTRACT).put("/v9/boats/annabel?coats=9&x=1", {"color": 1}, headers={"X-Brush": "no"})
    assert sorted(violations(reply)) == [
        ("body", "/color", "unknown"),
        ("body", "/colour", "required"),
        ("header", "/X-Brush", "not_allowed"),
        ("path", "/name", "too_long"),
        ("query", "/coats", "too_large"),
        ("query", "/x", "unknown"),
    ]


def test_pipeline_longer_limit_in_contract_lets_longer_value_through(serve: Callable[..., Client]) -> None:
    body = {"colour": "green"}
    assert violations(serve(CONTRACT).put("/v9/boats/ann", body)) == [("body", "/colour", "too_long")]
    schema = ("requestBody", "content", "application/json", "schema", "properties", "colour", "maxLength")
    assert serve(changed(*schema, value=5)).put("/v9/boats/ann", body).status == 200


def test_pipeline_parameter_made_required_is_demanded(serve: Callable[..., Client]) -> None:
    contract = changed("parameters", 2, "required", value=True)
    assert violations(serve(contract).put("/v9/boats/ann", {"colour": "red"})) == [("header", "/X-Brush", "required")]


def test_pipeline_token_missing_or_bad_is_refused(serve: Callable[..., Client]) -> None:
    client = serve(CONTRACT)
    assert client.signed_in(None).put("/v9/boats/ann", {"colour": "red"}).status == 401
    assert client.signed_in("bad").put("/v9/boats/ann", {"colour": "red"}).status == 401


def test_pipeline_token_with_the_scope_gets_through_and_one_without_is_told_which(serve: Callable[..., Client]) -> None:
    client = serve(CONTRACT)
    reply = client.signed_in("ink-sail-paint").put("/v9/boats/ann", {"colour": "red"})
    assert (reply.status, reply.json()["user"], reply.json()["rank"]) == (200, "mate", "sailor")
    for scopes in ("", "sail", "paint:all"):
        reply = client.signed_in(f"ink-{scopes}").put("/v9/boats/annabel?x=1", content=b"{")
        assert (reply.status, reply.code) == (403, "insufficient_scope")
        challenge = 'Bearer realm="task-api", error="insufficient_scope", scope="paint"'
        assert reply.headers["www-authenticate"] == challenge


def test_pipeline_scope_renamed_in_contract_is_the_one_asked_for(serve: Callable[..., Client]) -> None:
    client = serve(changed("x-required-scope", value="sail"))
    statuses = [
        client.signed_in(f"ink-{scope}").put("/v9/boats/ann", {"colour": "red"}).status for scope in ("paint", "sail")
    ]
    assert statuses == [403, 200]


@pytest.mark.parametrize("value", [None, ""])
def test_pipeline_secured_operation_without_a_scope_stops_the_start(serve: Callable[..., Client], value: Any) -> None:
    with pytest.raises(ValueError, match="paintBoat: x-required-scope"):
        serve(changed("x-required-scope", value=value)).put("/v9/boats/ann", {"colour": "red"})


def test_pipeline_public_operation_whose_handler_wants_the_user_stops_the_start(serve: Callable[..., Client]) -> None:
    with pytest.raises(TypeError, match="paintBoat: the contract passes"):
        serve(public()).put("/v9/boats/ann", {"colour": "red"})


def test_pipeline_operation_made_public_needs_no_token(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def paint_boat_for_anybody(name: str, body: dict[str, Any], coats: int, x_brush: str | None = None) -> Any:
        return {"name": name}, 200, {}

    monkeypatch.setattr(sys.modules["todo_api.boats.handlers"], "paint_boat", paint_boat_for_anybody)
    client = serve(public()).signed_in(None)
    assert client.put("/v9/boats/ann", {"colour": "red"}).json() == {"name": "ann"}


def test_pipeline_base_path_of_contract_is_where_it_answers(serve: Callable[..., Client]) -> None:
    contract = CONTRACT | {"servers": [{"url": "/v10"}]}
    assert serve(contract).put("/v10/boats/ann", {"colour": "red"}).status == 200
    assert serve(contract).put("/v9/boats/ann", {"colour": "red"}).status == 404


def test_pipeline_method_renamed_in_contract_moves_the_operation(serve: Callable[..., Client]) -> None:
    contract = copy.deepcopy(CONTRACT)
    item = contract["paths"]["/boats/{name}"]
    item["post"] = item.pop("put")
    reply = serve(contract).put("/v9/boats/ann", {"colour": "red"})
    assert (reply.status, reply.headers["allow"]) == (405, "OPTIONS, POST")
    assert serve(contract).post("/v9/boats/ann", {"colour": "red"}).status == 200


def test_pipeline_handler_that_does_not_fit_the_contract_stops_the_start(serve: Callable[..., Client]) -> None:
    contract = changed("parameters", value=CONTRACT["paths"]["/boats/{name}"]["put"]["parameters"][:1])
    with pytest.raises(TypeError, match="paintBoat: the contract passes"):
        serve(contract).put("/v9/boats/ann", {"colour": "red"})


def test_pipeline_missing_handler_stops_the_start(serve: Callable[..., Client]) -> None:
    with pytest.raises(Exception, match=r"Cannot resolve operationId|has no attribute"):
        serve(changed("operationId", value="sinkBoat")).put("/v9/boats/ann", {"colour": "red"})


def test_pipeline_two_contracts_with_operations_of_one_name_stop_the_start(serve: Callable[..., Client]) -> None:
    other = {**copy.deepcopy(CONTRACT), "servers": [{"url": "/v10"}]}
    with pytest.raises(ValueError, match="paintBoat"):
        serve(CONTRACT, other).put("/v9/boats/ann", {"colour": "red"})


def test_json_schema_unknown_keyword_is_refused() -> None:
    with pytest.raises(ValueError, match="patternProperties"):
        json_schema({"type": "object", "patternProperties": {}})


def test_json_schema_nullable_enum_takes_null() -> None:
    schema = json_schema({"type": "string", "nullable": True, "enum": ["a"], "example": "a"})
    assert schema == {"type": ["string", "null"], "enum": ["a", None]}
