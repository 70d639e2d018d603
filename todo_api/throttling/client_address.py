"""Client address of a request for rate limits. Behind proxies, the last trusted one reports it."""

import ipaddress
from collections.abc import Iterable

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_HOPS = 32
"""Maximum number of entries of X-Forwarded-For that are read, from the right."""

UNKNOWN = "unknown"
_HOST_BITS = 64


class ClientAddresses:
    """Determines client addresses. X-Forwarded-For counts only if a `trusted` proxy sends it."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def client(self, scope: Scope) -> str:
        """Return the client's address, for IPv6 its /64 (RFC 6177), `unknown` if there is none.

        X-Forwarded-For is read from the right, where proxies append. The first address that is not
        of a trusted proxy is the client's. Entries to its left may be forged and are ignored.
        """
        client = scope.get("client")
        address = _parse(client[0]) if client else None
        if address is None:
            return UNKNOWN
        if self._trusted and self._is_trusted(address):
            address = self._forwarded(scope, address)
        return _truncate(address)

    def peer(self, host: str) -> str | None:
        """Return the address of a connection's other end, None for a trusted proxy."""
        address = _parse(host)
        if address is None:
            return UNKNOWN
        return None if self._is_trusted(address) else _truncate(address)

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)

    def _forwarded(self, scope: Scope, peer: _Address) -> _Address:
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        farthest = peer  # of the trusted proxies, seen from here
        hops = b",".join(values).decode("latin-1").rsplit(",", MAX_HOPS)[-MAX_HOPS:]
        for hop in map(str.strip, reversed(hops)):
            if not hop:
                continue  # recipients ignore empty elements (RFC 9110, section 5.6.1.2)
            address = _parse(hop)
            if address is None:
                return farthest  # it wrote what is no address
            if not self._is_trusted(address):
                return address
            farthest = address
        return farthest


def _parse(text: str) -> _Address | None:
    """Return an address, also if a port follows, as some proxies write it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _truncate(address: _Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return f"{ipaddress.IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS)}/64"
