"""Table of a worker's open connections: their number, and the bytes they hold."""

import asyncio
import ctypes
import gc
import select
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from todo_api.observability import Observer
from todo_api.server.limits import HELD_BYTES, RESERVE, STALLED_SECONDS, SWEEP_SECONDS, ConnectionLimits

_TRIMMED_BYTES = HELD_BYTES // 8


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Return whether bytes have arrived that were not read."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Connection(Protocol):
    """Interface of a connection in the table."""

    address: str | None
    since: float
    held: int

    def check(self, now: float) -> None:
        """Close the connection if it is over a time limit."""

    def drop(self) -> None:
        """Abort the connection."""


class Connections:
    """Table of a worker's connections. Waiting ones are ordered by their last progress."""

    def __init__(
        self,
        limits: ConnectionLimits,
        observers: tuple[Observer, ...] = (),
        address_of: Callable[[str], str | None] = str,
    ) -> None:
        """Call `observers` for refusals. `address_of` returns the address that a client counts for.

        It returns None for a trusted proxy.
        """
        self.limits = limits
        self.observers = observers
        self.address_of = address_of
        self.waiting: dict[Connection, None] = {}
        """Connections that wait for their client; the longest without progress first."""
        self.held = 0
        self.stopping_since: float | None = None
        self._members: dict[Connection, None] = {}
        self._refused: dict[Connection, None] = {}
        self._per_address: Counter[str] = Counter()
        self._peak = 0

    def __iter__(self) -> Any:
        return iter([*self._members, *self._refused])

    def add(self, newcomer: Connection) -> bool:
        """Add a connection. Return False if it is over the limit and no waiting one can be evicted.

        Such connections are counted apart, and the newest evicts the oldest of them.
        """
        address = newcomer.address
        if address is not None and self._per_address[address] >= self.limits.per_address:
            fits = self._evict(address)
        else:
            fits = len(self._members) < self.limits.connections or self._evict(None)
        if fits:
            self._members[newcomer] = None
            if address is not None:
                self._per_address[address] += 1
            return True
        if len(self._refused) >= RESERVE:
            next(iter(self._refused)).drop()
        self._refused[newcomer] = None
        return False

    def remove(self, connection: Connection) -> None:
        """Remove a connection."""
        self.waiting.pop(connection, None)
        self.hold(connection, 0)
        self._refused.pop(connection, None)
        if self._members.pop(connection, self) is None and connection.address is not None:
            self._per_address[connection.address] -= 1
            if not self._per_address[connection.address]:
                del self._per_address[connection.address]

    def _evict(self, address: str | None) -> bool:
        """Drop the waiting connection with the oldest progress, of the address if one is given."""
        for connection in self.waiting:
            if connection in self._members and address in (None, connection.address):
                connection.drop()
                return True
        return False

    def hold(self, connection: Connection, size: int) -> None:
        """Record how many bytes the connection holds, none once it was removed."""
        if connection not in self._members and connection not in self._refused:
            size = 0
        self.held += size - connection.held
        connection.held = size
        self._peak = max(self._peak, self.held)

    def has_capacity(self, size: int, now: float) -> bool:
        """Return whether `size` more bytes may be held, after dropping stalled connections."""
        if self.held + size <= HELD_BYTES:
            return True
        for connection in list(self.waiting):
            if self.held + size <= HELD_BYTES or now - connection.since < STALLED_SECONDS:
                break
            if connection.held:
                connection.drop()
        return self.held + size <= HELD_BYTES

    def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check all waiting connections, now and every `SWEEP_SECONDS`."""
        now = loop.time()
        for connection in list(self.waiting):
            connection.check(now)
        if self._peak > _TRIMMED_BYTES and self.held < _TRIMMED_BYTES // 8:
            self._peak = 0
            _return_memory()
        loop.call_later(SWEEP_SECONDS, self.sweep, loop)


def _return_memory() -> None:
    """Return freed memory to the system, if the C library is glibc."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
