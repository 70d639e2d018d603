"""The pages to read: each is there, says what the contract says, and asks no other host for anything."""

import re
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.support.client import Client
from todo_api import contract
from todo_api.contract import resolve

DOCUMENT = contract.load(contract.TASK_API)
CODES: list[str] = DOCUMENT["components"]["schemas"]["ProblemCode"]["enum"]
PAGES = ["/", "/api/v1/reference/", "/api/v1/ui/", "/problems/", *(f"/problems/{code}" for code in CODES)]


@pytest.mark.parametrize("path", PAGES)
def test_page_is_html_with_a_strict_policy_and_nothing_from_elsewhere(anonymous: Client, path: str) -> None:
    reply = anonymous.get(path)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "unsafe-inline" not in re.sub("style-src[^;]*", "", reply.headers["content-security-policy"])
    loaded = re.findall(rb'(?:src|href)="([^"]*)"', re.sub(rb"<a [^>]*>", b"", reply.body))
    assert [address for address in loaded if b":" in address or address.startswith(b"//")] == []
    assert b"<script>" not in reply.body


@pytest.mark.parametrize("path", PAGES)
def test_page_links_lead_somewhere(anonymous: Client, path: str) -> None:
    found = re.findall(rb'(?:href|src)="([^"#:]+)[^":]*"', anonymous.get(path).body)
    links = {urljoin(path, link.decode()) for link in found}
    assert links
    assert {link: anonymous.get(link).status for link in links} == dict.fromkeys(links, 200)


def test_reference_names_every_operation_status_and_schema(anonymous: Client) -> None:
    html = anonymous.get("/api/v1/reference/").body.decode()
    for path, item in DOCUMENT["paths"].items():
        for operation in (part for name, part in item.items() if name != "parameters"):
            section = html.partition(f'<section id="{operation["operationId"]}">')[2].partition("</section>")[0]
            assert f"/api/v1{path}" in section
            assert all(f"<strong>{status}</strong>" in section for status in operation["responses"])
    assert all(f'<section id="{name}">' in html for name in DOCUMENT["components"]["schemas"])


def test_reference_anchors_exist(anonymous: Client) -> None:
    html = anonymous.get("/api/v1/reference/").body.decode()
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(re.findall(r'id="([^"]*)"', html))


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


FILES = ["", "swagger-ui.css", "swagger-ui-bundle.js", "initializer.js"]
PUBLISHED = [
    *PAGES,
    *(f"/api/v1/ui/{name}" for name in FILES),
    *("/api/v1/openapi.json", "/api/v1/openapi.yaml", "/api/v1/openapi-3.1.json"),
]


@pytest.mark.parametrize("path", PUBLISHED)
def test_published_page_is_asked_for_again_each_time_and_known_by_its_tag(anonymous: Client, path: str) -> None:
    """A page of the release before, kept for a day, would describe what the service no longer does."""
    reply = anonymous.get(path)
    assert reply.headers["cache-control"] == "no-cache"
    again = anonymous.get(path, headers={"If-None-Match": reply.headers["etag"]})
    assert (again.status, again.body, again.headers["cache-control"]) == (304, b"", "no-cache")
    assert anonymous.get(path, headers={"If-None-Match": '"another"'}).status == 200
