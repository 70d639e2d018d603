"""The pages to read: each is there, says what the contract says, and asks no other host for anything."""

import json
import re
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.support.client import Client
from todo_api import contract
from todo_api.contract import resolve
from todo_api.site import assets, guide

DOCUMENT = contract.load(contract.TASK_API)
CODES: list[str] = DOCUMENT["components"]["schemas"]["ProblemCode"]["enum"]
GUIDE = [chapter.address for chapter in guide.chapters()]
PAGES = ["/", *GUIDE, "/api/v1/reference/", "/api/v1/ui/", "/problems/", *(f"/problems/{code}" for code in CODES)]


@pytest.mark.parametrize("path", PAGES)
def test_page_is_html_with_a_strict_policy_and_nothing_from_elsewhere(anonymous: Client, path: str) -> None:
    reply = anonymous.get(path)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "unsafe-inline" not in re.sub("style-src[^;]*", "", reply.headers["content-security-policy"])
    loaded = re.findall(rb'(?:src|href)="([^"]*)"', re.sub(rb"<a [^>]*>", b"", reply.body))
    assert loaded
    assert [address for address in loaded if b":" in address or address.startswith(b"//")] == []
    assert b"<script>" not in reply.body


@pytest.mark.parametrize("path", PAGES)
def test_page_links_lead_somewhere(anonymous: Client, path: str) -> None:
    found = re.findall(rb'(?:href|src)="([^"#:]+)[^":]*"', anonymous.get(path).body)
    links = {urljoin(path, link.decode()) for link in found}
    assert links
    assert {link: anonymous.get(link).status for link in links} == dict.fromkeys(links, 200)


@pytest.mark.parametrize("path", PAGES)
def test_page_begins_with_a_link_that_skips_to_its_content(anonymous: Client, path: str) -> None:
    body = anonymous.get(path).body.decode().partition("<body")[2]
    first = re.search(r'<a class="skip" href="#([\w-]+)">|<(?:a|button|input)\b', body)
    assert first is not None
    assert first[1] is not None
    assert len(re.findall(rf'<(?:main|div) id="{first[1]}" tabindex="-1">', body)) == 1


def test_pages_without_script_need_none(anonymous: Client) -> None:
    scripted = {path for path in PAGES if b"<script" in anonymous.get(path).body}
    assert scripted == {"/api/v1/reference/", "/api/v1/ui/"}
    assert all(b"<noscript>" in anonymous.get(path).body for path in scripted)


@pytest.mark.parametrize(
    ("path", "target"),
    {
        "/guide": "/guide/",
        "/docs": "/api/v1/reference/",
        "/redoc": "/api/v1/reference/",
        "/api/v1/docs": "/api/v1/reference/",
        "/api/v1/reference": "/api/v1/reference/",
        "/api/v1/ui": "/api/v1/ui/",
        "/problems": "/problems/",
        "/openapi.json": "/api/v1/openapi.json",
        "/openapi.yaml": "/api/v1/openapi.yaml",
    }.items(),
)
def test_address_where_people_look_leads_to_the_page(anonymous: Client, path: str, target: str) -> None:
    reply = anonymous.get(path)
    assert (reply.status, reply.headers["location"]) == (307, target)
    assert anonymous.get(target).status == 200


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere", "/problems/nothing", "/static/x/nothing.css"])
def test_page_that_is_not_there_is_told_to_a_browser_as_a_page(anonymous: Client, path: str) -> None:
    reply = anonymous.get(path, headers={"Accept": BROWSER})
    assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert reply.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    html = reply.body.decode()
    assert reply.headers["x-request-id"] in html
    assert 'href="/problems/not_found"' in html
    assert len(reply.body) == int(reply.headers["content-length"])


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/problem+json", "text/html;q=0, */*"])
def test_page_that_is_not_there_is_told_to_a_program_as_a_problem(anonymous: Client, accept: str) -> None:
    reply = anonymous.get("/nowhere", headers={"Accept": accept})
    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("path", ["/api/v1/me/tasks", "/api/v1/me/account"])
def test_operation_answers_a_browser_with_a_problem(anonymous: Client, path: str) -> None:
    reply = anonymous.get(path, headers={"Accept": BROWSER})
    assert (reply.status, reply.code) == (401, "unauthorized")


@pytest.mark.parametrize("code", CODES)
def test_problem_page_names_the_operations_that_answer_with_it(anonymous: Client, code: str) -> None:
    html = anonymous.get(f"/problems/{code}").body.decode()
    named = set(re.findall(r'#tag/[^"]*">(\w+)</a>', html))
    answering = {
        operation["operationId"]
        for item in DOCUMENT["paths"].values()
        for name, operation in item.items()
        if name != "parameters" and f'"code": "{code}"' in json.dumps(_deep(operation["responses"]))
    }
    assert named == answering


def _deep(part: Any) -> Any:
    """A part of the contract with its references to responses and examples resolved, and without its schemas."""
    if isinstance(part, list):
        return [_deep(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {name: _deep(value) for name, value in resolve(DOCUMENT, part).items() if name not in {"schema", "headers"}}


def test_problem_page_is_where_the_type_of_a_problem_points(anonymous: Client) -> None:
    problem = anonymous.get("/api/v1/me/tasks").json()
    page = anonymous.get(problem["type"]).body.decode()
    assert "<h1>Unauthorized</h1>" in page
    assert "code <code>unauthorized</code>" in page


def test_problem_pages_show_the_contracts_own_examples(anonymous: Client) -> None:
    examples: list[Any] = [resolve(DOCUMENT, part)["value"] for part in DOCUMENT["components"]["examples"].values()]
    problems = [value for value in examples if isinstance(value, dict) and "code" in value]
    assert problems
    for problem in {problem["code"]: problem for problem in reversed(problems)}.values():  # the first of each code
        assert problem["detail"] in anonymous.get(problem["type"]).body.decode().replace("&#39;", "'")


OF_ALL = {"type", "title", "status", "detail", "code", "request_id"}
OF_BATCH = {"operation"}
"""The member that every problem of a batch has besides: `runBatch` tells of it."""


def test_problem_page_tells_of_every_member_that_an_example_of_it_has(anonymous: Client) -> None:
    examples: list[Any] = [resolve(DOCUMENT, part)["value"] for part in DOCUMENT["components"]["examples"].values()]
    problems = [value for value in examples if isinstance(value, dict) and value.get("code") in CODES]
    assert {"errors", "current", "conflicts"} <= {name for problem in problems for name in problem}
    for problem in problems:
        text = anonymous.get(f"/problems/{problem['code']}").body.decode()
        silent = {name for name in problem.keys() - OF_ALL - OF_BATCH if f"<code>{name}</code>" not in text}
        assert not silent, problem["code"]


PUBLISHED = [*PAGES, "/api/v1/openapi.json", "/api/v1/openapi.yaml", "/api/v1/openapi-3.1.json"]


def static_files(anonymous: Client) -> set[str]:
    html = "".join(anonymous.get(path).body.decode() for path in PAGES)
    return set(re.findall(r'(?:href|src)="(/static/[^"]+)"', html))


def test_static_file_is_kept_for_a_year_under_an_address_of_its_content(anonymous: Client) -> None:
    files = static_files(anonymous)
    assert {name.rpartition("/")[2] for name in files} >= {
        "shell.css",
        "pages.css",
        "try-it.js",
        "scalar.standalone.js",
    }
    for path in files:
        reply = anonymous.get(path)
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = anonymous.get(path, headers={"If-None-Match": reply.headers["etag"]})
        assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", PUBLISHED)
def test_published_page_is_asked_for_again_each_time_and_known_by_its_tag(anonymous: Client, path: str) -> None:
    """A page of the release before, kept for a day, would describe what the service no longer does."""
    reply = anonymous.get(path)
    assert reply.headers["cache-control"] == "no-cache"
    again = anonymous.get(path, headers={"If-None-Match": reply.headers["etag"]})
    assert (again.status, again.body, again.headers["cache-control"]) == (304, b"", "no-cache")
    assert anonymous.get(path, headers={"If-None-Match": '"another"'}).status == 200


def test_library_whose_files_are_missing_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="flask_swagger_uis"):
        assets._package("flask_swagger_uis")
