"""Checks of settings as text, before they are converted."""

import difflib
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTED = re.compile(r"""(["']).*\1""", re.DOTALL)
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*)(\.[A-Za-z0-9_-]+)*\.?")
_COMPILER_TARGET = re.compile(r"[a-z0-9_]+-\w+-(linux|darwin)[\w.-]*")
"""A HOST of conda's compilers: `x86_64-conda-linux-gnu`, `arm64-apple-darwin20.0.0`."""

_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?")

_CLOSE = 0.6

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 as IPv6 (RFC 4291, section 2.5.5.2). Addresses are compared as IPv4, so none matches."""


def text_flaw(text: str) -> str | None:
    """Return what is wrong with a setting's text, and the remedy.

    Never quote it: it may be secret.
    """
    if text != text.strip():
        return "has blanks or a line break around its value: remove them."
    if _QUOTED.fullmatch(text):
        return "has quotes around its value, as docker --env-file leaves them: remove them."
    return None


def control_flaw(text: str) -> str | None:
    """Return a flaw if the text has a control character."""
    return "has a control character in its value: remove it." if _CONTROL.search(text) else None


def host_flaw(host: str) -> str | None:
    """Return what is wrong with an address to listen on, and the remedy."""
    if _COMPILER_TARGET.fullmatch(host):
        return f"is {host}, which conda sets for its compilers: it is no address. Unset HOST, or give 127.0.0.1."
    if _is_address(host) or (_HOST_NAME.fullmatch(host) and not host.replace(".", "").isdigit()):
        return None
    return "must be an address or a name, without scheme, brackets or port, such as 127.0.0.1 or ::1."


def role_prefix_flaw(prefix: str) -> str | None:
    """Return what is wrong with a prefix of roles.

    PostgreSQL cuts names at 63 bytes and reserves `pg_`.
    """
    if re.fullmatch("(?!pg_)[a-z_][a-z0-9_]{0,49}", prefix):
        return None
    return "must have 1 to 50 of a-z, 0-9 and _, and begin with a letter or _, but not with pg_."


def server_url(text: str, schemes: Iterable[str], *, with_user: bool = False) -> SplitResult | None:
    """Return the parts of a server's URL, None if the text is no such URL."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        return None
    good = good and (with_user or parts.username is None) and re.fullmatch("[!-~]+", text) is not None
    return parts if good else None


def public_url_flaw(url: str) -> str | None:
    """Return what is wrong with the URL under which clients see the service."""
    parts = server_url(url, ("http", "https"))
    if parts and not re.search(r"[?#\\]", url) and _PATH.fullmatch(parts.path):
        return None
    return "must be a URL without a query: https://example.com, or https://example.com/tasks behind a proxy."


def networks_flaw(networks: Iterable[str]) -> str | None:
    """Return what is wrong with the networks of trusted proxies."""
    try:
        given = [ipaddress.ip_network(network) for network in networks]
    except ValueError:
        return "must be addresses or networks such as 10.0.0.0/8, comma-separated."
    fours = [network for network in given if isinstance(network, ipaddress.IPv4Network)]
    sixes = [network for network in given if isinstance(network, ipaddress.IPv6Network)]
    if any(network.subnet_of(_MAPPED) for network in sixes):
        return "must have addresses of IPv4 as such: 10.0.0.1, not ::ffff:10.0.0.1."
    together = {*map(str, ipaddress.collapse_addresses(fours)), *map(str, ipaddress.collapse_addresses(sixes))}
    if together & {"0.0.0.0/0", "::/0"}:
        return "must not be everybody: any client could name any address as its own."
    return None


def unknown(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return a line for each unknown name, with the nearest known one."""
    settings = sorted(known)
    lines = []
    for name in sorted(set(names) - set(settings)):
        near = difflib.get_close_matches(name.upper(), settings, n=1, cutoff=_CLOSE)
        shown = _CONTROL.sub("?", name)
        lines.append(f"{shown} is no setting of this service{f'; did you mean {near[0]}?' if near else '.'}")
    return lines


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or address."""
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"
