"""Origins as browsers send them in `Origin`, by the URL standard and HTML."""

import ipaddress
import re

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
"""Default ports of the URL standard's special schemes, which browsers omit.

Their hosts are domains.
"""

_ORIGIN = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]\s\\%]+)"
    r"(?::(?P<port>[0-9]*))?(?:[/?#].*)?",
    re.DOTALL,
)
_BARE = re.compile(r"(?:\[[^\]]*\]|[^/?#@:]+)(?::[0-9]+)?/?")
"""A host without its scheme."""

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_LOCAL = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?::.*)?", re.IGNORECASE)
_MAXIMUM_PORT = 65535


def serialize(text: str) -> str | None:
    """Return the origin as a browser sends it, None if the text means none."""
    if _BARE.fullmatch(text):
        text = f"{'http' if _LOCAL.match(text) else 'https'}://{text}"
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    host = _domain(found["host"]) if scheme in _DEFAULT_PORTS else found["host"]
    port = (found["port"] or "").lstrip("0")
    if host is None or not host.isascii() or (port and int(port) > _MAXIMUM_PORT):
        return None
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else "")


def _domain(host: str) -> str | None:
    """Return a host of a special scheme, serialized by the URL standard (section 3.6), or None."""
    if host.startswith("["):
        return _ipv6(host[1:-1])
    ascii_host = host.lower() if host.isascii() else _punycode(host)
    labels = ascii_host.removesuffix(".").split(".")
    if not all(map(_LABEL.fullmatch, labels)):
        return None
    if labels[-1].isdigit() or labels[-1].startswith("0x"):  # a number at the end makes it an IPv4 address
        return _ipv4(ascii_host)
    return ascii_host


def _punycode(host: str) -> str:
    """Return an international name in ASCII (UTS 46), empty if it is invalid."""
    import idna  # noqa: PLC0415  # its tables take a while, and few names need them

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _ipv4(host: str) -> str | None:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return None


def _ipv6(host: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return None
    if address.ipv4_mapped is not None:  # Python writes it with dots, browsers do not
        high, low = divmod(int(address.ipv4_mapped), 1 << 16)
        return f"[::ffff:{high:x}:{low:x}]"
    return f"[{address.compressed}]"


def flaw(text: str) -> str | None:
    """Return what is wrong with an origin and the remedy, None if browsers send it."""
    if "*" in text:
        return "must name exact origins, such as https://app.example.com, not *."
    if text.lower() == "null":
        return "must not name null, which any sandboxed page sends: name the origin of the front end."
    right = serialize(text)
    if right is None:
        return "must be origins as browsers send them, such as https://app.example.com, comma-separated."
    return None if right == text else f"must be origins as browsers send them, byte by byte: write {right}"
