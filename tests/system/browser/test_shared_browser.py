"""Two people share a browser: what it has stored of the one is never shown to the other."""

from typing import Any

import pytest
from selenium.webdriver import Chrome

from tests.support.credentials import PASSWORD

ASK = """
const [method, path, token, body, done] = arguments;
const headers = {};
if (token) headers["Authorization"] = "Bearer " + token;
if (body !== null) headers["Content-Type"] = "application/json";
fetch(path, {method, headers, body}).then(async reply => {
    const text = await reply.text();
    done([reply.status, text ? JSON.parse(text) : null]);
}).catch(error => done([0, String(error)]));
"""
LISTS = ["", "?status=pending", "?status=completed", "?completed=false", "?q=of", "?sort=title&limit=1", "?skip=1"]


@pytest.fixture
def page(browser: Chrome, service: str) -> Chrome:
    """A page of the service, in a browser that keeps what the service lets it keep."""
    browser.get(f"{service}/api/v1/ui/")
    return browser


def ask(browser: Chrome, method: str, path: str, token: str = "", body: str | None = None) -> tuple[int, Any]:
    """One `fetch` of the page: the status and the JSON that its script sees."""
    status, found = browser.execute_async_script(ASK, method, path, token, body)
    return status, found


def signed_in(browser: Chrome, email: str) -> str:
    """The access token of a new user."""
    body = f'{{"email": "{email}", "password": "{PASSWORD}"}}'
    assert ask(browser, "POST", "/api/v1/auth/register", body=body)[0] == 201
    status, tokens = ask(browser, "POST", "/api/v1/auth/token", body=body)
    assert status == 200
    return str(tokens["access_token"])


def with_tasks(browser: Chrome, email: str) -> str:
    """The access token of a new user who has made as many writes as each other one."""
    token = signed_in(browser, email)
    for status in ("pending", "completed"):
        body = f'{{"title": "{status} of {email}", "status": "{status}"}}'
        assert ask(browser, "POST", "/api/v1/me/tasks", token, body)[0] == 201
    return token


@pytest.mark.parametrize("query", LISTS)
def test_list_of_two_users_in_one_browser_shows_each_their_own(page: Chrome, query: str) -> None:
    names = [f"{each}-{LISTS.index(query)}@example.com" for each in ("ada", "bob")]
    tokens = [with_tasks(page, name) for name in names]
    for _ in range(2):  # the second time, the browser asks with the tags it has stored
        for name, token in zip(names, tokens, strict=True):
            status, found = ask(page, "GET", f"/api/v1/me/tasks{query}", token)
            assert status == 200
            assert found["items"]
            assert {task["title"].partition(" of ")[2] for task in found["items"]} == {name}


def test_account_of_two_users_in_one_browser_shows_each_their_own(page: Chrome) -> None:
    names = ["ada@example.org", "bob@example.org"]
    tokens = [signed_in(page, name) for name in names]
    for _ in range(2):
        for name, token in zip(names, tokens, strict=True):
            status, account = ask(page, "GET", "/api/v1/me/account", token)
            assert (status, account["email"]) == (200, name)


def test_keys_of_two_users_in_one_browser_show_each_their_own(page: Chrome) -> None:
    names = ["ada@example.net", "bob@example.net"]
    tokens = [signed_in(page, name) for name in names]
    for name, token in zip(names, tokens, strict=True):
        body = f'{{"name": "{name}", "scopes": ["tasks:read"]}}'
        assert ask(page, "POST", "/api/v1/me/keys", token, body)[0] == 201
    for _ in range(2):
        for name, token in zip(names, tokens, strict=True):
            status, found = ask(page, "GET", "/api/v1/me/keys", token)
            assert (status, [key["name"] for key in found["items"]]) == (200, [name])
