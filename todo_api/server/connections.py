"""The open connections of one worker: who makes room for whom, and how many bytes they hold."""

import asyncio
import ctypes
import gc
import select
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from todo_api.observability import Observer
from todo_api.server.limits import HELD_BYTES, RESERVE, STALLED_SECONDS, SWEEP_SECONDS, Limits

_TRIMMED_BYTES = HELD_BYTES // 8


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Whether bytes have arrived that nobody has read."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Connection(Protocol):
    """What the table asks of a connection."""

    address: str | None
    since: float
    held: int

    def check(self, now: float) -> None:
        """Ends what has taken too long."""

    def drop(self) -> None:
        """Closes the connection at once."""


class Connections:
    """The table of one worker's connections. Those that wait for their client stand in order of their last progress."""

    def __init__(
        self,
        limits: Limits,
        observers: tuple[Observer, ...] = (),
        address_of: Callable[[str], str | None] = str,
    ) -> None:
        """`observers` are told of refusals. `address_of` gives what one client's address counts as; None for a trusted proxy."""
        self.limits = limits
        self.observers = observers
        self.address_of = address_of
        self.waiting: dict[Connection, None] = {}
        """Those that wait for their client, whatever for; the longest without progress first."""
        self.held = 0
        self.stopping_since: float | None = None
        self._members: dict[Connection, None] = {}
        self._refused: dict[Connection, None] = {}
        self._of_address: Counter[str] = Counter()
        self._peak = 0

    def __iter__(self) -> Any:
        return iter([*self._members, *self._refused])

    def enter(self, newcomer: Connection) -> bool:
        """Counts a new connection. False if it is one too many, and none that waits could make room for it.

        Those are not counted with the others, and the oldest of them makes room for the newest.
        """
        address = newcomer.address
        if address is not None and self._of_address[address] >= self.limits.of_one_address:
            fits = self._make_room(address)
        else:
            fits = len(self._members) < self.limits.connections or self._make_room(None)
        if fits:
            self._members[newcomer] = None
            if address is not None:
                self._of_address[address] += 1
            return True
        if len(self._refused) >= RESERVE:
            next(iter(self._refused)).drop()
        self._refused[newcomer] = None
        return False

    def leave(self, connection: Connection) -> None:
        """Forgets a connection."""
        self.waiting.pop(connection, None)
        self.hold(connection, 0)
        self._refused.pop(connection, None)
        if self._members.pop(connection, self) is None and connection.address is not None:
            self._of_address[connection.address] -= 1
            if not self._of_address[connection.address]:
                del self._of_address[connection.address]

    def _make_room(self, address: str | None) -> bool:
        """Drops whoever has waited longest without progress, of that address if there is one."""
        for connection in self.waiting:
            if connection in self._members and address in (None, connection.address):
                connection.drop()
                return True
        return False

    def hold(self, connection: Connection, size: int) -> None:
        """Notes how many bytes the connection holds: none once it has left, whatever its application still writes."""
        if connection not in self._members and connection not in self._refused:
            size = 0
        self.held += size - connection.held
        connection.held = size
        self._peak = max(self._peak, self.held)

    def has_room_for(self, size: int, now: float) -> bool:
        """Whether so many more bytes may be held; drops those that hold bytes and have made no progress for a while."""
        if self.held + size <= HELD_BYTES:
            return True
        for connection in list(self.waiting):
            if self.held + size <= HELD_BYTES or now - connection.since < STALLED_SECONDS:
                break
            if connection.held:
                connection.drop()
        return self.held + size <= HELD_BYTES

    def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks at all that wait, now and every `SWEEP_SECONDS`."""
        now = loop.time()
        for connection in list(self.waiting):
            connection.check(now)
        if self._peak > _TRIMMED_BYTES and self.held < _TRIMMED_BYTES // 8:
            self._peak = 0
            _return_memory()
        loop.call_later(SWEEP_SECONDS, self.sweep, loop)


def _return_memory() -> None:
    """Gives the system back what the C library keeps of freed memory, where that is glibc."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
