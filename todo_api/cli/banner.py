"""The banner of a service that is ready: the addresses of its pages, and how to stop it."""

import sys

from todo_api.config import Config, wants_color

LOCALHOSTS = ("127.0.0.1", "::1", "0.0.0.0", "::")  # noqa: S104  # compared, not listened on
"""Addresses of HOST at which people of this machine find the service as `localhost`."""

BOLD, CYAN, RESET = "\x1b[1m", "\x1b[36m", "\x1b[0m"


def address(config: Config) -> str:
    """Return the address for people: the public one behind a proxy, else that of this machine."""
    return config.public_url.rstrip("/") if config.public_url else local(config)


def local(config: Config) -> str:
    """Return the address of the service on this machine."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{'localhost' if config.host in LOCALHOSTS else host}:{config.port}"


def banner(origin: str) -> str:
    """Return the lines, with colors if stderr is a terminal that shows them."""
    pages = {"Front page": f"{origin}/", "Reference": f"{origin}/api/v1/reference/", "Try it": f"{origin}/api/v1/ui/"}
    lines = [*pages.items(), ("Stop", "Ctrl-C")]
    bold, cyan, reset = (BOLD, CYAN, RESET) if sys.stderr.isatty() and wants_color() else ("", "", "")
    return "".join(f"\n  {bold}{name:10}{reset}  {cyan}{value}{reset}" for name, value in lines) + "\n"
