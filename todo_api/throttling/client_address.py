"""The address that a request comes from, as limits count it: behind proxies, the one that the last trusted of them saw."""

import ipaddress
from collections.abc import Iterable

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST_HOPS = 32
"""How many entries of X-Forwarded-For are looked at, from the right."""

UNKNOWN = "unknown"
_HOST_BITS = 64


class Addresses:
    """Finds the addresses of clients. `trusted` are the networks of the proxies whose X-Forwarded-For is believed; of nobody else is it."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def of(self, scope: Scope) -> str:
        """The address of the client: of IPv6 the /64 that one subscriber has (RFC 6177), `unknown` where there is none.

        X-Forwarded-For is read from the right, where proxies append what they saw: the first address that is no trusted proxy's is the
        client's. What stands further left is the client's own word, and counts for nothing.
        """
        client = scope.get("client")
        address = _parsed(client[0]) if client else None
        if address is None:
            return UNKNOWN
        if self._trusted and self._is_trusted(address):
            address = self._forwarded(scope, address)
        return _counted(address)

    def of_peer(self, host: str) -> str | None:
        """What the other end of a connection counts as; None for a trusted proxy, behind which there are many."""
        address = _parsed(host)
        if address is None:
            return UNKNOWN
        return None if self._is_trusted(address) else _counted(address)

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)

    def _forwarded(self, scope: Scope, peer: _Address) -> _Address:
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        last = peer
        hops = b",".join(values).decode("latin-1").rsplit(",", MOST_HOPS)[-MOST_HOPS:]
        for hop in filter(None, map(str.strip, reversed(hops))):  # an empty element is none (RFC 9110, 5.6.1.2)
            address = _parsed(hop)
            if address is None:
                return last  # who wrote this is known, and not whom they meant
            if not self._is_trusted(address):
                return address
            last = address
        return last


def _parsed(text: str) -> _Address | None:
    """An address, also with its port, as some proxies write it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _counted(address: _Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return f"{ipaddress.IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS)}/64"
