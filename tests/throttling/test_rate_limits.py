"""How often a user or an address may ask: what is counted for whom, what replies say of it, and what is never counted."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.clock import TICK
from tests.support.credentials import SECRET, token
from tests.support.every_operation import FOR_OPERATORS, FOR_USERS, Operation, each
from todo_api.config import Config
from todo_api.http.routing import Routes
from todo_api.throttling import counters, middlewares, rate_limit
from todo_api.throttling.counters import LocalCounters
from todo_api.throttling.rate_limit import Rate

ORIGIN = "https://app.example.com"
TASKS = "/api/v1/me/tasks"
TOKEN = "/api/v1/auth/token"
STRANGER = {"email": "nobody@example.com", "password": "a password of nobody's"}


def app(url: str, new_client: Callable[[Config], Client], rate: str, **settings: Any) -> Client:
    return new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit=rate, **settings))


def told(reply: Reply) -> tuple[str, int]:
    """The policy, and how many requests are left."""
    found = re.fullmatch(r'"default";r=([0-9]+);t=([0-9]+)', reply.headers["ratelimit"])
    assert found is not None
    assert 1 <= int(found[2]) <= 86400
    return reply.headers["ratelimit-policy"], int(found[1])


@pytest.fixture(scope="module")
def once(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service that answers one request a day of each user, and of each address."""
    return app(url, new_client, "1/day", trusted_proxies=("127.0.0.1",), cors_origins=(ORIGIN,))


@each(FOR_USERS)
def test_every_operation_beyond_the_limit_is_429_and_says_when_to_come_back(once: Client, operation: Operation) -> None:
    client = once.signed_in(token(f"limited-{operation.name}"))
    headers = {"Origin": ORIGIN, "X-Forwarded-For": f"203.0.113.{FOR_USERS.index(operation)}"}
    first = operation.call(client, headers=headers)
    assert (first.status == 429, told(first)) == (False, ('"default";q=1;w=86400', 0))
    second = operation.call(client, headers=headers)
    assert (second.status, second.code, told(second)[1]) == (429, "rate_limited", 0)
    assert second.headers["retry-after"] == second.headers["ratelimit"].rpartition("=")[2]
    assert second.headers["access-control-allow-origin"] == ORIGIN


@each(FOR_OPERATORS)
def test_operations_for_operators_are_not_limited(once: Client, operation: Operation) -> None:
    for _ in range(3):
        reply = operation.call(once)
        assert reply.status == 200
        assert "ratelimit" not in reply.headers


@pytest.mark.parametrize("path", ["/", "/api/v1/ui/", "/api/v1/openapi.yaml", "/problems/rate_limited"])
def test_published_pages_do_not_count_for_the_limit_of_requests(once: Client, path: str) -> None:
    for _ in range(3):
        reply = once.get(path)
        assert reply.status == 200
        assert "ratelimit" not in reply.headers


def test_preflight_is_not_limited(once: Client) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "X-Forwarded-For": "192.0.2.77"}
    for _ in range(3):
        assert once.request("OPTIONS", TASKS, headers=asked).status == 200


def test_users_are_counted_apart_whatever_their_address(url: str, new_client: Callable[[Config], Client]) -> None:
    service = app(url, new_client, "2/day")
    ada, bob = (service.signed_in(token(name)) for name in ("rates-ada", "rates-bob"))
    assert [ada.get(TASKS).status for _ in range(3)] == [200, 200, 429]
    assert told(bob.get(TASKS))[1] == 1


def test_user_is_counted_once_for_all_their_addresses_and_operations(once: Client) -> None:
    client = once.signed_in(token("traveller"))
    assert client.get(TASKS, headers={"X-Forwarded-For": "192.0.2.1"}).status == 200
    assert client.get("/api/v1/me/account", headers={"X-Forwarded-For": "192.0.2.2"}).status == 429


def test_requests_without_a_user_are_counted_by_address(once: Client) -> None:
    def ask(address: str) -> tuple[int, int]:
        reply = once.get(TASKS, headers={"X-Forwarded-For": address})
        return reply.status, told(reply)[1]

    assert [ask("198.51.100.1"), ask("198.51.100.1"), ask("198.51.100.2")] == [(401, 0), (429, 0), (401, 0)]


def test_refused_tokens_and_public_operations_of_an_address_are_counted_together(once: Client) -> None:
    here = {"X-Forwarded-For": "198.51.100.3"}
    assert once.signed_in("no.such.token").get(TASKS, headers=here).status == 401
    assert once.post(TOKEN, STRANGER, headers=here).status == 429


def test_user_with_a_token_is_not_held_to_what_others_at_the_address_do(once: Client) -> None:
    here = {"X-Forwarded-For": "198.51.100.4"}
    assert [once.get(TASKS, headers=here).status for _ in range(2)] == [401, 429]
    assert once.signed_in(token("neighbour")).get(TASKS, headers=here).status == 200


def test_refusals_of_the_request_itself_are_counted_and_say_what_is_left(
    url: str, new_client: Callable[[Config], Client]
) -> None:
    client = app(url, new_client, "10/day").signed_in(token("careless"))
    replies = [
        client.get(f"{TASKS}?limit=0"),
        client.get("/api/v1/other/tasks"),
        client.get(f"{TASKS}/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"),
        client.post(TASKS, content=b"{", headers={"Content-Type": "application/json"}),
    ]
    assert [(reply.status, told(reply)[1]) for reply in replies] == [(400, 9), (403, 8), (404, 7), (400, 6)]


def test_not_modified_says_what_is_left(url: str, new_client: Callable[[Config], Client]) -> None:
    client = app(url, new_client, "10/day").signed_in(token("reader"))
    etag = client.get(TASKS).headers["etag"]
    reply = client.get(TASKS, headers={"If-None-Match": etag})
    assert (reply.status, told(reply)[1]) == (304, 8)


def test_limit_is_on_by_default(url: str, new_client: Callable[[Config], Client]) -> None:
    service = new_client(Config(database_url=url, jwt_secret=SECRET))
    assert told(service.signed_in(token("by-default")).get(TASKS)) == ('"default";q=600;w=60', 599)


def test_limit_that_is_off_is_not_spoken_of(url: str, new_client: Callable[[Config], Client]) -> None:
    reply = app(url, new_client, "off").signed_in(token("unlimited")).get(TASKS)
    assert reply.status == 200
    assert not {"ratelimit", "ratelimit-policy"} & reply.headers.keys()


@pytest.mark.parametrize(
    ("method", "path", "status", "address"),
    [
        ("GET", "/nowhere", 404, "198.51.103.1"),
        ("POST", "/api/v1/nowhere", 404, "198.51.103.2"),
        ("DELETE", TASKS, 405, "198.51.103.3"),
        ("GET", TASKS, 401, "198.51.103.4"),
    ],
)
def test_what_comes_to_nothing_is_counted_for_its_address(
    once: Client, method: str, path: str, status: int, address: str
) -> None:
    here = {"X-Forwarded-For": address}
    replies = [once.request(method, path, headers=here) for _ in range(3)]
    assert [(reply.status, told(reply)[1]) for reply in replies] == [(status, 0), (429, 0), (429, 0)]
    assert replies[2].headers["retry-after"] == replies[2].headers["ratelimit"].rpartition("=")[2]


@pytest.mark.parametrize("path", ["/nowhere", TASKS, "/api/v1/auth/register"])
def test_address_over_its_limit_is_refused_whatever_it_asks_for(once: Client, path: str) -> None:
    here = {"X-Forwarded-For": f"198.51.101.{len(path)}"}
    assert once.get("/nowhere", headers=here).status == 404
    for method in ("GET", "HEAD", "POST", "DELETE"):
        reply = once.request(method, path, headers=here)
        assert (reply.status, told(reply)[1]) == (429, 0)


def test_address_over_its_limit_has_its_operators_and_its_signed_in_users_served(once: Client) -> None:
    here = {"X-Forwarded-For": "198.51.102.1"}
    assert [once.get("/nowhere", headers=here).status for _ in range(2)] == [404, 429]
    assert once.get("/health/live", headers=here).status == 200
    assert once.get("/", headers=here).status == 200
    assert once.signed_in(token("colleague")).get(TASKS, headers=here).status == 200
    assert once.signed_in("no.such.token").get(TASKS, headers=here).status == 429


def test_address_over_its_limit_is_served_again_in_its_next_window(
    url: str, new_client: Callable[[Config], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_800_000_000.0]
    for module in (rate_limit, counters):
        monkeypatch.setattr(module, "time", lambda: now[0])
    client = app(url, new_client, "2/minute")
    first, second = client.get("/nowhere"), client.get("/nowhere")
    assert [first.status, second.status] == [404, 404]
    refused = client.get("/nowhere")
    assert refused.status == 429
    now[0] += int(refused.headers["retry-after"]) - 1
    assert client.get("/nowhere").headers["retry-after"] == "1"
    now[0] += 1
    assert [client.get("/nowhere").status for _ in range(3)] == [404, 404, 429]


def test_published_pages_have_a_limit_of_their_own(
    url: str, new_client: Callable[[Config], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middlewares, "PAGES", Rate(3, 86400))
    client = app(url, new_client, "1/day")
    pages = ("/", "/api/v1/openapi.yaml", "/api/v1/ui/")
    assert [client.get(path).status for path in pages] == [200] * 3
    refused = [client.get(path) for path in pages] + [client.request("HEAD", "/"), client.request("DELETE", "/")]
    assert {(reply.status, reply.headers["ratelimit-policy"]) for reply in refused} == {(429, '"pages";q=3;w=86400')}
    assert client.get(TASKS).status == 401  # whatever was asked for of the pages
    assert client.signed_in(token("reads-no-pages")).get(TASKS).status == 200


def test_refusal_of_an_address_over_its_limit_asks_nobody(
    url: str, new_client: Callable[[Config], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither counts, nor the routes, nor the token's keys."""
    client = app(url, new_client, "1/day")
    assert client.get("/nowhere").status == 404
    monkeypatch.setattr(LocalCounters, "increment", None)
    monkeypatch.setattr(Routes, "find", None)
    assert client.get(TASKS).status == 429
    assert client.get(TASKS, headers={"Accept": "*/*", "User-Agent": "any client"}).status == 429


@pytest.mark.parametrize("path", ["/nowhere", TASKS, "/"])
def test_refusal_comes_after_a_pause_that_paces_who_retries_at_once(
    url: str, new_client: Callable[[Config], Client], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(middlewares, "PAGES", Rate(1, 86400))
    client = app(url, new_client, "1/day")
    assert client.get(path).status != 429
    for _ in range(2):
        began = time.monotonic()
        assert client.get(path).status == 429
        assert time.monotonic() - began >= rate_limit.REFUSAL_DELAY - TICK
