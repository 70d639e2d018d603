"""What browsers are told: who may read a reply, what it is, who may keep it, and that a cookie is nothing."""

import re
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.live import Live
from todo_api import contract
from todo_api.config import Config

ORIGIN = "https://app.example.com"
TASKS = "/api/v1/me/tasks"
REGISTER = "/api/v1/auth/register"
TOKEN = "/api/v1/auth/token"
ADA = {"email": "headers@example.com", "password": PASSWORD}
JSON = {"Content-Type": "application/json"}
CODES = contract.load(contract.TASK_API)["components"]["schemas"]["ProblemCode"]["enum"]
PAGES = ["/", "/api/v1/reference/", "/api/v1/ui/", "/problems/", *(f"/problems/{code}" for code in CODES)]


@pytest.fixture(scope="module")
def front_end(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A user's client of a service that one origin may use, as often as it likes."""
    config = Config(database_url=url, jwt_secret=SECRET, cors_origins=(ORIGIN,), rate_limit="off")
    return new_client(config).signed_in(token("headers"))


@pytest.fixture(scope="module")
def away(new_client: Callable[[Config], Client]) -> Iterator[Client]:
    """The same with a database that is nowhere, and of one request a day."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://tasks@127.0.0.1:{taken.getsockname()[1]}/tasks"
        yield new_client(Config(database_url=url, jwt_secret=SECRET, cors_origins=(ORIGIN,), rate_limit="1/day"))


def replies(client: Client, away: Client) -> Iterator[Reply]:
    """One of each kind that a front end may meet, asked for from its origin."""

    def ask(method: str, path: str, by: Client = client, **more: object) -> Reply:
        headers = {"Origin": ORIGIN, **more.pop("headers", {})}  # type: ignore[dict-item]  # headers are a dict
        return by.request(method, path, headers=headers, **more)  # type: ignore[arg-type]  # as request takes them

    listed = ask("GET", TASKS)
    yield listed
    yield ask("GET", TASKS, headers={"If-None-Match": listed.headers["etag"]})
    yield ask("HEAD", TASKS)
    created = ask("POST", TASKS, json_body={"title": "Seen by a browser"})
    yield created
    yield ask("DELETE", created.headers["location"])
    yield ask("GET", f"{TASKS}?limit=0")
    yield ask("GET", TASKS, by=client.signed_in(None))
    yield ask("GET", "/api/v1/somebody-else/tasks")
    yield ask("GET", "/api/v1/nowhere")
    yield ask("PUT", TASKS)
    yield ask("POST", TASKS, content=b"x" * 70_000, headers=JSON)
    yield ask("POST", TASKS, content=b"<task/>", headers={"Content-Type": "text/xml"})
    yield ask("OPTIONS", TASKS, by=client.signed_in(None))
    user = away.signed_in(token("headers-away"))
    yield ask("GET", TASKS, by=user)
    yield ask("GET", TASKS, by=user)


def test_every_kind_of_reply_may_be_read_by_the_allowed_origin_and_is_what_it_says(
    front_end: Client, away: Client
) -> None:
    seen = list(replies(front_end, away))
    assert [reply.status for reply in seen] == [
        *(200, 304, 200, 201, 204, 400, 401, 403, 404, 405, 413, 415, 204, 503, 429)
    ]
    for reply in seen:
        assert reply.headers["access-control-allow-origin"] == ORIGIN, reply.status
        varies = [value.lower() for name, value in reply.header_list if name == "vary"]
        assert "origin" in varies, reply.status
        assert reply.headers["x-content-type-options"] == "nosniff", reply.status
        assert "access-control-allow-credentials" not in reply.headers, reply.status
        assert "set-cookie" not in reply.headers, reply.status
        exposed = {name.lower() for name in reply.headers["access-control-expose-headers"].split(", ")}
        assert {"retry-after", "ratelimit", "ratelimit-policy", "www-authenticate"} <= exposed


def test_preflight_needs_no_token_and_allows_what_clients_send(front_end: Client) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, content-type, if-match",
    }
    reply = front_end.signed_in(None).request("OPTIONS", TASKS, headers=asked)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
    allowed = {name.lower() for name in reply.headers["access-control-allow-headers"].split(", ")}
    assert {"authorization", "content-type", "if-match", "if-none-match", "x-request-id"} <= allowed
    assert "access-control-allow-credentials" not in reply.headers


def test_cookie_with_a_valid_token_is_nothing(front_end: Client) -> None:
    good = token("headers")
    names = ("access_token", "token", "Authorization", "session", "better-auth.session_token")
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name in names for value in (good, f"Bearer {good}"))}
    stranger = front_end.signed_in(None)
    assert [stranger.get(TASKS, headers=cookie).status, front_end.get(TASKS, headers=cookie).status] == [401, 200]


def test_replies_with_secrets_are_kept_by_nobody(front_end: Client) -> None:
    stranger = front_end.signed_in(None)
    for reply, status in ((stranger.post(REGISTER, ADA), 201), (stranger.post(TOKEN, ADA), 200)):
        assert (reply.status, reply.headers["cache-control"]) == (status, "no-store")


@pytest.mark.parametrize("path", PAGES)
def test_page_runs_nothing_of_others_and_stands_in_nobodys_frame(front_end: Client, path: str) -> None:
    reply = front_end.get(path)
    rules = dict(rule.strip().partition(" ")[::2] for rule in reply.headers["content-security-policy"].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert rules.get("script-src", "'none'") in ("'none'", "'self'")
    # Scalar's script writes its own styles into the page of the reference.
    assert rules["style-src"] == ("'self' 'unsafe-inline'" if path == "/api/v1/reference/" else "'self'")
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["x-content-type-options"] == "nosniff"
    html = reply.body.decode()
    assert re.findall(r"<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=|javascript:", html) == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    ],
    ids=["400", "414", "431"],
)
def test_what_the_server_itself_refuses_is_what_it_says(plain: Live, head: bytes, status: int) -> None:
    with plain.wire() as wire:
        wire.send(head)
        reply = wire.reply()
    assert (reply.status, reply.headers["x-content-type-options"]) == (status, "nosniff")
    assert reply.headers["cache-control"] == "no-store"


@pytest.fixture(scope="module")
def plain(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The server as it runs."""
    with Live(tmp_path_factory.mktemp("headers"), DATABASE_URL=url, JWT_SECRET=SECRET) as live:
        yield live.ready()
