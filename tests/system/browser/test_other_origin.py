"""A page of another origin uses the service, in Chromium: what it may do and read, and what others may not."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg2
import pytest
from selenium.webdriver import Chrome

from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.front_end import console, logged, run, served
from tests.support.live import Live
from tests.support.locks import waiting
from tests.support.processes import soon

TASKS = "/api/v1/me/tasks"
SLOTS = 2
FETCH = """
const [method, url, headers, body] = %s;
const reply = await fetch(url, {method, headers, body});
const text = await reply.text();
return [reply.status, Object.fromEntries(reply.headers), text ? JSON.parse(text) : null];
"""


class Seen(NamedTuple):
    """What a script sees of a reply."""

    status: int
    headers: dict[str, str]
    body: Any


class Page:
    """The open page, and the service that it uses as one user."""

    def __init__(self, browser: Chrome, service: Live, user: str) -> None:
        self.browser = browser
        self.service = service
        self._user = user

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[str, Any]:
        fields = {"Authorization": f"Bearer {token(self._user)}"} | headers
        if body is not None:
            fields = {"Content-Type": "application/json"} | fields
        content = None if body is None else body if isinstance(body, str) else json.dumps(body)
        given = json.dumps([method, self.service.origin + path, {k: v for k, v in fields.items() if v}, content])
        return run(self.browser, FETCH % given)

    def see(self, method: str, path: str, body: Any = None, **headers: str) -> Seen:
        outcome, found = self.ask(method, path, body, **headers)
        assert outcome == "value", (found, console(self.browser)[:500])
        return Seen(*found)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def origins(folder: Path) -> Iterator[tuple[str, str]]:
    """The origin of the front end, and that of a stranger's page."""
    with served(folder) as own, served(folder) as foreign:
        yield own, foreign


@pytest.fixture(scope="module")
def service(url: str, folder: Path, origins: tuple[str, str]) -> Iterator[Live]:
    """A service with few slots, for the pages of the front end."""
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "CORS_ORIGINS": origins[0], "LOG_FORMAT": "json"}
    with Live(folder, THREADS=str(SLOTS), QUEUE_LIMIT="100", **settings) as live:
        yield live.ready()


@pytest.fixture
def page(browser: Chrome, service: Live, origins: tuple[str, str], request: pytest.FixtureRequest) -> Page:
    """The front end, signed in as a user of the test's own."""
    browser.get(origins[0])
    return Page(browser, service, request.node.name[:60])


def test_front_end_lists_creates_changes_and_completes_and_reads_the_headers(page: Page) -> None:
    created = page.see("POST", TASKS, {"title": "Buy milk"}, **{"Idempotency-Key": '"a-key-of-the-page"'})
    assert (created.status, created.headers["location"]) == (201, f"{TASKS}/{created.body['id']}")
    again = page.see("POST", TASKS, {"title": "Buy milk"}, **{"Idempotency-Key": '"a-key-of-the-page"'})
    assert (again.body["id"], again.headers["idempotency-replayed"]) == (created.body["id"], "true")
    page.see("POST", TASKS, {"title": "Buy more milk"})

    listed = page.see("GET", f"{TASKS}?status=pending&status=in_progress&q=milk&sort=title&limit=1")
    assert (listed.status, listed.body["total"], listed.body["items"][0]["title"]) == (200, 2, "Buy milk")
    assert 'rel="next"' in listed.headers["link"]
    assert listed.headers["ratelimit"].startswith('"default";r=')
    assert listed.headers["x-request-id"]
    assert page.see("GET", TASKS, **{"If-None-Match": page.see("GET", TASKS).headers["etag"]}).status == 304

    address, tag = created.headers["location"], created.headers["etag"]
    done = page.see("PATCH", address, {"completed": True}, **{"If-Match": tag})
    assert (done.status, done.body["completed"], done.body["status"]) == (200, True, "completed")
    assert done.headers["etag"] not in ("", tag)
    reopened = page.see("PATCH", f"{address}/complete", {"completed": False})
    assert (reopened.status, reopened.body["completed"]) == (200, False)
    assert page.see("PATCH", f"{address}/complete", {"completed": True}).body["completed"] is True


def preflights(service: Live) -> int:
    """How many the service has answered: lines of the log, up to that of a request made now."""
    marker = uuid4().hex
    assert service.request("GET", "/nowhere", b"", f"X-Request-ID: {marker}").status == 404
    assert soon(lambda: marker in service.output())
    return service.output().count('"method":"OPTIONS"')


def test_front_end_that_repeats_a_request_sends_one_preflight(page: Page) -> None:
    before = preflights(page.service)
    for _ in range(3):
        assert page.see("GET", f"{TASKS}?limit=7").status == 200
    assert preflights(page.service) == before + 1


READ = {
    "401 unauthorized": ("GET", TASKS, None, {"Authorization": "Bearer undefined"}),
    "401 invalid_credentials": ("POST", "/api/v1/auth/token", {"email": "a@example.com", "password": PASSWORD}, {}),
    "403 forbidden": ("GET", "/api/v1/somebody-else/tasks", None, {}),
    "404 not_found": ("GET", f"{TASKS}/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e", None, {}),
    "404 not_found elsewhere": ("GET", "/nowhere", None, {}),
    "405 method_not_allowed": ("PUT", TASKS, {"title": "x"}, {}),
    "400 validation_failed": ("POST", TASKS, {"heading": "x"}, {}),
    "400 malformed_json": ("POST", TASKS, "{", {}),
    "413 payload_too_large": ("POST", TASKS, {"title": "x" * 70_000}, {}),
    "415 unsupported_media_type": ("POST", TASKS, "x", {"Content-Type": "text/plain"}),
    "431 header_fields_too_large": ("GET", TASKS, None, {"Authorization": "Bearer " + "x" * 20_000}),
}


@pytest.mark.parametrize("what", READ)
def test_front_end_reads_the_problem(page: Page, what: str) -> None:
    method, path, body, headers = READ[what]
    seen = page.see(method, path, body, **headers)
    assert [str(seen.status), seen.body["code"]] == what.split()[:2]
    assert seen.headers["x-request-id"] == seen.body["request_id"]
    assert ("www-authenticate" in seen.headers) == what.startswith("401")


def test_front_end_that_writes_with_an_old_tag_reads_the_current_task(page: Page) -> None:
    task = page.see("POST", TASKS, {"title": "Buy milk"})
    address, old = task.headers["location"], {"If-Match": task.headers["etag"]}
    changed = page.see("PATCH", address, {"title": "Buy oat milk"}, **old)
    late = page.see("PATCH", address, {"title": "Buy soy milk"}, **old)
    assert (late.status, late.body["current"], late.headers["etag"]) == (412, changed.body, changed.headers["etag"])


def test_front_end_that_uses_a_key_for_another_request_reads_422(page: Page) -> None:
    key = {"Idempotency-Key": '"the-same-key"'}
    assert page.see("POST", TASKS, {"title": "One"}, **key).status == 201
    other = page.see("POST", TASKS, {"title": "Other"}, **key)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


def test_front_end_of_an_overloaded_service_reads_when_to_come_back(page: Page, url: str) -> None:
    assert page.see("GET", TASKS).status == 200  # the preflight is answered before
    with closing(psycopg2.connect(url)) as database, ExitStack() as stack:
        database.cursor().execute("LOCK TABLE tasks")
        for user in ("one", "two"):
            wire = stack.enter_context(page.service.wire())
            fields = f"Host: localhost\r\nAuthorization: Bearer {token(user)}"
            wire.send(f"GET {TASKS} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        assert soon(lambda: len(waiting(url)) == SLOTS)
        refused = page.see("GET", TASKS)
        database.rollback()
    assert (refused.status, refused.body["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")


def test_front_end_beyond_its_rate_limit_reads_when_to_come_back(
    page: Page, url: str, origins: tuple[str, str], tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "CORS_ORIGINS": origins[0], "RATE_LIMIT": "1/day"}
    with Live(tmp_path, **settings) as live:
        page.service = live.ready()
        assert page.see("GET", TASKS).status == 200
        refused = page.see("GET", TASKS)
    assert (refused.status, refused.body["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["ratelimit"].startswith('"default";r=0;')


@pytest.mark.parametrize(
    ("method", "body", "authorization"),
    [("GET", None, None), ("GET", None, ""), ("POST", {"title": "Made by a stranger"}, None)],
    ids=["read", "read without a token", "write"],
)
def test_page_of_another_origin_reads_and_writes_nothing(
    page: Page, origins: tuple[str, str], method: str, body: Any, authorization: str | None
) -> None:
    assert page.see("POST", TASKS, {"title": "Mine"}).status == 201
    page.browser.get(origins[1])
    console(page.browser)
    headers = {} if authorization is None else {"Authorization": authorization}
    assert page.ask(method, TASKS, body, **headers) == ("error", "TypeError: Failed to fetch")
    logged(page.browser, "No 'Access-Control-Allow-Origin' header is present")
    page.browser.get(origins[0])
    assert [task["title"] for task in page.see("GET", TASKS).body["items"]] == ["Mine"]
