"""The pages as people see them: Chromium clicks through them. `make browser` runs this; screenshots go to test-output/."""

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected

from tests.support.browser import SIZES, click, drawn, quiet, script, shoot, show, soon, text, wait
from todo_api import contract

CODES = contract.load(contract.TASK_API)["components"]["schemas"]["ProblemCode"]["enum"]
REPLACE_TASK = "api-1/tag/tasks/PUT/{user_id}/tasks/{task_id}"
UI = "/api/v1/ui/"


@pytest.mark.parametrize("size", SIZES)
def test_try_it_page_shows_its_first_operation_on_the_first_screen(browser: Chrome, service: str, size: str) -> None:
    show(browser, size)
    browser.get(service + UI)
    first = soon(browser, "#swagger-ui .opblock")
    drawn(browser)
    assert script(browser, "return arguments[0].getBoundingClientRect().bottom <= innerHeight", first)


@pytest.mark.parametrize("size", SIZES)
def test_fields_of_the_dialog_to_sign_in_are_as_wide_as_their_column(browser: Chrome, service: str, size: str) -> None:
    show(browser, size)
    browser.get(service + UI)
    click(browser, ".btn.authorize")
    soon(browser, ".sign-in input[name=email]:focus")
    shoot(browser, "dialog", size)
    wide = script(browser, "return [...document.querySelectorAll('.sign-in, .sign-in input')].map(e => e.offsetWidth)")
    assert len(wide) == 3
    assert len({*wide}) == 1, wide


def test_problem_page_of_every_code_is_found_from_the_list(browser: Chrome, service: str) -> None:
    for code in CODES:
        browser.get(f"{service}/problems/")
        click(browser, f'a[href="/problems/{code}"]')
        wait(browser).until(expected.url_to_be(f"{service}/problems/{code}"), code)
        wait(browser).until(lambda _, code=code: text(browser, "main h1 + p code") == code, code)
        quiet(browser)


def test_front_page_leads_to_the_reference(browser: Chrome, service: str) -> None:
    browser.get(service)
    click(browser, '.cards a[href="/api/v1/reference/"]')
    soon(browser, "#reference h1")
    wait(browser).until(lambda _: "Register an account" in (text(browser, "#reference aside") or ""))
    quiet(browser)


def test_problem_page_leads_to_the_operations_that_answer_with_it(browser: Chrome, service: str) -> None:
    browser.get(f"{service}/problems/invalid_transition")
    click(browser, 'main a[href$="#tag/tasks/PUT/{user_id}/tasks/{task_id}"]')
    wait(browser).until(expected.text_to_be_present_in_element((By.ID, REPLACE_TASK), "Replace a task"))


def test_page_that_is_not_there_is_told_to_a_person(browser: Chrome, service: str) -> None:
    browser.get(f"{service}/nowhere")
    assert text(browser, "main h1") == "Not found 404"
    assert len(text(browser, "main p:last-child code") or "") == 32
    shoot(browser, "not-found")
