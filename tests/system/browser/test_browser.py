"""The browser of these tests: each finds it as new, and it reaches this machine alone."""

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome

from tests.support.browser import foreign, forget, requested, script, show

LEAVE = """
localStorage.left = sessionStorage.left = "yes";
document.cookie = "left=yes; max-age=1000";
"""
LEFT = """
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
return [localStorage.left, sessionStorage.left, document.cookie, dark, innerWidth];
"""


def test_browser_that_forgets_is_as_new(browser: Chrome, service: str) -> None:
    fresh = [None, None, "", False, 1280]
    browser.get(service)
    assert script(browser, LEFT) == fresh
    script(browser, LEAVE)
    show(browser, "phone", "dark")
    browser.switch_to.new_window("tab")
    browser.get(service)
    script(browser, LEAVE)
    forget(browser)
    assert len(browser.window_handles) == 1
    browser.get(service)
    assert script(browser, LEFT) == fresh


def test_browser_finds_no_other_host(browser: Chrome, service: str) -> None:
    elsewhere = service.replace("127.0.0.1", "localhost")
    with pytest.raises(WebDriverException, match="ERR_NAME_NOT_RESOLVED"):
        browser.get(elsewhere)
    assert {*foreign(requested(browser))} == {f"{elsewhere}/"}, "however often it was tried"
