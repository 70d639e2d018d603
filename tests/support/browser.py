"""Debian's Chromium, driven by selenium: started once for many tests, and as new for each of them."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

SIZES = {"desktop": (1280, 1000), "phone": (390, 844)}
COLOURS = ["light", "dark"]
OUTPUT = Path("test-output")
"""The folder of screenshots."""

PATIENCE = 60
"""Seconds that a page may take on a busy machine."""

_ARGUMENTS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-sync",
    "disable-background-networking",
    "disable-component-update",
    "hide-scrollbars",
    # As on a network without names: a page that needs another host shows it.
    "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_LOGS = ("browser", "performance")
_DRAWN = """
const done = arguments[0];
let looks = 0;
const changes = {subtree: true, childList: true, attributes: true, characterData: true};
new MutationObserver(() => { looks = 0; }).observe(document, changes);
const look = () => requestIdleCallback(() => (++looks > 5 ? done() : setTimeout(look, 50)));
look();
"""
_STANDS_STILL = """
const [element, done] = arguments;
const place = () => JSON.stringify(element.getBoundingClientRect());
element.scrollIntoView({block: "center", behavior: "instant"});
const before = place();
setTimeout(() => done(element.isConnected && place() === before), 50);
"""
_MOVED = (ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException)
_FORGET: list[tuple[str, dict[str, Any]]] = [
    ("Network.clearBrowserCookies", {}),
    ("Network.clearBrowserCache", {}),
    ("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"}),
    ("Emulation.setEmulatedMedia", {"features": []}),
]


@contextmanager
def chromium() -> Iterator[Chrome]:
    """A fresh Chromium, which notes every request and every line of its console."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.fail("needs Debian's chromium and chromium-driver: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = binary
    for argument in _ARGUMENTS:
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", dict.fromkeys(_LOGS, "ALL"))
    with Chrome(options, ChromeService(driver)) as chrome:
        yield chrome


def forget(browser: Chrome) -> None:
    """Make the browser as one that has just been started: one tab, and nothing stored, noted or set."""
    first, *others = browser.window_handles
    for other in others:
        browser.switch_to.window(other)
        browser.close()
    browser.switch_to.window(first)
    script(browser, "try { sessionStorage.clear(); } catch { /* a page without an origin has none */ }")
    browser.get("about:blank")
    for command, arguments in _FORGET:
        browser.execute_cdp_cmd(command, arguments)
    for log in _LOGS:
        _entries(browser, log)
    show(browser, "desktop")
    browser.set_script_timeout(PATIENCE)


def show(browser: Chrome, size: str, colours: str = "light") -> None:
    """Give the browser a screen of this size, on a machine with these colours."""
    wide, high = SIZES[size]
    screen = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    preferred = {"features": [{"name": "prefers-color-scheme", "value": colours}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", preferred)


def shoot(browser: Chrome, *names: str) -> None:
    """Keep a screenshot."""
    OUTPUT.mkdir(exist_ok=True)
    assert browser.save_screenshot(str(OUTPUT / f"{'-'.join(names)}.png"))


def script(browser: Chrome, code: str, *arguments: Any) -> Any:
    """Return the result of a script in the open page."""
    return browser.execute_script(code, *arguments)


def wait(browser: Chrome) -> WebDriverWait[Chrome]:
    """Return a wait, whose `until` takes a condition of the page."""
    return WebDriverWait(browser, PATIENCE, poll_frequency=0.1)


def soon(browser: Chrome, css: str) -> WebElement:
    """The element, once it can be clicked."""
    return wait(browser).until(expected.element_to_be_clickable((By.CSS_SELECTOR, css)))


def click(browser: Chrome, css: str) -> None:
    """Click on the element, once it stands still: a page that scrolls or grows moves it from under the pointer."""
    clickable = expected.element_to_be_clickable((By.CSS_SELECTOR, css))

    def clicked(_: Chrome) -> bool:
        element = clickable(browser)
        if not isinstance(element, WebElement) or not browser.execute_async_script(_STANDS_STILL, element):
            return False
        element.click()
        return True

    WebDriverWait(browser, PATIENCE, poll_frequency=0.1, ignored_exceptions=_MOVED).until(clicked, css)


def text(browser: Chrome, css: str) -> str | None:
    """The text that the first such element shows, in one look: the page may be another one by the next."""
    shown: str | None = script(browser, "return document.querySelector(arguments[0])?.innerText", css)
    return shown


def drawn(browser: Chrome) -> None:
    """Wait until the page changes no more though its script is idle: the reference draws one operation after another."""
    browser.execute_async_script(_DRAWN)


def errors(browser: Chrome) -> list[str]:
    """Return the errors that the console has logged since the last call."""
    return [entry["message"] for entry in _entries(browser, "browser") if entry["level"] == "SEVERE"]


def requested(browser: Chrome) -> list[str]:
    """The URLs that pages have asked for since the last look."""
    events = [json.loads(entry["message"])["message"] for entry in _entries(browser, "performance")]
    return [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]


def quiet(browser: Chrome) -> None:
    """Assert that pages have asked for something, and nothing of another host, and that the console has no error."""
    assert errors(browser) == []
    asked = requested(browser)
    assert asked
    assert foreign(asked) == []


def is_dark(browser: Chrome) -> bool:
    """Return whether the ground of the page is near black."""
    colour = script(browser, "return getComputedStyle(document.body).backgroundColor")
    return max(int(part) for part in re.findall(r"\d+", colour)[:3]) < 64


def foreign(urls: list[str]) -> list[str]:
    """Those that lead to another host than the loopback."""
    parts = [urlsplit(url) for url in urls]
    return [
        part.geturl()
        for part in parts
        if part.scheme in ("http", "https", "ws", "wss") and part.hostname != "127.0.0.1"
    ]


def _entries(browser: Chrome, log: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get_log(log)
    return found
