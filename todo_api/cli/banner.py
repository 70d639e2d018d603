"""The banner of a service that is ready: the addresses of its pages, and how to stop it."""

import sys

from todo_api.config import Config, wants_color

LOOPBACK = ("127.0.0.1", "::1", "0.0.0.0", "::")  # noqa: S104  # compared, not listened on
BOLD, CYAN, RESET = "\x1b[1m", "\x1b[36m", "\x1b[0m"


def origin(config: Config) -> str:
    """Return where people find the service: behind its proxy if there is one."""
    return config.public_url.rstrip("/") if config.public_url else local(config)


def local(config: Config) -> str:
    """Return the address of the service on this machine."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{'localhost' if config.host in LOOPBACK else host}:{config.port}"


def banner(at: str) -> str:
    """Return the lines, with colors if stderr is a terminal that wants them."""
    places = {"Front page": f"{at}/", "Reference": f"{at}/api/v1/reference/", "Try it": f"{at}/api/v1/ui/"}
    lines = [*places.items(), ("Stop", "Ctrl-C")]
    bold, cyan, reset = (BOLD, CYAN, RESET) if sys.stderr.isatty() and wants_color() else ("", "", "")
    return "".join(f"\n  {bold}{name:10}{reset}  {cyan}{where}{reset}" for name, where in lines) + "\n"
