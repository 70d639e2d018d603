"""Behind a proxy that serves the service under a path: every address that it hands out begins with that path."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urldefrag

import pytest
import yaml

from tests.support.credentials import SECRET, token
from tests.support.live import Live, Reply, refusal

PUBLIC = "https://example.com/to/tasks"
PATH = "/to/tasks"
TASKS = "/api/v1/me/tasks"


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The service as it runs behind such a proxy."""
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "PUBLIC_URL": PUBLIC, "RATE_LIMIT": "off"}
    settings |= {"SECURITY_CONTACT": "mailto:a@example.com", "SECURITY_EXPIRES": "2030-01-01T00:00:00Z"}
    with Live(tmp_path_factory.mktemp("public"), **settings) as service:
        yield service.ready()


def through_proxy(live: Live, method: str, address: str, body: bytes = b"", *fields: str, bearer: str = "") -> Reply:
    """A request to an address of the public, as the proxy passes it on: without the path."""
    assert address.startswith(f"{PATH}/"), address
    return live.request(method, address.removeprefix(PATH), body, *fields, token=bearer)


def links(text: str) -> set[str]:
    """The addresses of this host to which a page leads."""
    found = re.findall(r'\s(?:href|src)="([^"]*)"', text)
    return {urldefrag(unescape(each)).url for each in found if each.startswith("/")}


def test_every_page_leads_to_pages_under_the_path(live: Live) -> None:
    waiting, seen = {f"{PATH}/"}, set[str]()
    while waiting:
        address = waiting.pop()
        seen.add(address)
        reply = through_proxy(live, "GET", address)
        assert reply.status == 200, address
        names = [name for name, _ in reply.header_list]
        assert sorted(names) == sorted({*names}), address
        assert {"cache-control", "content-length", "etag"} <= {*names}
        if reply.headers["content-type"].startswith("text/html"):
            waiting |= links(reply.body.decode()) - seen
    wanted = {
        f"{PATH}{each}"
        for each in ("/api/v1/ui/", "/api/v1/reference/", "/guide/", "/problems/", "/problems/not_found")
    }
    assert seen >= wanted
    assert len(seen) > 60


@pytest.mark.parametrize("address", ["/docs", "/openapi.json", "/api/v1/docs", "/guide", "/favicon.ico"])
def test_page_that_is_elsewhere_is_found_under_the_path(live: Live, address: str) -> None:
    moved = live.request("GET", address)
    assert moved.status == 307
    assert through_proxy(live, "GET", moved.headers["location"]).status == 200


def test_page_not_found_leads_back_under_the_path(live: Live) -> None:
    reply = live.request("GET", "/nowhere", b"", "Accept: text/html")
    assert reply.status == 404
    assert links(reply.body.decode())
    assert all(through_proxy(live, "GET", each).status == 200 for each in links(reply.body.decode()))


def test_contract_names_the_path_as_its_server(live: Live) -> None:
    texts = [live.request("GET", f"/api/v1/openapi{form}").body for form in (".yaml", ".json", "-3.1.json")]
    servers = [yaml.safe_load(text)["servers"][0]["url"] for text in texts]
    assert servers == [f"{PATH}/api/v1"] * 3


def test_discovery_leads_under_the_path(live: Live) -> None:
    catalog = live.request("GET", "/.well-known/api-catalog")
    (linkset,) = json.loads(catalog.body)["linkset"]
    hrefs = [link["href"] for links in linkset.values() if isinstance(links, list) for link in links]
    named = re.findall(r"<([^>]*)>", live.request("GET", "/api/v1").headers["link"] + catalog.headers["link"])
    told = re.findall(r"\]\(([^)]*)\)", live.request("GET", "/llms.txt").body.decode())
    assert [linkset["anchor"], *hrefs, *named, *told]
    for address in [linkset["anchor"], *hrefs, *named, *told]:
        assert through_proxy(live, "GET", address).status == 200, address


def test_operations_name_their_resources_under_the_path(live: Live) -> None:
    bearer = token("ada")
    for number in range(2):
        made = live.request("POST", TASKS, json.dumps({"title": f"{number}"}).encode(), token=bearer)
        assert json.loads(through_proxy(live, "GET", made.headers["location"], bearer=bearer).body) == json.loads(
            made.body
        )
    page = live.request("GET", f"{TASKS}?limit=1", token=bearer)
    (following,) = re.findall(r"<([^>]*)>", page.headers["link"])
    assert len(json.loads(through_proxy(live, "GET", following, bearer=bearer).body)["items"]) == 1
    key = live.request("POST", "/api/v1/me/keys", b'{"name": "k", "scopes": ["tasks:read"]}', token=bearer)
    assert key.headers["location"].startswith(f"{PATH}/api/v1/me/keys/")
    account = b'{"email": "public@example.com", "password": "correct horse battery staple"}'
    assert live.request("POST", "/api/v1/auth/register", account).headers["location"] == f"{PATH}/api/v1/me/account"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (("GET", f"{TASKS}/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"), 404),
        (("GET", "/nowhere"), 404),
        (("GET", "/" + "x" * 9000), 414),
    ],
)
def test_problem_names_its_page_under_the_path(live: Live, request_line: tuple[str, str], status: int) -> None:
    reply = live.request(*request_line, token=token("ada"))
    problem = json.loads(reply.body)
    assert (reply.status, problem["type"]) == (status, f"{PATH}/problems/{problem['code']}")
    assert through_proxy(live, "GET", problem["type"]).status == 200


def test_front_page_tells_requests_to_the_public_address(live: Live) -> None:
    assert f"api={PUBLIC}/api/v1;" in live.request("GET", "/").body.decode()


@pytest.mark.parametrize(
    "text",
    [
        "example.com/tasks",
        "ftp://example.com",
        "https://",
        "https://user:word@example.com/tasks",
        "https://example.com/tasks?a=b",
        "https://example.com/tasks?",
        "https://example.com/tasks#top",
        "https://example.com//tasks",
        "https://example.com/../tasks",
        'https://example.com/"><script>',
        "https://example.com/{user}",
    ],
)
def test_serve_with_a_public_url_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    line = refusal("serve", cwd=tmp_path, DATABASE_URL="postgresql://nowhere/x", JWT_SECRET=SECRET, PUBLIC_URL=text)
    assert line == (
        "PUBLIC_URL must be a URL without a query: https://example.com, or https://example.com/tasks behind a proxy."
    )
