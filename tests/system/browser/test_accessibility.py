"""Every page, wide and narrow, light and dark: what axe-core finds on it, and whether it fits, has the colours and is quiet.

axe-core comes from node_modules, not from a network.
"""

from typing import Any

import pytest
from selenium.webdriver import Chrome

from tests.support.browser import COLOURS, SIZES, click, drawn, is_dark, quiet, script, shoot, show, soon
from tests.support.pages import ROOT
from todo_api import contract
from todo_api.site import guide

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


@pytest.fixture(params=SIZES)
def width(request: pytest.FixtureRequest) -> str:
    """Wide and narrow."""
    return str(request.param)


@pytest.fixture(params=COLOURS)
def colours(request: pytest.FixtureRequest) -> str:
    """What the visitor's machine prefers."""
    return str(request.param)


@pytest.fixture
def page(browser: Chrome, width: str, colours: str) -> Chrome:
    """A browser of this width and these colours."""
    show(browser, width, colours)
    return browser


def examine(browser: Chrome) -> dict[str, list[Any]]:
    """Run axe-core on the page as it stands: its findings, and what it could not decide."""
    source = ROOT / "node_modules" / "axe-core" / "axe.min.js"
    script(browser, source.read_text("utf-8"))
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


def fits(browser: Chrome, colours: str) -> bool:
    """Return whether the page is no wider than the screen, and has the colours of the machine."""
    wider = script(browser, "return document.documentElement.scrollWidth - innerWidth")
    return wider <= 0 and is_dark(browser) == (colours == "dark")


def test_pages_of_ours_have_no_finding_at_all(page: Chrome, service: str, width: str, colours: str) -> None:
    found = {}
    for path in PAGES if (width, colours) == ("phone", "dark") else SHOWN:
        page.get(service + path)
        if path in SHOWN:
            shoot(page, path.strip("/").replace("/", "-") or "front", width, colours)
        assert fits(page, colours), path
        if path != "/nowhere":  # for which the console has an error
            quiet(page)
        examined = examine(page)
        undecided = [each for each in examined["incomplete"] if each["id"] == "color-contrast"]
        found[path] = [
            (each["id"], node["html"][:150]) for each in [*examined["violations"], *undecided] for node in each["nodes"]
        ]
    assert {path: findings for path, findings in found.items() if findings} == {}


def test_reference_has_only_findings_of_its_makers(page: Chrome, service: str, width: str, colours: str) -> None:
    page.get(f"{service}/api/v1/reference/")
    soon(page, "#reference h1")
    drawn(page)
    shoot(page, "reference", width, colours)
    assert fits(page, colours)
    quiet(page)
    found = serious(page)
    assert {rule: nodes for rule, nodes in found.items() if rule not in THEIRS["reference"]} == {}


def test_try_it_page_has_only_findings_of_its_makers(page: Chrome, service: str, width: str, colours: str) -> None:
    page.get(f"{service}/api/v1/ui/")
    soon(page, "#swagger-ui .opblock")
    drawn(page)
    shoot(page, "try-it", width, colours)
    assert fits(page, colours)
    quiet(page)
    click(page, "#operations-tasks-createTask .opblock-summary-control")
    click(page, "#operations-tasks-createTask .btn.execute")
    soon(page, "#operations-tasks-createTask .live-responses-table")
    drawn(page)
    shoot(page, "try-it-executed", width, colours)
    found = serious(page)
    click(page, ".btn.authorize")
    soon(page, ".sign-in")
    drawn(page)
    shoot(page, "try-it-dialog", width, colours)
    found |= serious(page)
    assert {rule: nodes for rule, nodes in found.items() if rule not in THEIRS["try-it"]} == {}
