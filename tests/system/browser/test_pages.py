"""The pages as people see them: Debian's Chromium clicks through them. `make browser` runs this; screenshots go to test-output/."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.browser import chromium
from tests.support.live import Live
from todo_api import contract

OUTPUT = Path("test-output")
SIZES = {"desktop": (1280, 1000), "phone": (390, 844)}
CODES = contract.load(contract.TASK_API)["components"]["schemas"]["ProblemCode"]["enum"]
MAIN = {"ui": "#swagger-ui .opblock", "reference": "#reference h1"}
REPLACE_TASK = "api-1/tag/tasks/PUT/{user_id}/tasks/{task_id}"
READ = {"front": "/", "reference": "/api/v1/reference/", "ui": "/api/v1/ui/", "problems": "/problems/"}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a running service."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Live(Path(folder)) as live:
        yield live.ready().origin


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """A fresh Chromium that notes every request and every line of its console."""
    logs = {"browser": "ALL", "performance": "ALL"}
    quiet = ("disable-background-networking", "disable-component-update", "hide-scrollbars")
    with chromium(*quiet, logs=logs) as chrome:
        yield chrome


def quiet(browser: Chrome, service: str) -> None:
    """No error on the console, and no request to another host."""
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]  # selenium's
    assert errors == []
    events: list[Any] = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]  # selenium's
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert asked
    assert [url for url in asked if not url.startswith((f"{service}/", "data:", "chrome:"))] == []


def shoot(browser: Chrome, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    assert browser.save_screenshot(str(OUTPUT / f"{name}.png"))


def soon(browser: Chrome, css: str) -> WebElement:
    return WebDriverWait(browser, 15).until(expected.element_to_be_clickable((By.CSS_SELECTOR, css)))


def drawn(browser: Chrome) -> None:
    """Wait until the page stops growing: the reference draws its operations one after another."""
    heights = [0]

    def same(browser: Chrome) -> bool:
        heights.append(browser.execute_script("return document.documentElement.scrollHeight"))  # type: ignore[no-untyped-call]  # selenium's
        return heights[-1] == heights[-2]

    WebDriverWait(browser, 30, poll_frequency=1).until(same)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", READ)
def test_page_is_readable_and_asks_nobody_else(browser: Chrome, service: str, name: str, size: str) -> None:
    browser.set_window_size(*SIZES[size])
    browser.get(service + READ[name])
    soon(browser, MAIN.get(name, "main h1"))
    drawn(browser)
    shoot(browser, f"{name}-{size}")
    wider = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")  # type: ignore[no-untyped-call]  # selenium's
    assert wider <= 0
    quiet(browser, service)


@pytest.mark.parametrize("code", CODES)
def test_problem_page_is_found_from_the_list(browser: Chrome, service: str, code: str) -> None:
    browser.get(f"{service}/problems/")
    soon(browser, f'a[href="/problems/{code}"]').click()
    assert browser.find_element(By.CSS_SELECTOR, "main p code").text == code
    quiet(browser, service)


def test_front_page_leads_to_the_reference(browser: Chrome, service: str) -> None:
    browser.set_window_size(*SIZES["desktop"])
    browser.get(service)
    soon(browser, '.cards a[href="/api/v1/reference/"]').click()
    soon(browser, "#reference h1")
    bar = (By.CSS_SELECTOR, "#reference aside")
    WebDriverWait(browser, 15).until(expected.text_to_be_present_in_element(bar, "Register an account"))
    quiet(browser, service)


def test_problem_page_leads_to_the_operations_that_answer_with_it(browser: Chrome, service: str) -> None:
    browser.set_window_size(*SIZES["desktop"])
    browser.get(f"{service}/problems/invalid_transition")
    soon(browser, 'main a[href$="#tag/tasks/PUT/{user_id}/tasks/{task_id}"]').click()
    assert WebDriverWait(browser, 15).until(expected.visibility_of_element_located((By.ID, REPLACE_TASK)))
    assert "Replace a task" in browser.find_element(By.ID, REPLACE_TASK).text


def test_page_that_is_not_there_is_told_to_a_person(browser: Chrome, service: str) -> None:
    browser.get(f"{service}/nowhere")
    assert browser.find_element(By.CSS_SELECTOR, "main h1").text == "Not found 404"
    assert len(browser.find_element(By.CSS_SELECTOR, "main p code").text) == 32
    shoot(browser, "not-found")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", READ)
def test_page_follows_a_dark_machine(browser: Chrome, service: str, name: str, size: str) -> None:
    browser.set_window_size(*SIZES[size])
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)  # type: ignore[no-untyped-call]  # selenium's
    browser.get(service + READ[name])
    soon(browser, MAIN.get(name, "main h1"))
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")  # type: ignore[no-untyped-call]  # selenium's
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    assert max(red, green, blue) < 64
    shoot(browser, f"{name}-{size}-dark")
