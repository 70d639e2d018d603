"""Cross-origin requests (the Fetch standard), as far as the contract speaks of them; `test_product_plans.py` has what a front end needs."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET, token
from todo_api.config import Config
from todo_api.http import Cors

ORIGIN = "https://app.example.com"
OTHER = "https://other.example.com"
TASKS = "/api/v1/me/tasks"


@pytest.fixture(scope="module")
def shared(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A user's client of a service that one other origin may use."""
    client = new_client(Config(database_url=url, jwt_secret=SECRET, cors_origins=(ORIGIN,)))
    return client.signed_in(token("cors"))


def test_list_tasks_from_allowed_origin_shows_its_scripts_the_headers_of_the_contract(shared: Client) -> None:
    exposed = shared.get(TASKS, headers={"Origin": ORIGIN}).headers["access-control-expose-headers"]
    documented = {str(name) for _, name in ContractCheck().documented() if not isinstance(name, int)}
    assert {"Accept", "Dry-Run", "ETag"} <= documented
    shown_to_any = {
        "Access-Control-Allow-Origin",
        "Cache-Control",
    }  # safelisted by Fetch, or none of a script's business
    of_http = {"Allow", "Deprecation", "Sunset"}  # of replies that no operation lists, and of deprecated operations
    assert set(exposed.split(", ")) == documented - shown_to_any | of_http


@pytest.mark.parametrize("field", ["traceparent", "tracestate", "Idempotency-Key", "traceparent, If-Match,tracestate"])
def test_create_task_preflight_with_field_that_clients_send_is_permitted(shared: Client, field: str) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": field,
    }
    reply = shared.signed_in(None).request("OPTIONS", TASKS, headers=asked)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
    allowed = reply.headers["access-control-allow-headers"].lower().split(", ")
    assert {name.strip().lower() for name in field.split(",")} <= set(allowed)


@pytest.mark.parametrize(
    ("asked", "allowed_origin"),
    [
        ({"Origin": OTHER, "Access-Control-Request-Method": "POST"}, None),
        ({"Origin": ORIGIN, "Access-Control-Request-Method": "TRACE"}, ORIGIN),
        (
            {
                "Origin": ORIGIN,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "x-unheard-of",
            },
            ORIGIN,
        ),
    ],
    ids=["origin", "method", "header"],
)
def test_create_task_preflight_that_is_refused_gets_no_permission_and_no_body(
    shared: Client, asked: dict[str, str], allowed_origin: str | None
) -> None:
    reply = shared.signed_in(None).request("OPTIONS", TASKS, headers=asked)
    assert (reply.status, reply.body) == (204, b"")
    assert "content-type" not in reply.headers
    assert reply.headers.get("access-control-allow-origin") == allowed_origin
    assert reply.headers["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert "x-unheard-of" not in reply.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, [ORIGIN.encode()]), (OTHER, [])], ids=["allowed", "other"])
def test_any_reply_that_the_server_sends_for_the_application_has_the_headers_of_cors(
    origin: str, allowed: list[bytes]
) -> None:
    """The server answers with the headers of the state where the application sends no reply, or too large a one."""
    state: dict[str, Any] = {"headers": []}

    async def application(*_: Any) -> None:
        """Send nothing."""

    scope = {"type": "http", "method": "GET", "headers": [(b"origin", origin.encode())], "state": state}
    asyncio.run(Cors(application, (ORIGIN,))(scope, application, application))
    assert [value for name, value in state["headers"] if name == b"access-control-allow-origin"] == allowed
    assert (b"vary", b"Origin") in state["headers"]
