"""What axe-core finds on every page, wide and narrow, light and dark. It comes from node_modules, not from a network."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.browser import chromium
from tests.support.live import Live
from tests.support.pages import ROOT
from todo_api import contract
from todo_api.site import guide

OUTPUT = Path("test-output")
WIDTHS = {"desktop": (1280, 1000), "phone": (390, 844)}
CODES = contract.load(contract.TASK_API)["components"]["schemas"]["ProblemCode"]["enum"]
CHAPTERS = [chapter.address for chapter in guide.chapters()]
PAGES = ["/", *CHAPTERS, "/problems/", *(f"/problems/{code}" for code in CODES), "/nowhere"]
SHOWN = ["/", *CHAPTERS, "/problems/", "/problems/invalid_transition", "/nowhere"]
AXE = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations", "incomplete"]}).then(found => done(found), error => done(String(error)));
"""
THEIRS = {
    "reference": {
        "aria-allowed-attr": "entries of the side bar are buttons with aria-selected",
        "aria-required-children": "the list of languages has a button among its tabs",
        "button-name": "the button that opens the search has its name in its key alone; so has the one for more languages",
        "label-content-name-mismatch": "'Show More' is named by what it shows",
        "scrollable-region-focusable": "a list of operations scrolls on a phone, and has links in it",
    },
    "try-it": {
        "button-name": "the cross that closes the dialog has no name; the button 'Close' has",
        "label": "the field of a body has no label",
        "label-content-name-mismatch": "'Authorize' in the dialog is named 'Apply credentials'",
        "scrollable-region-focusable": "replies scroll on a phone, which Chromium's own keys reach",
        "nested-interactive": "a link stands in the button that opens an operation",
        "select-name": "lists of examples and media types have no label",
    },
}
"""Serious findings in what Scalar and Swagger UI draw, which no setting or style of ours mends."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a running service."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Live(Path(folder)) as live:
        yield live.ready().origin


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> str:
    """Wide and narrow."""
    return str(request.param)


@pytest.fixture(params=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> str:
    """What the visitor's machine prefers."""
    return str(request.param)


@pytest.fixture
def browser(width: str, colours: str) -> Iterator[Chrome]:
    """A fresh Chromium of this width and these colours."""
    with chromium("hide-scrollbars") as chrome:
        chrome.set_script_timeout(120)
        wide, high = WIDTHS[width]
        size = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        preferred = {"features": [{"name": "prefers-color-scheme", "value": colours}]}
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", preferred)
        yield chrome


def examine(browser: Chrome) -> dict[str, list[Any]]:
    """Run axe-core on the page as it stands: its findings, and what it could not decide."""
    source = ROOT / "node_modules" / "axe-core" / "axe.min.js"
    browser.execute_script(source.read_text("utf-8"))
    found = browser.execute_async_script(AXE)
    assert isinstance(found, dict), found
    assert found["testEngine"]["name"] == "axe-core"
    return found


def serious(browser: Chrome) -> dict[str, list[str]]:
    """The elements of each serious or critical finding, by its rule."""
    return {
        finding["id"]: [node["html"][:150] for node in finding["nodes"]]
        for finding in examine(browser)["violations"]
        if finding["impact"] in {"serious", "critical"}
    }


def soon(browser: Chrome, css: str) -> None:
    WebDriverWait(browser, 60).until(expected.element_to_be_clickable((By.CSS_SELECTOR, css))).click()


def shoot(browser: Chrome, *names: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    assert browser.save_screenshot(str(OUTPUT / f"{'-'.join(names)}.png"))


def test_pages_of_ours_have_no_finding_at_all(browser: Chrome, service: str, width: str, colours: str) -> None:
    found = {}
    for path in PAGES if (width, colours) == ("phone", "dark") else SHOWN:
        browser.get(service + path)
        if path in SHOWN:
            shoot(browser, path.strip("/").replace("/", "-") or "front", width, colours)
        wider = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, path
        examined = examine(browser)
        undecided = [each for each in examined["incomplete"] if each["id"] == "color-contrast"]
        found[path] = [
            (each["id"], node["html"][:150]) for each in [*examined["violations"], *undecided] for node in each["nodes"]
        ]
    assert {path: findings for path, findings in found.items() if findings} == {}


def test_reference_has_only_findings_of_its_makers(browser: Chrome, service: str, width: str, colours: str) -> None:
    browser.get(f"{service}/api/v1/reference/")
    shown = (By.CSS_SELECTOR, "#reference h1")
    WebDriverWait(browser, 60).until(expected.visibility_of_element_located(shown))
    shoot(browser, "reference", width, colours)
    found = serious(browser)
    assert {rule: nodes for rule, nodes in found.items() if rule not in THEIRS["reference"]} == {}


def test_try_it_page_has_only_findings_of_its_makers(browser: Chrome, service: str, width: str, colours: str) -> None:
    browser.get(f"{service}/api/v1/ui/")
    soon(browser, "#operations-tasks-createTask .opblock-summary-control")
    soon(browser, "#operations-tasks-createTask .btn.execute")
    reply = (By.CSS_SELECTOR, "#operations-tasks-createTask .live-responses-table")
    WebDriverWait(browser, 60).until(expected.presence_of_element_located(reply))
    shoot(browser, "try-it-executed", width, colours)
    found = serious(browser)
    soon(browser, ".btn.authorize")
    WebDriverWait(browser, 60).until(expected.visibility_of_element_located((By.CSS_SELECTOR, ".sign-in")))
    shoot(browser, "try-it-dialog", width, colours)
    found |= serious(browser)
    assert {rule: nodes for rule, nodes in found.items() if rule not in THEIRS["try-it"]} == {}
