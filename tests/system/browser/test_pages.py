"""The pages as people see them: Debian's Chromium clicks through them. `make browser` runs this; screenshots go to test-output/."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.live import Live
from todo_api import contract

OUTPUT = Path("test-output")
SIZES = {"desktop": (1280, 1000), "phone": (390, 844)}
PASSWORD = "correct horse battery staple"
CODES = contract.load(contract.TASK_API)["components"]["schemas"]["ProblemCode"]["enum"]
READ = {"front": "/", "reference": "/api/v1/reference/", "ui": "/api/v1/ui/", "problems": "/problems/"}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a running service."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Live(Path(folder)) as live:
        yield live.ready().origin


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """A fresh Chromium that notes every request and every line of its console."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.fail("needs Debian's chromium and chromium-driver: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = binary
    for argument in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", "hide-scrollbars"),
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options, ChromeService(driver)) as chrome:
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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", READ)
def test_page_is_readable_and_asks_nobody_else(browser: Chrome, service: str, name: str, size: str) -> None:
    browser.set_window_size(*SIZES[size])
    browser.get(service + READ[name])
    soon(browser, "#swagger-ui .opblock" if name == "ui" else "main h1")
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
    browser.get(service)
    soon(browser, '.cards a[href="/api/v1/reference/"]').click()
    assert browser.find_element(By.CSS_SELECTOR, "#createTask h3").text.startswith("Create a task")
    quiet(browser, service)


def test_ui_registers_authorizes_and_creates_a_task(browser: Chrome, service: str) -> None:
    browser.set_window_size(1280, 1600)
    browser.get(f"{service}/api/v1/ui/")
    body = json.dumps({"email": "ada@example.com", "password": PASSWORD})
    assert call(browser, "accounts-registerAccount", body)[0] == "201"
    status, token = call(browser, "accounts-issueToken", body)
    assert status == "200"

    soon(browser, ".btn.authorize").click()
    soon(browser, ".auth-container input").send_keys(json.loads(token)["access_token"])
    soon(browser, ".modal-ux .btn.authorize").click()
    soon(browser, ".modal-ux .btn-done").click()

    status, created = call(browser, "tasks-createTask", '{"title": "Made by clicking"}', user_id="me")
    assert status == "201"
    assert json.loads(created)["title"] == "Made by clicking"
    shoot(browser, "ui-created")
    quiet(browser, service)


def call(browser: Chrome, operation: str, body: str, **parameters: str) -> tuple[str, str]:
    """Opens an operation, fills it in, executes it, and gives the status and the body that the page shows."""
    block = f"#operations-{operation}"
    soon(browser, f"{block} .opblock-summary-control").click()
    for name, value in parameters.items():
        field = soon(browser, f'{block} tr[data-param-name="{name}"] input')
        field.clear()
        field.send_keys(value)
    area = soon(browser, f"{block} textarea.body-param__text")
    browser.execute_script(  # type: ignore[no-untyped-call]  # selenium's; React hears of a value only through its own setter
        "Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(arguments[0], arguments[1]);"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
        area,
        body,
    )
    soon(browser, f"{block} .btn.execute").click()
    status = soon(browser, f"{block} .live-responses-table tbody .response-col_status").text.split()[0]
    shown = browser.find_element(By.CSS_SELECTOR, f"{block} .live-responses-table .highlight-code code").text
    soon(browser, f"{block} .opblock-summary-control").click()
    return status, shown
