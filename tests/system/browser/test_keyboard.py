"""The pages by the keyboard alone: what Tab reaches, and what Enter does there."""

from uuid import uuid4

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as expected

from tests.support.browser import SIZES, drawn, script, show, soon, text, wait

AT_MOST = 40
"""So many times a person presses Tab before they give up."""

FITS = """
const frame = document.querySelector(".modal-ux").getBoundingClientRect();
return frame.top >= 0 && frame.left >= 0 && frame.bottom <= innerHeight && frame.right <= innerWidth;
"""


def press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def is_on(browser: Chrome, css: str) -> bool:
    return bool(script(browser, "return document.activeElement.matches(arguments[0])", css))


def tab_to(browser: Chrome, css: str, said: str = "") -> None:
    """Press Tab until the focus is on the element that says this."""
    for _ in range(AT_MOST):
        press(browser, Keys.TAB)
        if is_on(browser, css) and said in script(browser, "return document.activeElement.innerText"):
            return
    raise AssertionError(f"Tab does not reach {css} {said}")


def reference(browser: Chrome, service: str, size: str) -> None:
    """Open the reference, drawn to its end."""
    show(browser, size)
    browser.get(f"{service}/api/v1/reference/")
    soon(browser, "#reference h1")
    drawn(browser)


def place(browser: Chrome) -> str:
    """Return the operation that the address of the reference leads to."""
    return str(script(browser, "return decodeURIComponent(location.hash)"))


def test_front_page_by_tab_and_enter_leads_to_its_content_and_to_every_page(browser: Chrome, service: str) -> None:
    browser.get(service)
    press(browser, Keys.TAB)
    assert is_on(browser, "a.skip")
    press(browser, Keys.ENTER)
    wait(browser).until(lambda _: is_on(browser, "main"))
    for path in ("/guide/", "/problems/", "/api/v1/reference/", "/api/v1/ui/"):
        browser.get(service)
        tab_to(browser, f'nav.pages a[href="{path}"]')
        assert script(browser, "return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        press(browser, Keys.ENTER)
        wait(browser).until(expected.url_to_be(service + path))


def test_guide_by_tab_and_enter_turns_to_its_next_page(browser: Chrome, service: str) -> None:
    browser.get(f"{service}/guide/")
    following = browser.find_element(By.CSS_SELECTOR, '.turn [rel="next"]').get_attribute("href")
    press(browser, Keys.TAB, Keys.ENTER)
    wait(browser).until(lambda _: is_on(browser, "main"))
    tab_to(browser, '.turn [rel="next"]')
    press(browser, Keys.ENTER)
    wait(browser).until(expected.url_to_be(following))


def test_dialog_to_sign_in_is_used_by_the_keyboard_on_a_phone(browser: Chrome, service: str) -> None:
    show(browser, "phone")
    browser.get(f"{service}/api/v1/ui/")
    soon(browser, ".btn.authorize")
    drawn(browser)
    tab_to(browser, ".btn.authorize")
    press(browser, Keys.ENTER)
    wait(browser).until(lambda _: is_on(browser, ".sign-in input[name=email]"))
    wait(browser).until(lambda _: script(browser, FITS))
    press(browser, f"{uuid4().hex}@example.com", Keys.TAB, "correct horse battery staple")
    tab_to(browser, ".sign-in button[name=register]")
    press(browser, Keys.ENTER)
    wait(browser).until(lambda _: text(browser, ".sign-in [role=status]") == "You are signed in.")


def test_reference_is_searched_by_tab_and_enter(browser: Chrome, service: str) -> None:
    reference(browser, service, "desktop")
    tab_to(browser, "#reference aside button[role=search]")
    assert script(browser, "return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(browser, Keys.ENTER)
    wait(browser).until(lambda _: is_on(browser, "input[role=combobox]"))
    press(browser, "complete")
    wait(browser).until(lambda _: "Complete or reopen a task" in (text(browser, "[role=option]") or ""))
    press(browser, Keys.DOWN, Keys.ENTER)
    wait(browser).until(lambda _: place(browser) == "#tag/tasks/PATCH/{user_id}/tasks/{task_id}/complete")


@pytest.mark.parametrize("size", SIZES)
def test_side_bar_of_the_reference_by_tab_and_enter_leads_to_an_operation(
    browser: Chrome, service: str, size: str
) -> None:
    reference(browser, service, size)
    if size == "phone":
        tab_to(browser, "#reference button", "Open Menu")
        press(browser, Keys.ENTER)
        soon(browser, "#reference aside button[role=search]")
    tab_to(browser, "#reference aside button[aria-expanded=false]", "projects")
    assert script(browser, "return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(browser, Keys.ENTER)
    wait(browser).until(lambda _: is_on(browser, "[aria-expanded=true]"))
    tab_to(browser, "#reference aside button", "Create a project")
    press(browser, Keys.ENTER)
    wait(browser).until(lambda _: place(browser) == "#tag/projects/POST/{user_id}/projects")
