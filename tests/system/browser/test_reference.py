"""The reference: each operation is found in it, and leads to the page that sends it."""

import pytest
from selenium.webdriver import Chrome

from tests.support.browser import click, drawn, requested, script, shoot, soon, text, wait
from todo_api import contract

OPERATIONS = [
    (operation["tags"][0], method.upper(), path, operation)
    for path, item in contract.load(contract.TASK_API)["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]
LINKS = """
const section = document.getElementById(arguments[0]);
return section && [section.innerText, [...section.querySelectorAll("a")].map(each => each.href)];
"""


@pytest.fixture
def page(browser: Chrome, service: str) -> Chrome:
    """The reference, open."""
    browser.get(f"{service}/api/v1/reference/")
    soon(browser, "#reference h1")
    return browser


def test_every_operation_stands_in_the_reference_and_leads_to_where_it_is_tried(page: Chrome, service: str) -> None:
    for tag, method, path, operation in OPERATIONS:
        place = f"tag/{tag}/{method}{path}"
        script(page, "location.hash = arguments[0]", place)
        link = f"{service}/api/v1/ui/#/{tag}/{operation['operationId']}"

        def shown(_: Chrome, place: str = place, link: str = link, summary: str = operation["summary"]) -> bool:
            found = script(page, LINKS, f"api-1/{place}")
            return bool(found) and summary in found[0] and link in found[1]

        wait(page).until(shown, place)
    drawn(page)
    shoot(page, "reference-last-operation")
    # The reference itself sends nothing.
    assert "Test Request" not in (text(page, "#reference") or "")
    asked = [url.removeprefix(service) for url in requested(page)]
    assert [url for url in asked if url.startswith("/api/")] == ["/api/v1/reference/", "/api/v1/openapi.json"]


def test_operation_of_the_reference_is_tried_by_following_its_link(page: Chrome, service: str) -> None:
    script(page, "location.hash = arguments[0]", "tag/tasks/POST/{user_id}/tasks")
    link = f'#reference a[href="{service}/api/v1/ui/#/tasks/createTask"]'
    click(page, link)
    wait(page).until(lambda _: "/api/v1/ui/" in page.current_url or len(page.window_handles) > 1)
    page.switch_to.window(page.window_handles[-1])
    drawn(page)
    click(page, "#operations-tasks-createTask .btn.execute")
    wait(page).until(lambda _: "401" in (text(page, "#operations-tasks-createTask .live-responses-table") or ""))
