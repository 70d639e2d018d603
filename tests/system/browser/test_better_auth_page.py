"""A page of an application with Better Auth uses the service with its tokens, as docs/front-ends.md says."""

import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.support.better_auth import better_auth
from tests.support.documented_front_end import FrontEnd
from tests.support.front_end import console, logged, run
from tests.support.live import Live
from tests.support.pages import read, section

SIGN_UP = """
const body = JSON.stringify({email: "%s", password: "correct horse battery", name: "Ada"});
const headers = {"Content-Type": "application/json"};
return (await fetch("/api/auth/sign-up/email", {method: "POST", headers, body})).status;
"""
CREATE = """
const { api } = await import("/better-auth.js");
const params = {path: {user_id: "me"}};
const { data } = await api.POST("/{user_id}/tasks", {params, body: {title: "Buy milk"}});
return data?.title;
"""
REFUSE_ONCE = """
const real = window.fetch;
window.fetch = (request, ...more) => {
    if (request.url) {
        window.fetch = real;
        request.headers.set("Authorization", "Bearer expired");
    }
    return real(request, ...more);
};
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def application(folder: Path) -> Iterator[str]:
    """The origin of the application."""
    with better_auth(PAGES=str(folder / "out")) as origin:
        yield origin


@pytest.fixture(scope="module")
def service(url: str, folder: Path, application: str) -> Iterator[Live]:
    """The service with the settings of the page."""
    page = section(read("docs/front-ends.md"), "Better Auth and Next.js")
    documented = re.findall(r"^    ([A-Z_]+)=(.*)$", page, re.MULTILINE)
    settings = {name: text.replace("http://localhost:3000", application) for name, text in documented}
    with Live(folder, DATABASE_URL=url, **settings) as live:
        yield live.ready()


@pytest.fixture
def page(browser: Chrome, service: Live, folder: Path, application: str) -> Chrome:
    """The page of somebody who has signed up with the application."""
    FrontEnd(folder, service.origin).compile()
    browser.get(f"{application}/index.html")
    assert run(browser, SIGN_UP % f"{secrets.token_hex(6)}@example.com") == ("value", 200), console(browser)
    return browser


def test_page_of_better_auth_creates_a_task_and_replaces_a_token_that_is_refused(page: Chrome) -> None:
    assert run(page, CREATE) == ("value", "Buy milk"), console(page)
    assert run(page, REFUSE_ONCE + CREATE) == ("value", "Buy milk"), console(page)
    logged(page, "401")
