"""The service under a path, behind a real Caddy as `docs/deployment.md` has it: its API, and its pages in Chromium."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.support import expected_conditions as expected

from tests.support.browser import chromium, click, errors, forget, requested, script, soon, text, wait
from tests.support.caddy import caddy
from tests.support.credentials import SECRET, token
from tests.support.live import Live, free_port
from tests.support.pages import read
from tests.support.try_it import Block, sign_in

PATH = "/to/tasks"


class Site(NamedTuple):
    """The service as its clients see it."""

    host: str
    session: requests.Session

    @property
    def origin(self) -> str:
        """The public URL."""
        return self.host + PATH

    def ask(self, method: str, reference: str, **more: object) -> requests.Response:
        """Send a request of Ada's to an address as a reply has it: it stands for itself, with its path."""
        bearer = {"Authorization": f"Bearer {token('ada')}"}
        return self.session.request(method, self.host + reference, headers=bearer, timeout=30, **more)  # type: ignore[arg-type]  # json, as requests has it


@pytest.fixture(scope="module")
def site(url: str) -> Iterator[Site]:
    """Caddy with the lines of the page, in which the addresses alone are others."""
    port = free_port()
    host = f"http://127.0.0.1:{port}"
    with (
        tempfile.TemporaryDirectory(prefix="test-path-", ignore_cleanup_errors=True) as name,
        Live(Path(name), DATABASE_URL=url, JWT_SECRET=SECRET, PUBLIC_URL=host + PATH) as live,
    ):
        live.ready()
        (documented,) = re.findall(r"```text\n(.*?)```", read("docs/deployment.md"), re.DOTALL)
        told = {"example.com {": f"{host} {{", "/tasks/*": f"{PATH}/*", ":8000": f":{live.port}"}
        for written, here in told.items():
            assert documented.count(written) == 1
            documented = documented.replace(written, here)
        config = Path(name) / "Caddyfile"
        config.write_text(f"{{\n\tadmin off\n}}\n{documented}")
        with caddy(config, host + PATH) as session:
            yield Site(host, session)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    """The Chromium of these tests."""
    with chromium() as found:
        yield found


@pytest.fixture
def browser(chrome: Chrome, site: Site) -> Iterator[Chrome]:
    """A Chromium as new, which asks for nothing outside of the path, and whose console has no error."""
    forget(chrome)
    yield chrome
    assert [url for url in requested(chrome) if url.startswith("http") and not url.startswith(f"{site.origin}/")] == []
    assert errors(chrome) == []


def test_addresses_in_replies_are_found_under_the_path(site: Site) -> None:
    (server,) = site.session.get(f"{site.origin}/api/v1/openapi.json", timeout=30).json()["servers"]
    made = [site.ask("POST", f"{server['url']}/me/tasks", json={"title": title}) for title in ("One", "Two")]
    assert [each.status_code for each in made] == [201, 201]
    assert site.ask("GET", made[0].headers["Location"]).json() == made[0].json()
    first = site.ask("GET", f"{server['url']}/me/tasks?limit=1")
    following = re.search(r'<([^>]+)>; rel="next"', first.headers["Link"])
    assert following is not None
    pages = first.json()["items"] + site.ask("GET", following[1]).json()["items"]
    assert {task["id"] for task in pages} == {each.json()["id"] for each in made}


def test_problem_leads_to_its_page_under_the_path(site: Site) -> None:
    problem = site.ask("GET", f"{PATH}/api/v1/me/tasks?nobody=knows").json()
    page = site.session.get(site.host + problem["type"], timeout=30)
    assert (page.status_code, problem["code"] in page.text) == (200, True)


def test_page_to_try_operations_sends_them_under_the_path(browser: Chrome, site: Site) -> None:
    sign_in(browser, site.origin, "button[name=register]")
    create = Block(browser, "createTask")
    for title in ("Under a path", "Once more"):
        status, task = create.execute({"title": title})
        assert (status, task["title"]) == (201, title)
    listed = Block(browser, "listTasks").execute()
    assert (listed[0], listed[1]["total"]) == (200, 2)
    shown = text(browser, "#operations-tasks-createTask .live-responses-table")
    assert f"location: {PATH}/api/v1/me/tasks/{task['id']}" in (shown or "")


def test_reference_leads_to_where_an_operation_is_tried_under_the_path(browser: Chrome, site: Site) -> None:
    browser.get(f"{site.origin}/")
    click(browser, f'.cards a[href="{PATH}/api/v1/reference/"]')
    soon(browser, "#reference h1")
    script(browser, "location.hash = 'tag/tasks/POST/{user_id}/tasks'")
    tried = f"{site.origin}/api/v1/ui/#/tasks/createTask"
    click(browser, f'#reference a[href="{tried}"]')
    wait(browser).until(lambda _: browser.current_url == tried or len(browser.window_handles) > 1)
    browser.switch_to.window(browser.window_handles[-1])
    soon(browser, "#operations-tasks-createTask .btn.execute")


def test_every_page_is_reached_by_clicking_under_the_path(browser: Chrome, site: Site) -> None:
    for address in ("/guide/", "/problems/", "/api/v1/reference/", "/api/v1/ui/"):
        browser.get(f"{site.origin}/")
        click(browser, f'nav.pages a[href="{PATH}{address}"]')
        wait(browser).until(expected.url_to_be(site.origin + address))
    browser.get(f"{site.origin}/problems/")
    click(browser, f'a[href="{PATH}/problems/invalid_transition"]')
    click(browser, 'main a[href$="#tag/tasks/PUT/{user_id}/tasks/{task_id}"]')
    wait(browser).until(lambda _: "Replace a task" in (text(browser, "#reference") or ""))
