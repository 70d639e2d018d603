"""Debian's Chromium, driven by selenium."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

_ARGUMENTS = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync")


@contextmanager
def chromium(*arguments: str, logs: Mapping[str, str] | None = None) -> Iterator[Chrome]:
    """A fresh Chromium with further arguments, which keeps these logs at these levels."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.fail("needs Debian's chromium and chromium-driver: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = binary
    for argument in (*_ARGUMENTS, *arguments):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", dict(logs or {}))
    with Chrome(options, ChromeService(driver)) as chrome:
        yield chrome
